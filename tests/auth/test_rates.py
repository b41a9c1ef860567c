"""Points are granted as often as the buckets hold them, by however many processes, and within bounds while Valkey is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from valkey.asyncio import Valkey

from auth.background import Background
from auth.rates import Charge, RateLimits
from auth.viewers import Viewer
from errors import RateLimited
from settings import Settings

SLOW = 1  # points a second: nothing to speak of comes back while a test runs
ADDRESS = "192.0.2.1"


def viewer(tenant_id: UUID | None = None) -> Viewer:
    return Viewer(tenant_id=tenant_id or uuid4(), user_id=uuid4(), role_id=uuid4(), scopes=frozenset())


class Processes:
    """Several processes' rate limits over one Valkey."""

    def __init__(self, settings: Settings, valkey: Valkey, closing: AsyncExitStack) -> None:
        self._settings = replace(
            settings, valkey_prefix=f"rates-{uuid4()}", graphql_max_cost=10, rate_limit_principal_per_second=SLOW,
            rate_limit_tenant_per_second=SLOW, rate_limit_address_per_second=SLOW,
        )  # fmt: skip
        self._valkey = valkey
        self._closing = closing

    def some(self, count: int, valkey: Valkey | None = None, **limits: int) -> list[RateLimits]:
        return [self.one(valkey, **limits) for _ in range(count)]

    def one(self, valkey: Valkey | None = None, **limits: int) -> RateLimits:
        given: dict[str, Any] = {f"rate_limit_{name}": value for name, value in limits.items()}
        background = Background()
        made = RateLimits(valkey or self._valkey, background, replace(self._settings, **given))
        self._closing.push_async_callback(background.close)
        self._closing.push_async_callback(made.close)
        return made


@pytest.fixture
async def processes(settings: Settings, valkey: Valkey) -> AsyncIterator[Processes]:
    async with AsyncExitStack() as closing:
        yield Processes(settings, valkey, closing)


async def granted(limits: RateLimits, who: Viewer | None, points: int, address: str = ADDRESS) -> Charge | RateLimited:
    try:
        return await limits.charge(who, address, points)
    except RateLimited as refused:
        return refused


async def spend_all(limits: RateLimits, who: Viewer | None, points: int = 1) -> int:
    """Ask until it is refused; returns the points that were granted."""
    spent = 0
    while isinstance(await granted(limits, who, points), Charge):
        spent += points
    return spent


async def test_four_processes_together_grant_what_one_bucket_holds(processes: Processes) -> None:
    four, ada = processes.some(4, principal_points=1000, tenant_points=100_000), viewer()
    spent = sum(await asyncio.gather(*(spend_all(limits, ada) for limits in four)))
    # What one has borrowed another cannot grant: a few points may be left over, and a few come back meanwhile.
    assert 980 <= spent <= 1000 + 10 * SLOW


async def test_a_refusal_says_which_bucket_is_empty_and_for_how_long(processes: Processes) -> None:
    limits, ada = processes.one(principal_points=100, principal_per_second=10), viewer()
    await spend_all(limits, ada, 10)
    refused = await granted(limits, ada, 10)
    assert isinstance(refused, RateLimited)
    assert refused.bucket == "principal"
    assert 0 < refused.retry_after_ms <= 1000


async def test_people_of_a_tenant_share_its_bucket_and_other_tenants_do_not(processes: Processes) -> None:
    limits, tenant = processes.one(principal_points=1000, tenant_points=100), uuid4()
    spent = await spend_all(limits, viewer(tenant))
    assert 95 <= spent <= 100 + SLOW
    refused = await granted(limits, viewer(tenant), 10)
    assert isinstance(refused, RateLimited)
    assert refused.bucket == "tenant"
    assert isinstance(await granted(limits, viewer(), 10), Charge)


async def test_nothing_is_taken_of_the_callers_points_when_the_tenants_are_gone(processes: Processes, valkey: Valkey) -> None:
    limits, tenant = processes.one(principal_points=1000, tenant_points=100), uuid4()
    await spend_all(limits, viewer(tenant))
    assert isinstance(await granted(limits, ada := viewer(tenant), 10), RateLimited)
    assert not await valkey.exists(limits._account(ada, ADDRESS).own.key)


async def test_addresses_of_one_ipv6_network_share_a_bucket(processes: Processes) -> None:
    limits = processes.one(address_points=20)
    assert isinstance(await granted(limits, None, 10, "2001:db8::1"), Charge)
    assert isinstance(await granted(limits, None, 10, "2001:db8::2"), Charge)
    assert isinstance(await granted(limits, None, 10, "2001:db8::3"), RateLimited)
    assert isinstance(await granted(limits, None, 10, "2001:db8:1::1"), Charge)


async def test_what_an_operation_did_not_cost_can_be_spent_again(processes: Processes) -> None:
    limits, ada = processes.one(principal_points=100), viewer()
    for _ in range(30):
        charge = await limits.charge(ada, ADDRESS, 10)
        limits.refund(charge, 1)
    assert charge.cost == 1
    assert 60 <= charge.remaining <= 75


async def test_a_refund_never_gives_more_than_was_charged(processes: Processes) -> None:
    limits, ada = processes.one(principal_points=100), viewer()
    charge = await limits.charge(ada, ADDRESS, 5)
    limits.refund(charge, 50)
    limits.refund(charge, 0)
    limits.refund(charge, 0)
    assert (charge.cost, charge.remaining) == (0, 100)


async def test_what_a_process_borrowed_and_did_not_spend_comes_back(processes: Processes) -> None:
    (first, second), ada = processes.some(2, principal_points=1600), viewer()
    charge = await first.charge(ada, ADDRESS, 1)
    assert charge.account.borrowed == 99
    await first.close()
    assert (await second.charge(ada, ADDRESS, 1)).remaining >= 1597


async def test_the_dearest_operation_can_always_run(processes: Processes) -> None:
    assert isinstance(await granted(processes.one(principal_points=1, tenant_points=1), viewer(), 10), Charge)


async def test_without_valkey_a_process_grants_a_share_by_itself(processes: Processes) -> None:
    nowhere = Valkey.from_url("unix:///nowhere/at-all?db=0")
    limits, ada = processes.one(nowhere, principal_points=1000, alone_percent=10), viewer()
    spent = await spend_all(limits, ada)
    assert 100 <= spent <= 100 + SLOW
    refused = await granted(limits, ada, 10)
    assert isinstance(refused, RateLimited)
    assert refused.retry_after_ms > 1000
    assert isinstance(await granted(limits, viewer(), 10), Charge)


async def test_without_valkey_an_ipv6_network_shares_one_share(processes: Processes) -> None:
    limits = processes.one(Valkey.from_url("unix:///nowhere/at-all?db=0"), address_points=1000, alone_percent=10)
    answers = [await granted(limits, None, 10, f"2001:db8::{number:x}") for number in range(1, 21)]
    assert sum(isinstance(one, Charge) for one in answers) == 10
    assert isinstance(await granted(limits, None, 10, "2001:db8:1::1"), Charge)


async def test_without_valkey_people_of_a_tenant_share_its_share_and_other_tenants_do_not(processes: Processes) -> None:
    limits = processes.one(Valkey.from_url("unix:///nowhere/at-all?db=0"), principal_points=1000, tenant_points=2000, alone_percent=10)
    tenant = uuid4()
    assert [await spend_all(limits, viewer(tenant), 10) for _ in range(3)] == [100, 100, 0]
    refused = await granted(limits, ada := viewer(tenant), 10)
    assert isinstance(refused, RateLimited)
    assert refused.bucket == "tenant"
    assert limits._reserve(limits._account(ada, ADDRESS).own).level == 100, "what the tenant refuses costs nobody anything"
    assert isinstance(await granted(limits, viewer(), 10), Charge)


async def test_all_keys_of_a_person_spend_the_same_points(processes: Processes) -> None:
    (limits, elsewhere), ada = processes.some(2, principal_points=100), viewer()
    await spend_all(limits, ada)
    refused = await granted(elsewhere, replace(ada, api_key_id=uuid4()), 10)
    assert isinstance(refused, RateLimited)
    assert refused.bucket == "principal"


async def test_what_was_granted_without_valkey_is_given_back_without_it(processes: Processes) -> None:
    limits, ada = processes.one(Valkey.from_url("unix:///nowhere/at-all?db=0"), principal_points=1000, alone_percent=10), viewer()
    for _ in range(40):
        limits.refund(await limits.charge(ada, ADDRESS, 10), 1)
    charge = await limits.charge(ada, ADDRESS, 10)
    assert (charge.alone, charge.account.borrowed) == (True, 0)
    assert charge.remaining <= 100 - 40
