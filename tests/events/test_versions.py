"""A tenant's version: another one after each change, the same to all who ask, and never one that was there before."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs
from valkey.asyncio import Valkey

from db.scopes import TenantScopes
from events.facts import RoleCreated, record
from events.valkey import open_valkey
from events.versions import LIFE_SECONDS, Versions
from settings import Settings
from tests.api.people import soon
from tests.events.tenants import new_tenant
from web.works import Process


@pytest.fixture
def tenant_id() -> UUID:
    return uuid4()


@pytest.fixture
async def two(valkey: Valkey, settings: Settings) -> AsyncIterator[list[Versions]]:
    """Those of two processes."""
    made = [Versions(valkey, settings) for _ in range(2)]
    yield made
    for one in made:
        await one.close()


async def test_all_who_ask_know_one_version_until_somebody_changes_something(two: list[Versions], tenant_id: UUID) -> None:
    first = await asyncio.gather(*(one.of(tenant_id) for one in two for _ in range(5)))
    assert len(set(first)) == 1
    assert first[0] is not None
    await two[0].renew(tenant_id)
    later = await asyncio.gather(*(one.of(tenant_id) for one in two))
    assert len({*first, *later}) == 2
    assert later[0] == later[1] != await two[0].of(uuid4())


async def test_a_version_that_was_lost_does_not_come_back(two: list[Versions], tenant_id: UUID, valkey: Valkey) -> None:
    seen = set()
    for _ in range(5):
        version = await two[0].of(tenant_id)
        assert version not in seen
        assert await two[1].of(tenant_id) == version
        assert 0 < await valkey.ttl(two[0].key(tenant_id)) <= LIFE_SECONDS
        seen.add(version)
        await valkey.delete(two[0].key(tenant_id))


async def test_an_old_version_that_a_server_brings_back_is_another_one(two: list[Versions], tenant_id: UUID, valkey: Valkey) -> None:
    versions, key = two[0], two[0].key(tenant_id)
    before, stored = await versions.of(tenant_id), await valkey.get(key)
    assert stored is not None
    await versions.renew(tenant_id)
    # As after a restart from a snapshot: the old word is back, and the connection is a new one.
    await valkey.set(key, stored)
    assert versions._wire._connection is not None
    await versions._wire._connection.disconnect(nowait=True)

    async def known() -> bytes:
        if (version := await versions.of(tenant_id)) is None:
            raise LookupError("the connection is lost")
        return version

    assert await soon(known) != before


async def test_facts_renew_a_version_before_they_are_told(process: Process, scopes: TenantScopes, two: list[Versions]) -> None:
    tenant_id = await new_tenant(process)
    before = await two[0].of(tenant_id)
    async with scopes.writing(tenant_id) as scope:
        await record(scope, tenant_id, RoleCreated(role_id=uuid4()))

    async def renewed() -> None:
        if await two[0].of(tenant_id) == before:
            raise LookupError("it is the old one")

    await soon(renewed)


class Away:
    """A client of Valkey that fails, or keeps quiet of what it did, as often as it is told to."""

    def __init__(self, valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
        self._told = valkey.execute_command
        self.failing = 0
        self.tries = 0
        self.is_held = False
        self.done, self.go_on = asyncio.Event(), asyncio.Event()
        monkeypatch.setattr(valkey, "execute_command", self._command)

    async def _command(self, *words: Any) -> Any:
        self.tries += 1
        if self.tries <= self.failing:
            raise ConnectionError("away")
        answer = await self._told(*words)  # type: ignore[no-untyped-call] # the client's own
        if self.is_held:
            self.is_held = False
            self.done.set()
            await self.go_on.wait()
        return answer


@pytest.fixture
async def own(settings: Settings) -> AsyncIterator[Valkey]:
    """A client of this test's own, which may be spoilt."""
    client = open_valkey(settings)
    yield client
    await client.aclose()


@pytest.fixture
async def writer(own: Valkey, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Versions]:
    """Those of a process that writes, and that tries again at once."""
    monkeypatch.setattr("events.versions.AGAIN_SECONDS", 0)
    made = Versions(own, settings)
    yield made
    await made.close()


async def settled(versions: Versions) -> None:
    """Wait until nothing is due."""
    while versions._late is not None:
        await asyncio.wait([versions._late])


async def test_a_change_that_nobody_could_be_told_of_is_told_later(
    two: list[Versions], writer: Versions, own: Valkey, tenant_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await two[1].of(tenant_id)
    away = Away(own, monkeypatch)
    away.failing = 3
    with capture_logs() as logged:
        await writer.renew(tenant_id)
        assert writer._late is not None
        await settled(writer)
    assert (away.tries, [line["event"] for line in logged]) == (4, ["versions_not_renewed"])
    assert await two[1].of(tenant_id) != before


async def test_a_change_behind_one_that_is_just_being_told_late_is_told_as_well(
    two: list[Versions], writer: Versions, own: Valkey, tenant_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Away(own, monkeypatch)
    away.is_held = True
    writer.renew_later(tenant_id)
    await away.done.wait()
    before = await two[1].of(tenant_id)
    writer.renew_later(tenant_id)  # the command for the first change was carried out already
    away.go_on.set()
    await settled(writer)
    assert await two[1].of(tenant_id) != before


async def test_changes_of_many_tenants_are_one_outage(writer: Versions, own: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    away = Away(own, monkeypatch)
    away.failing = 12
    with capture_logs() as logged:
        await asyncio.gather(*(writer.renew(uuid4()) for _ in range(10)))
        await settled(writer)
    assert (away.tries, len(logged)) == (22, 1)


async def test_a_process_that_stops_tells_what_is_due(
    two: list[Versions], own: Valkey, settings: Settings, tenant_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("events.versions.AGAIN_SECONDS", 3600)
    before = await two[1].of(tenant_id)
    stopping = Versions(own, settings)
    stopping.renew_later(tenant_id)
    await stopping.close()
    assert await two[1].of(tenant_id) != before


async def test_what_can_be_kept_no_more_is_told_no_more(writer: Versions, own: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    away = Away(own, monkeypatch)
    monkeypatch.setattr(writer, "_kept_seconds", -1)
    monkeypatch.setattr(Versions, "are_kept", True)
    writer.renew_later(uuid4())
    await settled(writer)
    assert away.tries == 0


async def test_where_nothing_is_kept_nothing_is_asked(settings: Settings, tenant_id: UUID) -> None:
    nowhere = Valkey(host="127.0.0.1", port=1, socket_connect_timeout=0.1)
    versions = Versions(nowhere, replace(settings, graphql_cached_answer_seconds=0))
    assert await versions.of(tenant_id) is None
    await versions.renew(tenant_id)
    assert versions._late is None
    await versions.close()
    await nowhere.aclose()
