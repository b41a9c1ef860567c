"""A pool lends its few connections to everybody in turn, whatever becomes of those who wait and of the connections."""

import asyncio
import time
from collections.abc import AsyncIterator

import asyncpg
import pytest

from db.metrics import CONNECTIONS, MOST, PENDING, TIMEOUTS, WAITED
from db.pools import Connection, DatabaseIsUnavailable, Pool, open_pool
from settings import Settings
from telemetry.instruments import OTHER, Gauge

SIZE = 2


@pytest.fixture
async def pool(settings: Settings) -> AsyncIterator[Pool]:
    async with await open_pool(settings.database_url, settings, size=SIZE, application="pools") as pool:
        yield pool


async def all_of(pool: Pool) -> list[Connection]:
    return [await pool.acquire(seconds=2) for _ in range(SIZE)]


def closed(*connections: Connection) -> asyncio.Event:
    """Set when all of these are closed."""
    event, open_ones = asyncio.Event(), set(connections)

    def note(connection: Connection) -> None:
        open_ones.discard(connection)
        if not open_ones:
            event.set()

    for connection in connections:
        connection.add_termination_listener(note)
    return event


async def alive(connection: Connection) -> bool:
    return bool(await connection.fetchval("SELECT 1") == 1)


async def test_the_connection_that_was_used_last_is_lent_first(pool: Pool) -> None:
    one, other = await all_of(pool)
    pool.release(one)
    pool.release(other)
    assert pool.take() is other
    assert pool.take() is one
    assert pool.take() is None
    pool.release(one)
    pool.release(other)


async def test_those_who_wait_are_served_in_turn(pool: Pool) -> None:
    one, other = await all_of(pool)
    waiting = [asyncio.create_task(pool.acquire(seconds=5)) for _ in range(3)]
    await asyncio.sleep(0)
    pool.release(other)
    assert await waiting[0] is other
    pool.release(one)
    # Whoever comes now does not get before those who wait.
    late = asyncio.create_task(pool.acquire(seconds=5))
    assert await waiting[1] is one
    pool.release(one)
    assert await waiting[2] is one
    pool.release(other)
    assert await late is other
    pool.release(one)
    pool.release(other)


async def test_who_gives_up_waiting_loses_no_connection(pool: Pool) -> None:
    one, other = await all_of(pool)
    for moment in ("before", "after"):
        impatient, patient = (asyncio.create_task(pool.acquire(seconds=5)) for _ in range(2))
        await asyncio.sleep(0)
        if moment == "before":
            impatient.cancel()
        pool.release(one)
        impatient.cancel()
        assert await patient is one
        with pytest.raises(asyncio.CancelledError):
            await impatient
    pool.release(one)
    pool.release(other)
    assert {await pool.acquire(seconds=1), await pool.acquire(seconds=1)} == {one, other}
    pool.release(one)
    pool.release(other)


async def test_waiting_has_an_end(pool: Pool) -> None:
    one, other = await all_of(pool)
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        await pool.acquire(seconds=0.05)
    assert time.monotonic() - began < 10
    pool.release(one)
    assert await pool.acquire(seconds=1) is one
    pool.release(one)
    pool.release(other)


async def test_a_connection_that_comes_back_broken_lets_the_next_in_line_open_one(pool: Pool) -> None:
    one, other = await all_of(pool)
    waiting = asyncio.create_task(pool.acquire(seconds=5))
    await asyncio.sleep(0)
    one.terminate()
    pool.release(one)
    new = await waiting
    assert new not in {one, other}
    assert await alive(new)
    pool.release(new)
    pool.release(other)


async def test_a_connection_that_breaks_while_idle_is_not_lent(pool: Pool) -> None:
    one, other = await all_of(pool)
    pool.release(one)
    pool.release(other)
    other.terminate()
    assert await pool.acquire(seconds=1) is one
    new = await pool.acquire(seconds=2)
    assert await alive(new)
    pool.release(one)
    pool.release(new)


async def test_a_connection_that_comes_back_in_a_transaction_is_thrown_away(pool: Pool) -> None:
    connection = await pool.acquire(seconds=2)
    await connection.execute("BEGIN")
    pool.release(connection)
    assert connection.is_closed()
    assert pool.take() is None


async def test_opening_that_fails_lets_the_next_in_line_try(settings: Settings) -> None:
    real = await open_pool(settings.database_url, settings, size=1, application="pools")
    attempts: list[int] = []
    tried = asyncio.Event()

    async def connect() -> Connection:
        attempts.append(1)
        if len(attempts) < 3:
            await tried.wait()
            raise ConnectionRefusedError
        return await real._connect()

    async with Pool(connect, size=1) as pool:
        asking = [asyncio.create_task(pool.acquire(seconds=5)) for _ in range(3)]
        await asyncio.sleep(0)
        tried.set()
        for task in asking[:2]:
            with pytest.raises(ConnectionRefusedError):
                await task
        connection = await asking[2]
        assert await alive(connection)
        pool.release(connection)


async def test_what_nobody_needs_is_closed_and_what_is_old_replaced(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = await all_of(pool)
    both_closed = closed(one, other)
    monkeypatch.setattr("db.pools.LONGEST_SECONDS", 0.0)
    pool.release(one)
    assert pool.take() is None
    monkeypatch.undo()
    monkeypatch.setattr("db.pools.IDLE_SECONDS", 0.0)
    pool.release(other)
    await asyncio.wait_for(both_closed.wait(), 5)
    assert pool.take() is None
    new = await pool.acquire(seconds=2)
    assert await alive(new)
    pool.release(new)


async def test_closing_waits_for_what_is_lent_and_lends_no_more(settings: Settings) -> None:
    pool = await open_pool(settings.database_url, settings, size=SIZE, application="pools")
    idle, lent = await all_of(pool)
    pool.release(idle)
    idle_closed = closed(idle)
    closing = asyncio.create_task(pool.close())
    await asyncio.wait_for(idle_closed.wait(), 5)
    with pytest.raises(DatabaseIsUnavailable):
        await pool.acquire(seconds=1)
    assert not closing.done()
    assert await alive(lent)
    pool.release(lent)
    await closing
    assert lent.is_closed()


async def test_closing_waits_for_what_is_lent_also_after_there_was_nothing(settings: Settings) -> None:
    real = await open_pool(settings.database_url, settings, size=SIZE, application="pools")
    failures = [ConnectionRefusedError()]

    async def connect() -> Connection:
        if failures:
            raise failures.pop()
        return await real._connect()

    pool = Pool(connect, size=SIZE)
    with pytest.raises(ConnectionRefusedError):
        await pool.acquire(seconds=2)
    lent = await pool.acquire(seconds=2)
    closing = asyncio.create_task(pool.close())
    await asyncio.sleep(0)
    assert await alive(lent)
    assert not closing.done()
    pool.release(lent)
    await asyncio.wait_for(closing, 5)
    assert lent.is_closed()


async def test_a_pool_that_closes_lends_nothing_that_is_idle(settings: Settings) -> None:
    pool = await open_pool(settings.database_url, settings, size=SIZE, application="pools")
    for connection in await all_of(pool):
        pool.release(connection)
    closing = asyncio.create_task(pool.close())
    await asyncio.sleep(0)
    assert pool.take() is None
    await asyncio.wait_for(closing, 5)


async def test_terminating_cuts_everything_off(settings: Settings) -> None:
    pool = await open_pool(settings.database_url, settings, size=SIZE, application="pools")
    idle, lent = await all_of(pool)
    pool.release(idle)
    pool.terminate()
    assert idle.is_closed()
    assert lent.is_closed()
    pool.release(lent)


async def test_a_statement_stays_prepared(pool: Pool) -> None:
    """PostgreSQL plans it once for a connection, however many others come in between."""
    connection = await pool.acquire(seconds=2)
    for number in range(150):
        assert await connection.fetchval(f"SELECT {number}::int4") == number
    statement = "SELECT count(*) FROM pg_prepared_statements WHERE statement = 'SELECT 0::int4'"
    assert await connection.fetchval(statement) == 1
    pool.release(connection)


async def test_a_lingering_transaction_whose_end_fails_in_any_way_costs_no_place(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    (connection, other) = await all_of(pool)
    gone = closed(connection)

    async def fail(*_: object, **__: object) -> str:
        raise asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress")

    await connection.execute("BEGIN READ ONLY")
    connection.lingers = "BEGIN READ ONLY"
    monkeypatch.setattr(connection, "execute", fail)
    pool.release(connection)
    await asyncio.wait_for(gone.wait(), 5)
    pool.release(other)
    again = await all_of(pool)
    assert all([await alive(one) for one in again]), "as many can be lent as before"
    for one in again:
        pool.release(one)


def told(instrument: Gauge) -> dict[str, float]:
    """What is told of pools with names of their own, by state where it is told apart."""
    mine = [one for one in instrument.series if one.attributes["db.client.connection.pool.name"] == OTHER]
    return {str(one.attributes.get("db.client.connection.state", "all")): one.value for one in mine}


async def test_connections_and_those_who_wait_for_them_are_told(settings: Settings) -> None:
    async with await open_pool(settings.database_url, settings, size=SIZE, application="pools", name="mine") as pool:
        one, other = await all_of(pool)
        assert told(CONNECTIONS) == {"idle": 0, "used": 2}
        assert told(MOST) == {"all": SIZE}
        waiting = asyncio.create_task(pool.acquire(seconds=5))
        await asyncio.sleep(0)
        assert told(PENDING) == {"all": 1}
        pool.release(other)
        assert await waiting is other
        pool.release(one)
        assert told(CONNECTIONS) == {"idle": 1, "used": 1}
        assert told(PENDING) == {"all": 0}
        pool.release(other)


async def test_who_waits_is_counted_and_who_waits_in_vain(settings: Settings) -> None:
    waited, vain = WAITED.of("mine"), TIMEOUTS.of("mine")
    before = sum(waited.counts), vain.value
    async with await open_pool(settings.database_url, settings, size=SIZE, application="pools", name="mine") as pool:
        one, other = await all_of(pool)
        with pytest.raises(TimeoutError):
            await pool.acquire(seconds=0.01)
        pool.release(one)
        assert await pool.acquire(seconds=1) is one
        pool.release(one)
        pool.release(other)
    # Two were opened and one waited; the one that was idle was nobody's to wait for.
    assert (sum(waited.counts), vain.value) == (before[0] + SIZE + 1, before[1] + 1)
