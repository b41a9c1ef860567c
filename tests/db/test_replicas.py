"""A query may read from a replica, and never less than its tenant had written: real streaming replication, in this process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from valkey.asyncio import Valkey

from db.pools import Pool, open_pool
from db.replicas import ANSWER_SECONDS, Replica
from db.scopes import Reads, TenantScopes
from events.positions import WrittenPositions
from settings import Secret, Settings
from stack.addresses import Addresses
from tests.db.databases import connected
from tests.db.standbys import Lines, Standby, lines_to, standing_by

LAG = 3600.0
APPLICATION = "penny replica tests"
NAME = "SELECT name, pg_is_in_recovery() AS on_replica FROM penny.tenants WHERE tenant_id = $1"
RENAME = "UPDATE penny.tenants SET name = $2 WHERE tenant_id = $1"


@pytest.fixture(scope="module")
async def standby(stack: Addresses, database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Standby]:
    async with standing_by(stack, tmp_path_factory.mktemp("standby")) as running:
        yield running


@pytest.fixture
async def lines(standby: Standby) -> AsyncIterator[Lines]:
    async with lines_to(standby) as kept:
        yield kept


@dataclass
class World:
    """What one web process has: a primary and a replica; `me` and `them` are tenants."""

    scopes: TenantScopes
    replica: Replica
    written: WrittenPositions
    me: UUID
    them: UUID

    async def read(self, tenant_id: UUID, reads: Reads | None = None) -> tuple[str, bool]:
        """Return the tenant's name and whether the replica said it."""
        async with (reads or self.replica.reads()).reading(tenant_id) as scope:
            row = await scope.row(NAME, tenant_id)
        assert row is not None
        return row["name"], row["on_replica"]

    async def rename(self, tenant_id: UUID, name: str) -> None:
        async with self.scopes.writing(tenant_id) as scope:
            assert await scope.run(RENAME, tenant_id, name) == 1

    async def until_on_replica(self, tenant_id: UUID) -> str:
        """Read until the replica is read."""
        while True:
            name, on_replica = await self.read(tenant_id)
            if on_replica:
                return name
            await asyncio.sleep(0.01)


@pytest.fixture
async def world(
    stack: Addresses, standby: Standby, lines: Lines, database: str, settings: Settings, valkey: Valkey
) -> AsyncIterator[World]:
    """The replica may lag for an hour here, so that only what is told of writes counts; Valkey is believed at once all the same."""
    async with contextlib.AsyncExitStack() as closing:
        primary, pool = [
            await closing.enter_async_context(await opened(addresses, database, settings)) for addresses in (stack, lines.addresses)
        ]
        written = WrittenPositions(valkey, replace(settings, database_replica_lag_seconds=LAG))
        closing.push_async_callback(written.close)
        assert await written.of(uuid4()) is None
        written._believed_from = 0.0
        scopes = TenantScopes(primary, acquire_seconds=2, written=written)
        replica = Replica(pool, scopes, written, lag_seconds=LAG)
        watching = asyncio.create_task(replica.watch())
        tenants = uuid4(), uuid4()
        async with connected(stack, "postgres", database) as admin:
            for tenant_id in tenants:
                await admin.execute("INSERT INTO penny.tenants (tenant_id, slug, name) VALUES ($1, $2, 'old')", tenant_id, tenant_id.hex)
        await standby.follow()
        yield World(scopes, replica, written, *tenants)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def opened(addresses: Addresses, database: str, settings: Settings) -> Pool:
    url = Secret(addresses.database_url("penny_app", database))
    return await open_pool(url, settings, size=3, application=APPLICATION, patience_seconds=ANSWER_SECONDS)


async def test_what_a_tenant_wrote_is_read_from_the_primary_until_the_replica_has_it(
    world: World, standby: Standby, stack: Addresses
) -> None:
    assert await world.until_on_replica(world.me) == "old"
    assert await world.until_on_replica(world.them) == "old"
    await standby.replay(paused=True)
    try:
        await world.rename(world.me, "new")
        assert await world.read(world.me) == ("new", False)
        # A tenant that wrote nothing goes on reading what the replica has.
        assert await world.read(world.them) == ("old", True)
        async with world.scopes.reading(world.me) as scope:
            assert (await scope.rows(NAME, world.me))[0]["on_replica"] is False
    finally:
        await standby.replay(paused=False)
    assert await world.until_on_replica(world.me) == "new"


async def test_another_process_is_told_before_the_writer_is_answered(
    world: World, standby: Standby, settings: Settings, valkey: Valkey
) -> None:
    elsewhere = WrittenPositions(valkey, replace(settings, database_replica_lag_seconds=0.01))
    await world.until_on_replica(world.me)
    await standby.replay(paused=True)
    try:
        await world.rename(world.me, "new")
        assert await elsewhere.of(world.me) is None, "a connection is not believed at once: its server may have forgotten"
        await asyncio.sleep(0.02)
        position = await elsewhere.of(world.me)
        assert position == await world.written.of(world.me) != 0
        assert (await elsewhere.of(world.them) or 0) < (position or 0)
    finally:
        await standby.replay(paused=False)
        await elsewhere.close()


async def test_the_furthest_position_counts_in_whatever_order_writers_tell(world: World) -> None:
    await world.until_on_replica(world.me)
    await world.written.tell(world.me, 2**52 + 1)
    await world.written.tell(world.me, 7)
    assert await world.written.of(world.me) == 2**52 + 1
    assert (await world.written.of(world.them) or 0) < 2**52
    assert await world.read(world.me) == ("old", False), "no replica has replayed that much"


async def test_a_position_is_told_before_the_facts_are(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever hears of a change, or keeps what was made after it, must not read it from a replica that lacks it."""
    told: list[str] = []
    scopes = TenantScopes(world.scopes.pool, acquire_seconds=2, written=world.written, committed=lambda _: told.append("facts"))

    async def tell(*_: object) -> None:
        await asyncio.sleep(0)
        told.append("position")

    monkeypatch.setattr(world.written, "tell", tell)
    async with scopes.writing(world.me) as scope:
        await scope.run(RENAME, world.me, "new")
        scope.tell(world.me)
    assert told == ["position", "facts"]


async def test_an_operation_sees_what_was_written_before_it_and_asks_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.until_on_replica(world.me)
    asked, of = 0, world.written.of

    async def counting(tenant_id: UUID) -> int | None:
        nonlocal asked
        asked += 1
        return await of(tenant_id)

    monkeypatch.setattr(world.written, "of", counting)
    reads = world.replica.reads()
    assert [await world.read(world.me, reads) for _ in range(3)] == [("old", True)] * 3
    assert asked == 1


async def test_while_valkey_is_away_the_primary_is_read_and_a_write_waits_until_replicas_must_have_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.until_on_replica(world.me)

    async def away(*_: object, **__: object) -> Any:
        raise ConnectionError("away")

    monkeypatch.setattr(world.written._wire, "asked", away)
    monkeypatch.setattr(world.written, "_told", away)
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("events.positions.asyncio.sleep", sleep)
    await world.rename(world.me, "new")
    assert waits == [LAG * 1.25]
    assert await world.read(world.me) == ("new", False)


async def test_a_statement_that_the_replica_fails_is_asked_at_the_primary(world: World, standby: Standby) -> None:
    await world.until_on_replica(world.me)
    async with world.replica.reads().reading(world.me) as scope:
        first = await scope.row(NAME, world.me)
        async with connected(standby.addresses, "postgres", "postgres") as admin:
            await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1", APPLICATION)
        second = await scope.row(NAME, world.me)
    assert first is not None
    assert second is not None
    assert (first["on_replica"], second["on_replica"]) == (True, False)
    assert await world.until_on_replica(world.me) == "old"


async def test_a_statement_that_the_replica_does_not_answer_is_asked_at_the_primary(world: World, lines: Lines) -> None:
    await world.until_on_replica(world.me)
    async with world.replica.reads().reading(world.me) as scope:
        assert await scope.value("SELECT pg_is_in_recovery()") is True
        lines.fall_silent()
        assert await scope.value("SELECT pg_is_in_recovery()") is False


async def test_a_replica_that_is_no_longer_one_is_not_read(world: World, stack: Addresses, database: str, settings: Settings) -> None:
    async with await opened(stack, database, settings) as promoted:
        replica = Replica(promoted, world.scopes, world.written, lag_seconds=1)
        await replica._look_at_primary()
        await replica._look_at_replica()
        async with replica.reads().reading(world.me) as scope:
            await scope.rows(NAME, world.me)
        assert len(promoted._all) <= 1, "only the look itself went there"
        assert await replica.begun("BEGIN READ ONLY", 0) is None


async def test_a_replica_that_is_too_far_behind_is_not_read_whoever_asks(world: World, standby: Standby, stack: Addresses) -> None:
    await world.until_on_replica(world.me)
    await standby.replay(paused=True)
    try:
        await world.rename(world.them, "elsewhere")
        strict = Replica(world.replica.pool, world.scopes, world.written, lag_seconds=0.5)
        await strict._look_at_primary()
        await strict._look_at_replica()
        async with strict.reads().reading(world.me) as scope:
            assert (await scope.rows(NAME, world.me))[0]["on_replica"] is False
    finally:
        await standby.replay(paused=False)
