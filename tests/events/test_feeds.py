"""Facts are told in one order to everybody, none is lost behind a transaction that commits late, and none is told twice."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from valkey.asyncio import Valkey

from db.scopes import SystemScopes, TenantScopes
from db.statements import facts
from events.facts import RoleCreated, record
from events.feeds import NIL, Concerns, Feeds, Happened, Place
from events.hints import Hints
from events.pruning import MARGIN, Pruning
from events.tails import Tails
from events.versions import Versions
from settings import Settings
from tests.events.tenants import new_tenant
from web.works import Process

PATIENCE = 30.0
START = Place(0, 0, NIL)


@pytest.fixture
async def tenant_id(process: Process) -> UUID:
    return await new_tenant(process)


@contextlib.asynccontextmanager
async def feeding(process: Process, settings: Settings, *, hints: bool = True) -> AsyncIterator[Feeds]:
    """The feeds of another process, with settings of its own; without hints only its looks find facts."""
    tails = Tails(process.blocking, process.valkey, settings.valkey_prefix)
    prefix = settings.valkey_prefix if hints else uuid4().hex
    given = Hints(process.valkey, process.versions, replace(settings, valkey_prefix=prefix))
    versions = process.versions
    feeds = Feeds(scopes=process.works.scopes, system=process.system, tails=tails, hints=given, versions=versions, settings=settings)
    try:
        yield feeds
    finally:
        await feeds.close()
        await tails.close()


def anything(_: Happened) -> bool:
    return True


class Reader:
    """Reads a tenant's facts in a task until it has enough."""

    def __init__(self, feeds: Feeds, tenant_id: UUID, *, after: Place = START, concerns: Concerns = anything) -> None:
        self.heard: list[Happened] = []
        self._more = asyncio.Condition()
        self._follower = feeds.follow(tenant_id, after, concerns)
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async with contextlib.aclosing(self._follower.told()) as stream:
            async for happened in stream:
                async with self._more:
                    self.heard.append(happened)
                    self._more.notify_all()

    @property
    def ids(self) -> list[UUID]:
        return [happened.row["subject_id"] for happened in self.heard]

    async def hears(self, count: int) -> None:
        """Wait until it has heard so many."""
        async with asyncio.timeout(PATIENCE), self._more:
            await self._more.wait_for(lambda: len(self.heard) >= count)

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def written(scopes: TenantScopes, tenant_id: UUID, count: int = 1, *, pause: float = 0.0) -> list[UUID]:
    """Record facts in one transaction, which stays open for a moment after."""
    ids = [uuid4() for _ in range(count)]
    async with scopes.writing(tenant_id) as scope:
        await record(scope, tenant_id, *(RoleCreated(role_id=one) for one in ids))
        if pause:
            await asyncio.sleep(pause)
    return ids


async def all_ids(scopes: TenantScopes, tenant_id: UUID) -> list[UUID]:
    """What the table holds, in the order that it is told in."""
    async with scopes.reading(tenant_id) as scope:
        rows = await facts.after(scope, tenant_id, START, 1_000_000)
    return [row["subject_id"] for row in rows if row["id"] is not None]


async def test_facts_of_a_transaction_are_told_in_their_order(process: Process, tenant_id: UUID, scopes: TenantScopes) -> None:
    async with feeding(process, process.works.settings) as feeds:
        reader = Reader(feeds, tenant_id)
        ids = await written(scopes, tenant_id, 20) + await written(scopes, tenant_id, 20)
        await reader.hears(40)
        await reader.stop()
    assert reader.ids == ids


async def test_what_is_undone_never_happened(process: Process, tenant_id: UUID, scopes: TenantScopes) -> None:
    async def undone() -> None:
        async with scopes.writing(tenant_id) as scope:
            await record(scope, tenant_id, RoleCreated(role_id=uuid4()))
            raise LookupError

    with pytest.raises(LookupError):
        await undone()
    assert await all_ids(scopes, tenant_id) == []


async def test_a_transaction_that_commits_late_is_waited_for(process: Process, tenant_id: UUID, scopes: TenantScopes) -> None:
    """The later transaction has committed, and its fact could be read: it is told only after the earlier one's."""
    wrote, go = asyncio.Event(), asyncio.Event()
    early, late = uuid4(), uuid4()

    async def slow() -> None:
        async with scopes.writing(tenant_id) as scope:
            await record(scope, tenant_id, RoleCreated(role_id=early))
            wrote.set()
            await go.wait()

    async with feeding(process, process.works.settings) as feeds:
        reader = Reader(feeds, tenant_id)
        task = asyncio.create_task(slow())
        await wrote.wait()
        async with scopes.writing(tenant_id) as scope:
            await record(scope, tenant_id, RoleCreated(role_id=late))
        async with scopes.reading(tenant_id) as reading:
            row = (await facts.after(reading, tenant_id, START, 10))[0]
        assert (row["subject_id"], row["settled"]) == (late, False)
        assert reader.heard == []
        go.set()
        await task
        await reader.hears(2)
        await reader.stop()
    assert reader.ids == [early, late]


@pytest.mark.parametrize("hints", [True, False], ids=["hints", "looks"])
async def test_many_writers_and_readers_that_come_and_go_agree(
    process: Process, tenant_id: UUID, scopes: TenantScopes, settings: Settings, *, hints: bool
) -> None:
    """Transactions overlap, some hold on; readers stop and go on from their last place, are slow, or have hardly any room."""
    narrow = replace(settings, event_backlog=3, event_poll_seconds=0.1)
    chance = random.Random(7)

    async def writer(number: int) -> None:
        for _ in range(25):
            await written(scopes, tenant_id, chance.randint(1, 4), pause=chance.choice([0, 0, 0, 0.001, 0.03]))
            await asyncio.sleep(chance.random() * 0.01 * number)

    async def wanderer(feeds: Feeds, done: asyncio.Event) -> list[UUID]:
        heard: list[Happened] = []
        while True:
            reader = Reader(feeds, tenant_id, after=heard[-1].place if heard else START)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(done.wait(), chance.random() * 0.1)
            # Once: it may be set while the reader stops.
            if is_last := done.is_set():
                await reader.hears(len(await all_ids(scopes, tenant_id)) - len(heard))
            await reader.stop()
            heard += reader.heard
            if is_last:
                return [happened.row["subject_id"] for happened in heard]

    async with feeding(process, narrow, hints=hints) as feeds, feeding(process, narrow, hints=hints) as others:
        done = asyncio.Event()
        steady = [Reader(feeds, tenant_id), Reader(others, tenant_id)]
        wanderers = [asyncio.create_task(wanderer(one, done)) for one in (feeds, others, feeds)]
        await asyncio.gather(*(writer(number) for number in range(6)))
        expected = await all_ids(scopes, tenant_id)
        done.set()
        for reader in steady:
            await reader.hears(len(expected))
            await reader.stop()
        roads = await asyncio.gather(*wanderers)
    assert len(set(expected)) == len(expected) > 300
    assert [reader.ids for reader in steady] == [expected, expected]
    assert roads == [expected] * 3


async def test_a_reader_of_the_newest_first_would_lose_facts(tenant_id: UUID, scopes: TenantScopes) -> None:
    """The control: whoever goes on behind the last place seen, settled or not, misses what commits behind it."""
    heard: list[UUID] = []
    stop = asyncio.Event()

    async def naive() -> None:
        place = START
        while not stop.is_set():
            async with scopes.reading(tenant_id) as scope:
                rows = [row for row in await facts.after(scope, tenant_id, place, 500) if row["id"] is not None]
            heard.extend(row["subject_id"] for row in rows)
            place = max([place, *(Place(row["era"], row["xact"], row["id"]) for row in rows)])
            await asyncio.sleep(0)

    reading = asyncio.create_task(naive())
    first = asyncio.create_task(written(scopes, tenant_id, pause=0.2))
    await asyncio.sleep(0.05)
    await written(scopes, tenant_id)
    (lost,) = await first
    stop.set()
    await reading
    assert lost in await all_ids(scopes, tenant_id)
    assert lost not in heard


async def test_a_follower_hears_only_what_concerns_it(process: Process, tenant_id: UUID, scopes: TenantScopes) -> None:
    async with feeding(process, process.works.settings) as feeds:
        wanted = uuid4()
        picky = Reader(feeds, tenant_id, concerns=lambda happened: bool(happened.row["subject_id"] == wanted))
        all_of_it = Reader(feeds, tenant_id)
        other = await new_tenant(process)
        await written(scopes, other, 3)
        await written(scopes, tenant_id, 5)
        async with scopes.writing(tenant_id) as scope:
            await record(scope, tenant_id, RoleCreated(role_id=wanted))
        await picky.hears(1)
        await all_of_it.hears(6)
        for reader in (picky, all_of_it):
            await reader.stop()
    assert picky.ids == [wanted]
    assert {happened.row["tenant_id"] for happened in all_of_it.heard} == {tenant_id}


async def test_one_follower_s_mistake_is_its_own(process: Process, tenant_id: UUID, scopes: TenantScopes) -> None:
    def mistaken(_: Happened) -> bool:
        raise LookupError("a follower's own mistake")

    async with feeding(process, process.works.settings) as feeds:
        bad = Reader(feeds, tenant_id, after=await feeds.now(tenant_id), concerns=mistaken)
        good = Reader(feeds, tenant_id)
        await asyncio.sleep(0.05)
        ids = await written(scopes, tenant_id, 3)
        await good.hears(3)
        with pytest.raises(LookupError):
            await asyncio.wait_for(bad.task, PATIENCE)
        await good.stop()
    assert good.ids == ids


async def test_nobody_is_read_for_when_nobody_follows(process: Process, tenant_id: UUID) -> None:
    async with feeding(process, process.works.settings) as feeds:
        readers = [Reader(feeds, tenant_id) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert list(feeds._feeds) == [tenant_id]
        for reader in readers:
            await reader.stop()
        assert feeds._feeds == {}


async def test_facts_come_while_valkey_is_away(process: Process, tenant_id: UUID, scopes: TenantScopes, settings: Settings) -> None:
    nowhere = Valkey(host="127.0.0.1", port=1, socket_connect_timeout=0.1)
    tails = Tails(nowhere, nowhere, "nowhere")
    quick = replace(settings, event_poll_seconds=0.1)
    versions = Versions(nowhere, settings)
    hints = Hints(nowhere, versions, settings)
    feeds = Feeds(scopes=scopes, system=process.system, tails=tails, hints=hints, versions=versions, settings=quick)
    reader = Reader(feeds, tenant_id)
    ids = await written(scopes, tenant_id, 2)
    await reader.hears(2)
    await reader.stop()
    await feeds.close()
    await versions.close()
    await tails.close()
    await nowhere.aclose()
    assert reader.ids == ids


@pytest.mark.parametrize("is_late", [False, True], ids=["follows", "comes later"])
async def test_who_hears_of_a_fact_is_given_nothing_older_whatever_became_of_its_writer(
    process: Process, tenant_id: UUID, settings: Settings, monkeypatch: pytest.MonkeyPatch, *, is_late: bool
) -> None:
    """The writer is killed between its commit and its hint. Its facts are found all the same, and renew the version once for all."""
    dying = TenantScopes(process.works.scopes.pool, acquire_seconds=settings.database_acquire_seconds)
    versions = Versions(process.valkey, settings)
    renewed: list[UUID] = []
    renew = versions.renew

    async def counted(tenant_id: UUID) -> None:
        renewed.append(tenant_id)
        assert all(reader.heard == [] for reader in readers)
        await renew(tenant_id)

    monkeypatch.setattr(versions, "renew", counted)
    readers: list[Reader] = []
    async with feeding(replace(process, versions=versions), replace(settings, event_poll_seconds=0.02)) as feeds:
        if is_late:
            await written(dying, tenant_id, 3)
        before = await versions.of(tenant_id)
        readers += [Reader(feeds, tenant_id) for _ in range(4)]
        if not is_late:
            await written(dying, tenant_id, 3)
        for reader in readers:
            await reader.hears(3)
        assert await versions.of(tenant_id) != before
        for reader in readers:
            await reader.stop()
    await versions.close()
    assert renewed == [tenant_id]


async def test_a_place_is_kept_as_long_as_not_too_much_lies_behind_it(process: Process, tenant_id: UUID, scopes: TenantScopes) -> None:
    feeds = process.works.feeds
    before = await feeds.now(tenant_id)
    await written(scopes, tenant_id, 3)
    assert await feeds.is_kept(tenant_id, before, 3)
    assert not await feeds.is_kept(tenant_id, before, 2)
    # As after a restore: the database has not come as far as the cursor says.
    assert not await feeds.is_kept(tenant_id, Place(before.era, before.xact + 1_000_000, NIL), 3)
    assert not await feeds.is_kept(tenant_id, Place(before.era + 1, 1, NIL), 3)


async def test_old_facts_are_taken_away_and_no_others(
    process: Process, system: SystemScopes, scopes: TenantScopes, settings: Settings
) -> None:
    tenants = [await new_tenant(process), await new_tenant(process)]
    ids = {tenant_id: await written(scopes, tenant_id, 4) for tenant_id in tenants}
    pruning = Pruning(system, settings)
    assert {tenant_id: await all_ids(scopes, tenant_id) for tenant_id in tenants} == ids
    await pruning.prune(datetime.now(UTC))
    assert {tenant_id: await all_ids(scopes, tenant_id) for tenant_id in tenants} == ids
    later = datetime.now(UTC) + timedelta(hours=settings.event_window_hours) + MARGIN
    assert await pruning.prune(later) >= 8
    assert {tenant_id: await all_ids(scopes, tenant_id) for tenant_id in tenants} == {tenant_id: [] for tenant_id in tenants}
