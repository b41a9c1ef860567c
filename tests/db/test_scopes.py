"""A scope is one transaction of one tenant, whatever happens in it, to it, or around it."""

import asyncio
import contextlib
import contextvars
import random
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from db.pools import DatabaseIsUnavailable, Pool, open_pool
from db.scopes import Reading, ScopeIsBusy, ScopeIsClosed, ScopeIsOpen, ScopeWasUndone, SystemScopes, TenantScopes
from db.transactions import Transaction
from settings import Secret, Settings
from stack.addresses import Addresses
from tests.db.databases import connected, undone

POOL_SIZE = 2
SEED = 20261122
TENANT_SETTING = "SELECT current_setting('app.tenant_id', true)"
INSERT = "INSERT INTO penny.idempotency_keys (tenant_id, principal_id, key_hash, input_hash, result) VALUES ($1, $1, $2, '', '{}')"
COUNT = "SELECT count(*) FROM penny.idempotency_keys"


async def unfinished(connection: Any) -> bool:
    """Whether a connection has a transaction open that it should not have, or names a tenant outside of any."""
    if connection.lingers is not None:
        assert await connection.execute("COMMIT") == "COMMIT"
        connection.lingers = None
    return bool(connection.is_in_transaction() or await connection.fetchval(TENANT_SETTING))


@dataclass(frozen=True)
class Small:
    """Scopes over pools of two connections, and two tenants."""

    pool: Pool
    scopes: TenantScopes
    system: SystemScopes
    me: UUID
    them: UUID

    async def whole(self) -> bool:
        """Whether every connection of the pool can be had, has no transaction open and names no tenant."""
        held = [await self.pool.acquire(seconds=1) for _ in range(POOL_SIZE)]
        try:
            return not any([await unfinished(one) for one in held])
        finally:
            for one in held:
                self.pool.release(one)


@pytest.fixture
async def small(settings: Settings, stack: Addresses, database: str) -> AsyncIterator[Small]:
    me, them = uuid4(), uuid4()
    async with connected(stack, "postgres", database) as admin:
        for tenant_id in (me, them):
            await admin.execute("INSERT INTO penny.tenants (tenant_id, slug, name) VALUES ($1, $2, 'Acme')", tenant_id, tenant_id.hex)
    async with (
        await open_pool(settings.database_url, settings, size=POOL_SIZE, application="scopes") as pool,
        await open_pool(settings.database_system_url, settings, size=POOL_SIZE, application="system scopes") as system_pool,
    ):
        yield Small(pool, TenantScopes(pool, acquire_seconds=1), SystemScopes(system_pool, acquire_seconds=1), me, them)


OPENERS: dict[str, Callable[[Small], Any]] = {
    "reading": lambda small: small.scopes.reading(small.them),
    "writing": lambda small: small.scopes.writing(small.them),
    "system reading": lambda small: small.system.reading(),
    "system writing": lambda small: small.system.writing(),
    "system writing for a tenant": lambda small: small.system.writing(small.them),
}


@pytest.mark.parametrize("inner", OPENERS)
@pytest.mark.parametrize("outer", OPENERS)
async def test_a_scope_inside_a_scope_is_refused_and_the_outer_one_goes_on(small: Small, outer: str, inner: str) -> None:
    async with OPENERS[outer](small) as scope:
        before = await scope.value(TENANT_SETTING)
        with pytest.raises(ScopeIsOpen):
            async with OPENERS[inner](small):
                pytest.fail("a scope was opened inside another one")
        assert await scope.value(TENANT_SETTING) == before
    async with OPENERS[inner](small) as scope:
        assert await scope.value("SELECT 1") == 1
    assert await small.whole()


async def test_a_child_task_that_inherits_a_scope_cannot_open_another(small: Small) -> None:
    async def child() -> None:
        async with small.scopes.reading(small.them):
            pytest.fail("a scope was opened inside another one")

    async with small.scopes.reading(small.me) as scope:
        with pytest.raises(ScopeIsOpen):
            await asyncio.create_task(child())
        assert await scope.value(TENANT_SETTING) == str(small.me)


async def test_scopes_of_different_tasks_do_not_meet(small: Small) -> None:
    async def tenant_of(tenant_id: UUID) -> object:
        async with small.scopes.reading(tenant_id) as scope:
            await asyncio.sleep(0)
            return await scope.value(TENANT_SETTING)

    tenants = [small.me, small.them] * 20
    assert await asyncio.gather(*map(tenant_of, tenants)) == [str(tenant_id) for tenant_id in tenants]


async def test_two_queries_at_once_are_refused_and_the_scope_goes_on(small: Small) -> None:
    async with small.scopes.writing(small.me) as scope:
        outcomes = await asyncio.gather(scope.value("SELECT 1"), scope.value("SELECT 2"), scope.run("SELECT 3"), return_exceptions=True)
        assert outcomes[0] == 1
        assert [type(outcome) for outcome in outcomes[1:]] == [ScopeIsBusy, ScopeIsBusy]
        assert await scope.run(INSERT, small.me, b"both") == 1
    async with small.scopes.reading(small.me) as scope:
        assert await scope.value(COUNT) == 1


async def test_a_scope_needs_a_tenant_s_id_and_nothing_else(small: Small) -> None:
    for wrong in (None, str(small.me), "'; RESET ROLE; --"):
        with pytest.raises(TypeError):
            async with small.scopes.reading(wrong):  # type: ignore[arg-type] # what is refused
                pytest.fail("a scope was opened without a tenant")
    assert await small.whole()


async def test_an_exception_undoes_what_was_written(small: Small) -> None:
    async def work() -> None:
        async with small.scopes.writing(small.me) as scope:
            await scope.run(INSERT, small.me, b"undone")
            raise LookupError

    with pytest.raises(LookupError):
        await work()
    async with small.scopes.writing(small.me) as after:
        assert await after.value(COUNT) == 0
        await after.run(INSERT, small.me, b"kept")
    async with small.scopes.reading(small.me) as later:
        assert await later.value(COUNT) == 1
    assert await small.whole()


async def test_a_scope_that_goes_on_after_an_error_says_that_nothing_was_kept(small: Small) -> None:
    async def work() -> None:
        async with small.scopes.writing(small.me) as scope:
            await scope.run(INSERT, small.me, b"undone")
            with pytest.raises(asyncpg.UniqueViolationError):
                await scope.run(INSERT, small.me, b"undone")

    with pytest.raises(ScopeWasUndone):
        await work()
    async with small.scopes.reading(small.me) as scope:
        assert await scope.value(COUNT) == 0
    assert await small.whole()


async def test_a_reading_scope_cannot_write(small: Small) -> None:
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        async with small.scopes.reading(small.me) as scope:
            await scope.rows(INSERT, small.me, b"read only")
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        async with small.system.reading() as scope:
            await scope.rows("INSERT INTO directory.tenant_slugs (slug, tenant_id) VALUES ('slug', $1)", small.me)
    assert await small.whole()


@pytest.mark.parametrize("verb", ["rows", "row", "value", "run"])
async def test_a_second_statement_in_one_text_is_refused(small: Small, verb: str) -> None:
    switch = f"SELECT 1; SET LOCAL app.tenant_id = '{small.them}'"
    with pytest.raises(asyncpg.PostgresSyntaxError, match="multiple commands"):
        async with small.scopes.writing(small.me) as scope:
            await getattr(scope, verb)(switch)


async def test_begins_that_fail_leave_the_pool_whole(small: Small) -> None:
    for _ in range(3 * POOL_SIZE):
        with pytest.raises(asyncpg.InvalidParameterValueError):
            async with Transaction(small.pool, 1, "BEGIN; SET LOCAL statement_timeout = 'never'", Reading):
                pytest.fail("a transaction began that could not")
    assert await small.whole()
    async with small.scopes.reading(small.me) as scope:
        assert await scope.value(TENANT_SETTING) == str(small.me)


async def test_a_scope_that_ended_reaches_no_connection(small: Small) -> None:
    async with small.scopes.reading(small.me) as ended:
        assert await ended.value("SELECT 1") == 1
    async with small.scopes.writing(small.them):
        for verb in (ended.rows, ended.row, ended.value):
            with pytest.raises(ScopeIsClosed):
                await verb(COUNT)


async def test_a_scope_that_ends_under_a_query_is_refused_and_its_connection_thrown_away(small: Small) -> None:
    async def work() -> None:
        async with small.scopes.writing(small.me) as scope:
            await scope.run(INSERT, small.me, b"lost")
            left = asyncio.create_task(scope.value("SELECT pg_sleep(30)"))
            await asyncio.sleep(0)
            lefts.append(left)

    lefts: list[asyncio.Task[object]] = []
    with pytest.raises(ScopeIsBusy):
        await work()
    with pytest.raises(asyncpg.PostgresConnectionError):
        await lefts[0]
    async with small.scopes.reading(small.me) as scope:
        assert await scope.value(COUNT) == 0
    assert await small.whole()


BEGAN = "SELECT xact_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"


async def test_reads_of_a_tenant_that_follow_each_other_share_a_transaction_and_see_each_commit(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.pools.LINGER_SECONDS", 60)
    monkeypatch.setattr("db.transactions.LONGEST_READING_SECONDS", 60)
    began = set()
    for number in range(3):
        async with small.scopes.reading(small.me) as scope:
            began.add(await scope.value(BEGAN))
            assert await scope.value(COUNT) == number
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(written(small, number), context=contextvars.Context())
            assert await scope.value(COUNT) == number + 1
    assert len(began) == 1
    assert await small.whole()


async def written(small: Small, number: int) -> None:
    async with small.scopes.writing(small.me) as scope:
        await scope.run(INSERT, small.me, number.to_bytes(4))


@pytest.mark.parametrize("opened", ["reading", "writing"])
async def test_a_begin_that_is_cut_off_takes_its_connection_with_it(small: Small, opened: str) -> None:
    """Nobody knows whether it came about, and what came next would run in a transaction of another kind."""
    connection = await small.pool.acquire(seconds=1)
    small.pool.release(connection)
    task = asyncio.create_task(OPENERS[opened](small).__aenter__())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert connection.is_closed()
    await written(small, 1)
    assert await small.whole()


async def test_a_transaction_that_lingers_serves_no_other_tenant_and_no_writer(small: Small) -> None:
    async with small.scopes.reading(small.me) as scope:
        mine = await scope.row("SELECT current_setting('app.tenant_id') AS tenant, pg_backend_pid() AS pid")
    async with small.scopes.reading(small.them) as scope:
        theirs = await scope.row("SELECT current_setting('app.tenant_id') AS tenant, pg_backend_pid() AS pid")
    async with small.scopes.writing(small.me) as scope:
        assert await scope.value("SHOW transaction_read_only") == "off"
        assert await scope.value(TENANT_SETTING) == str(small.me)
    assert mine is not None
    assert theirs is not None
    assert (mine["tenant"], theirs["tenant"]) == (str(small.me), str(small.them))
    assert mine["pid"] == theirs["pid"]
    assert await small.whole()


async def test_a_read_that_failed_lingers_for_nobody(small: Small) -> None:
    async def work() -> None:
        async with small.scopes.reading(small.me) as scope:
            with pytest.raises(asyncpg.DivisionByZeroError):
                await scope.value("SELECT 1 / 0")

    with pytest.raises(ScopeWasUndone):
        await work()
    with pytest.raises(LookupError):
        async with small.scopes.reading(small.me):
            raise LookupError
    async with small.scopes.reading(small.me) as scope:
        assert await scope.value("SELECT 1") == 1
    assert await small.whole()


async def test_a_transaction_lingers_for_a_moment_only_and_holds_no_lock_up(small: Small, stack: Addresses, database: str) -> None:
    async with connected(stack, "postgres", database) as admin:
        async with small.scopes.reading(small.me) as scope:
            assert await scope.value(COUNT) == 0
        async with undone(admin):
            await admin.execute("SET LOCAL lock_timeout = '2s'; LOCK TABLE penny.idempotency_keys IN ACCESS EXCLUSIVE MODE")
    (connection,) = small.pool._idle
    assert not connection.is_in_transaction()
    assert connection.lingers is None


async def test_a_transaction_is_not_passed_on_forever(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("db.transactions.LONGEST_READING_SECONDS", 0)
    began = []
    for _ in range(2):
        async with small.scopes.reading(small.me) as scope:
            began.append(await scope.value(BEGAN))
    assert began[0] != began[1]


async def kill_backends(stack: Addresses, database: str, *applications: str) -> None:
    async with connected(stack, "postgres", database) as admin:
        kill = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname = $1 AND application_name = ANY($2)"
        assert await admin.fetchval(kill, database, list(applications))


async def test_a_connection_that_dies_in_a_scope_is_unavailable_once(small: Small, stack: Addresses, database: str) -> None:
    async def work() -> None:
        async with small.scopes.writing(small.me) as scope:
            await scope.run(INSERT, small.me, b"lost")
            await kill_backends(stack, database, "scopes")
            await scope.value("SELECT 1")

    for _ in range(2 * POOL_SIZE):
        with pytest.raises(DatabaseIsUnavailable):
            await work()
        async with small.scopes.reading(small.me) as scope:
            assert await scope.value(COUNT) == 0
    assert await small.whole()


async def test_a_connection_that_dies_under_a_query_is_unavailable_once(small: Small) -> None:
    async def work() -> None:
        async with small.scopes.writing(small.me) as scope:
            await scope.run(INSERT, small.me, b"lost")
            await scope.value("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(DatabaseIsUnavailable):
        await work()
    async with small.scopes.reading(small.me) as scope:
        assert await scope.value(COUNT) == 0
    assert await small.whole()


async def test_a_connection_that_died_between_scopes_is_replaced(small: Small, stack: Addresses, database: str) -> None:
    async with small.scopes.reading(small.me) as scope:
        assert await scope.value("SELECT 1") == 1
    await kill_backends(stack, database, "scopes")
    failures = 0
    for _ in range(POOL_SIZE + 1):
        try:
            async with small.scopes.reading(small.me) as scope:
                assert await scope.value("SELECT 1") == 1
        except DatabaseIsUnavailable:
            failures += 1
    assert failures <= 1
    assert await small.whole()


async def test_a_commit_that_dies_is_unavailable(small: Small, stack: Addresses, database: str) -> None:
    async def work() -> None:
        async with small.scopes.writing(small.me) as scope:
            await scope.run(INSERT, small.me, b"lost")
            await kill_backends(stack, database, "scopes")

    with pytest.raises(DatabaseIsUnavailable):
        await work()
    async with small.scopes.reading(small.me) as scope:
        assert await scope.value(COUNT) == 0
    assert await small.whole()


async def test_a_pool_that_is_all_taken_is_unavailable_in_time(small: Small) -> None:
    taken = [await small.pool.acquire(seconds=1) for _ in range(POOL_SIZE)]
    began = time.monotonic()
    with pytest.raises(DatabaseIsUnavailable):
        async with TenantScopes(small.pool, acquire_seconds=0.1).reading(small.me):
            pytest.fail("a scope was opened without a connection")
    assert time.monotonic() - began < 10
    for one in taken:
        small.pool.release(one)
    assert await small.whole()


async def test_a_statement_that_takes_too_long_is_unavailable_in_time(settings: Settings) -> None:
    impatient = replace(settings, database_statement_seconds=0.2)
    async with await open_pool(settings.database_url, impatient, size=1, application="impatient") as pool:
        scopes = TenantScopes(pool, acquire_seconds=1)
        async with scopes.reading(uuid4()) as scope:
            assert await scope.value("SHOW statement_timeout") == "200ms"
        for _ in range(3):
            began = time.monotonic()
            with pytest.raises(DatabaseIsUnavailable):
                async with scopes.reading(uuid4()) as scope:
                    await scope.value("SELECT pg_sleep(30)")
            assert time.monotonic() - began < 15
            async with scopes.reading(uuid4()) as scope:
                assert await scope.value("SELECT 1") == 1


async def test_a_database_that_never_answers_is_unavailable_in_time(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as black_hole:
        dsn = f"postgresql://penny_app@127.0.0.1:{black_hole.getsockname()[1]}/penny"
        quick = replace(settings, database_url=Secret(dsn), database_connect_seconds=0.3)
        pool = await open_pool(quick.database_url, quick, size=POOL_SIZE, application="black hole")
        try:
            for acquire_seconds in (0.3, 10):
                scopes = TenantScopes(pool, acquire_seconds=acquire_seconds)
                began = time.monotonic()
                with pytest.raises(DatabaseIsUnavailable):
                    async with scopes.reading(uuid4()):
                        pytest.fail("a scope was opened in a black hole")
                with pytest.raises(DatabaseIsUnavailable):
                    await scopes.check()
                assert time.monotonic() - began < 8
        finally:
            pool.terminate()


async def test_a_database_that_is_not_there_is_unavailable(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    pool = await open_pool(f"postgresql://penny_app@127.0.0.1:{port}/penny", settings, size=1, application="nobody")
    with pytest.raises(DatabaseIsUnavailable):
        async with TenantScopes(pool, acquire_seconds=1).reading(uuid4()):
            pytest.fail("a scope was opened without a database")
    pool.terminate()


async def test_cancellation_at_any_moment_leaves_nothing_behind(small: Small) -> None:
    chance = random.Random(SEED)
    at_once = asyncio.Semaphore(2 * POOL_SIZE)
    finished, cut_off = set(), set()

    async def work(number: int, tenant_id: UUID) -> None:
        async with small.scopes.writing(tenant_id) as scope:
            cut_off.add(number)
            assert await scope.value(TENANT_SETTING) == str(tenant_id)
            await scope.run(INSERT, tenant_id, number.to_bytes(4))
            await scope.value("SELECT pg_sleep(0.001)")
        cut_off.remove(number)
        finished.add(number)

    async def work_until_cancelled(number: int) -> None:
        async with at_once:
            task = asyncio.create_task(work(number, small.me if number % 2 else small.them))
            asyncio.get_running_loop().call_later(chance.uniform(0, 3 * undisturbed), task.cancel)
            with contextlib.suppress(asyncio.CancelledError):
                await task

    began = time.monotonic()
    await asyncio.gather(*(work(number, small.me if number % 2 else small.them) for number in range(200, 220)))
    undisturbed = (time.monotonic() - began) / 20 * POOL_SIZE
    # How many are cut off depends on the machine: on until both kinds were seen often.
    start = 220
    while start < 420 or min(len(finished), len(cut_off)) <= 20:
        await asyncio.gather(*map(work_until_cancelled, range(start, start + 20)))
        start += 20
    assert await small.whole()
    for tenant_id, parity in ((small.them, 0), (small.me, 1)):
        async with small.scopes.reading(tenant_id) as scope:
            kept = {int.from_bytes(row["key_hash"]) for row in await scope.rows("SELECT key_hash FROM penny.idempotency_keys")}
        assert {number for number in finished if number % 2 == parity} <= kept
        # A COMMIT that was cut off may have happened.
        assert kept <= {number for number in finished | cut_off if number % 2 == parity}


async def test_a_cancelled_scope_frees_its_task_for_the_next_one(small: Small) -> None:
    begun = asyncio.Event()

    async def work() -> object:
        with contextlib.suppress(asyncio.CancelledError):
            async with small.scopes.writing(small.me) as scope:
                begun.set()
                await scope.value("SELECT pg_sleep(30)")
        async with small.scopes.reading(small.me) as scope:
            return await scope.value("SELECT 1")

    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    assert await task == 1
    assert await small.whole()


async def test_reads_that_are_cancelled_at_any_moment_see_no_other_tenant_s_rows(small: Small) -> None:
    """Transactions linger and are passed on while others are cut off: whoever reads does so as the tenant that was named."""
    chance = random.Random(SEED)
    seen: list[tuple[UUID, object, object]] = []
    cut_off: list[int] = []

    async def work(tenant_id: UUID) -> None:
        for _ in range(3):
            async with small.scopes.reading(tenant_id) as scope:
                seen.append((tenant_id, await scope.value(TENANT_SETTING), await scope.value("SHOW transaction_read_only")))
                await asyncio.sleep(0)

    async def work_until_cancelled(number: int) -> None:
        task = asyncio.create_task(work(small.me if number % 2 else small.them))
        asyncio.get_running_loop().call_later(chance.uniform(0, 4 * undisturbed), task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            cut_off.append(number)

    began = time.monotonic()
    await asyncio.gather(*(work(small.me if number % 2 else small.them) for number in range(8)))
    undisturbed = (time.monotonic() - began) / 8 * POOL_SIZE
    # How many get through before they are cut off depends on the machine: on until both kinds were seen often.
    start = 0
    while start < 160 or len(seen) <= 100 or len(cut_off) <= 20:
        await asyncio.gather(*map(work_until_cancelled, range(start, start + 8)))
        start += 8
    assert {(tenant, read_only) for asked, tenant, read_only in seen if tenant != str(asked) or read_only != "on"} == set()
    assert await small.whole()
