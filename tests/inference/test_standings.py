"""How deployments stand: the same promises for what one process sees and for what all share; and that they do share it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

import msgspec
import pytest
from valkey.asyncio import Valkey

from events.valkey import open_valkey
from inference.deployments import Deployment
from inference.models import FailureKind, ProviderFailed
from inference.shared_standings import SharedStandings
from inference.standings import Booking, Health, Hindrance, LocalStandings, Rules, Standings
from settings import Secret, Settings
from tests.inference.conftest import deployment_named

BROKEN = ProviderFailed(FailureKind.SERVER_ERROR, status=500)
PAUSE = 0.15


@dataclass
class Kept:
    """Standings under test, and how time passes for them."""

    standings: Standings
    passes: Callable[[float], Awaitable[None]]

    async def fails(self, deployment: Deployment, failure: ProviderFailed = BROKEN, times: int = 1) -> None:
        for _ in range(times):
            attempt = uuid4()
            assert (await self.standings.book(deployment, attempt, tokens=1)).hindrance is None
            await self.standings.ended(deployment, attempt, tokens=0, failure=failure)

    async def asked(self, deployment: Deployment, attempt: UUID | None = None, *, tokens: int = 1) -> Booking:
        return await self.standings.book(deployment, attempt or uuid4(), tokens=tokens)

    async def health(self, deployment: Deployment) -> Health:
        return (await self.standings.look([deployment.standing_id]))[0].health


@pytest.fixture
def short(settings: Settings) -> Settings:
    """Three failures make a pause of a moment; a probe may take a while."""
    return replace(settings, model_failures=3, model_cooldown_seconds=PAUSE, model_cooldown_most_seconds=PAUSE * 4)


@pytest.fixture(params=["local", "shared"])
async def kept(request: pytest.FixtureRequest, short: Settings) -> AsyncIterator[Kept]:
    if request.param == "local":
        now = [1000.0]

        async def passes(seconds: float) -> None:
            now[0] += seconds

        yield Kept(LocalStandings(Rules.of(short), lambda: now[0]), passes)
        return
    valkey = open_valkey(short)
    yield Kept(SharedStandings(valkey, short), asyncio.sleep)
    await valkey.aclose()


async def test_nobody_knows_a_deployment_that_was_never_asked(kept: Kept) -> None:
    one = deployment_named("one")
    assert await kept.health(one) is Health.UNKNOWN
    assert await kept.asked(one) == Booking()
    assert await kept.health(one) is Health.HEALTHY


async def test_failures_in_a_row_make_a_pause_and_a_first_token_forgets_them(kept: Kept) -> None:
    one = deployment_named("one")
    await kept.fails(one, times=2)
    assert await kept.health(one) is Health.DEGRADED
    await kept.standings.answered(one, after_ms=5)
    assert await kept.health(one) is Health.HEALTHY
    await kept.fails(one, times=3)
    assert await kept.health(one) is Health.COOLDOWN
    refused = await kept.asked(one)
    assert refused.hindrance is Hindrance.COOLDOWN
    assert 0 < refused.wait_ms <= PAUSE * 1000


async def test_after_the_pause_one_probe_goes_through_at_a_time_and_its_first_token_opens_for_all(kept: Kept) -> None:
    one, probe = deployment_named("one"), uuid4()
    await kept.fails(one, times=3)
    await kept.passes(PAUSE + 0.01)
    assert await kept.asked(one, probe) == Booking(is_probe=True)
    assert [(await kept.asked(one)).hindrance for _ in range(3)] == [Hindrance.PROBE] * 3
    await kept.standings.answered(one, after_ms=5)
    assert [await kept.asked(one) for _ in range(3)] == [Booking()] * 3


async def test_a_probe_that_fails_makes_a_pause_twice_as_long_up_to_the_longest(kept: Kept) -> None:
    one = deployment_named("one")
    await kept.fails(one, times=3)
    for longer in (2, 4, 4):
        await kept.passes((await kept.standings.look([one.id]))[0].cools_for_ms / 1000 + 0.01)
        await kept.fails(one)
        pause = (await kept.standings.look([one.id]))[0].cools_for_ms
        assert PAUSE * 1000 * (longer - 1) < pause <= PAUSE * 1000 * longer
    assert await kept.health(one) is Health.DOWN


async def test_a_probe_that_is_given_up_lets_the_next_one_through_and_a_late_failure_does_not(kept: Kept) -> None:
    one, late, probe = deployment_named("one"), uuid4(), uuid4()
    await kept.asked(one, late)
    await kept.fails(one, times=3)
    await kept.passes(PAUSE + 0.01)
    assert (await kept.asked(one, probe)).is_probe
    await kept.standings.ended(one, late, tokens=0, failure=BROKEN)
    assert (await kept.asked(one)).hindrance is Hindrance.PROBE
    await kept.standings.ended(one, probe, tokens=0)
    assert (await kept.asked(one)).is_probe


async def test_a_pause_that_is_asked_for_is_made_at_once(kept: Kept) -> None:
    one = deployment_named("one")
    await kept.fails(one, ProviderFailed(FailureKind.RATE_LIMIT, retry_after_ms=60_000))
    refused = await kept.asked(one)
    assert refused.hindrance is Hindrance.COOLDOWN
    assert 59_000 < refused.wait_ms <= 60_000


async def test_a_pause_that_is_asked_for_is_no_longer_than_the_setting_says(kept: Kept, short: Settings) -> None:
    one = deployment_named("one")
    await kept.fails(one, ProviderFailed(FailureKind.RATE_LIMIT, retry_after_ms=86_400_000))
    most = short.model_retry_after_most_seconds * 1000
    assert most - 1000 < (await kept.asked(one)).wait_ms <= most


@pytest.mark.parametrize(
    "failure",
    [
        ProviderFailed(FailureKind.CONTEXT_WINDOW, status=400),
        ProviderFailed(FailureKind.CONTENT_POLICY, retry_after_ms=60_000),
        ProviderFailed(FailureKind.SERVER_ERROR, status=400),
    ],
)
async def test_a_question_s_own_fault_is_not_held_against_its_deployment(kept: Kept, failure: ProviderFailed) -> None:
    one = deployment_named("one")
    await kept.fails(one, failure, times=9)
    assert await kept.health(one) is Health.HEALTHY


async def test_requests_are_limited_and_come_back_with_time(kept: Kept) -> None:
    one = deployment_named("one", rpm=600)
    bookings = [await kept.asked(one) for _ in range(650)]
    refused = [booking for booking in bookings if booking.hindrance is not None]
    assert 0 < len(refused) <= 50
    assert {booking.hindrance for booking in refused} == {Hindrance.RPM}
    assert 0 < refused[-1].wait_ms <= 100
    await kept.passes(0.12)
    assert await kept.asked(one) == Booking()


async def test_tokens_are_limited_and_what_was_not_used_comes_back(kept: Kept) -> None:
    one, attempt = deployment_named("one", tpm=1000), uuid4()
    assert await kept.asked(one, attempt, tokens=900) == Booking()
    refused = await kept.asked(one, tokens=500)
    assert refused.hindrance is Hindrance.TPM
    assert 20_000 < refused.wait_ms <= 24_000
    await kept.standings.ended(one, attempt, tokens=-800)
    assert await kept.asked(one, tokens=500) == Booking()
    assert (await kept.standings.look([one.id]))[0].tokens == 600


async def test_a_key_that_is_refused_is_remembered_until_it_is_taken_or_replaced(kept: Kept) -> None:
    one, refusal = deployment_named("one"), ProviderFailed(FailureKind.AUTH, status=401)

    async def refused() -> bool:
        return (await kept.standings.look([one.standing_id]))[0].refused

    await kept.fails(one)
    assert not await refused()
    await kept.fails(one, refusal)
    assert await refused()
    await kept.standings.answered(one, after_ms=5)
    assert not await refused()
    await kept.fails(one, refusal)
    await kept.standings.forget([one.standing_id])
    assert (await refused(), await kept.health(one)) == (False, Health.UNKNOWN)
    await kept.standings.forget([])


async def test_each_key_has_its_own_pauses_and_limits(kept: Kept) -> None:
    one = deployment_named("one", rpm=3, credential_id=uuid4())
    same, other = msgspec.structs.replace(one), msgspec.structs.replace(one, credential_id=uuid4())
    await kept.fails(one, times=3)
    assert (await kept.asked(same)).hindrance is Hindrance.COOLDOWN
    assert [await kept.asked(other) for _ in range(3)] == [Booking()] * 3
    assert (await kept.asked(other)).hindrance is Hindrance.RPM
    assert [await kept.health(each) for each in (same, other)] == [Health.COOLDOWN, Health.HEALTHY]


async def test_a_question_larger_than_the_limit_waits_for_all_of_it_and_not_for_ever(kept: Kept) -> None:
    one = deployment_named("one", tpm=1000)
    assert await kept.asked(one, tokens=5000) == Booking()
    assert (await kept.asked(one)).hindrance is Hindrance.TPM


async def test_it_is_known_how_busy_and_how_fast_each_is(kept: Kept) -> None:
    one, other, attempts = deployment_named("one"), deployment_named("other"), [uuid4(), uuid4()]
    for attempt in attempts:
        await kept.asked(one, attempt)
    await kept.standings.answered(one, after_ms=100)
    await kept.standings.answered(one, after_ms=200)
    await kept.standings.ended(one, attempts[0], tokens=0)
    mine, theirs = await kept.standings.look([one.id, other.id])
    assert (mine.busy, mine.first_token_ms) == (1, 130)
    assert (theirs.busy, theirs.first_token_ms) == (0, None)


@pytest.fixture
async def two(short: Settings) -> AsyncIterator[tuple[SharedStandings, SharedStandings]]:
    """As two processes have them: on connections of their own."""
    valkeys = [open_valkey(short), open_valkey(short)]
    yield SharedStandings(valkeys[0], short), SharedStandings(valkeys[1], short)
    for valkey in valkeys:
        await valkey.aclose()


async def test_processes_share_pauses_probes_and_limits(two: tuple[SharedStandings, SharedStandings]) -> None:
    here, there = two
    one, limited = deployment_named("one"), deployment_named("limited", rpm=1)
    for place in (here, there, here):
        attempt = uuid4()
        await place.book(one, attempt, tokens=1)
        await place.ended(one, attempt, tokens=0, failure=BROKEN)
    assert (await there.book(one, uuid4(), tokens=1)).hindrance is Hindrance.COOLDOWN
    await asyncio.sleep(PAUSE + 0.01)
    bookings = await asyncio.gather(*(place.book(one, uuid4(), tokens=1) for place in (here, there) * 10))
    assert sorted(booking.hindrance or "" for booking in bookings) == ["", *[Hindrance.PROBE] * 19]
    bookings = await asyncio.gather(*(place.book(limited, uuid4(), tokens=1) for place in (here, there) * 10))
    assert [booking.hindrance for booking in bookings].count(None) == 1


async def test_nothing_is_refused_because_valkey_is_away(short: Settings) -> None:
    valkey: Valkey = open_valkey(replace(short, valkey_url=Secret("valkey://127.0.0.1:1/0")))
    standings, one = SharedStandings(valkey, short), deployment_named("one")
    for _ in range(3):
        attempt = uuid4()
        assert await standings.book(one, attempt, tokens=1) == Booking()
        await standings.ended(one, attempt, tokens=0, failure=BROKEN)
    assert (await standings.book(one, uuid4(), tokens=1)).hindrance is Hindrance.COOLDOWN
    assert [standing.health for standing in await standings.look([one.id])] == [Health.COOLDOWN]
    await valkey.aclose()


async def test_what_is_kept_names_nobody_and_is_forgotten_in_time(two: tuple[SharedStandings, SharedStandings], valkey: Valkey) -> None:
    one = deployment_named("a-secret-name")
    await two[0].book(one, uuid4(), tokens=1)
    keys = [key async for key in valkey.scan_iter(f"*{one.id}*")]
    assert len(keys) == 2
    assert all([await valkey.pttl(key) > 0 for key in keys])
    dumped = [await valkey.dump(key) for key in keys]
    assert not [text for text in (*keys, *dumped) if b"a-secret-name" in text]
