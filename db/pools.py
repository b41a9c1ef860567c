"""Connection pools to PostgreSQL, one a role, with every wait bounded."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Self

import asyncpg

from db.metrics import CONNECTIONS, MOST, PENDING, TIMEOUTS, WAITED
from errors import Unavailable
from settings import Settings
from telemetry.instruments import Seen

# A page is asked for with many sets of columns; asyncpg's 100 would have a busy process prepare some of them again and again.
STATEMENTS_KEPT: Final = 200
# What is idle for this long is closed: proxies cut such connections silently. A busy one is replaced now and then, since what
# PostgreSQL remembers for a connection grows.
IDLE_SECONDS: Final = 300.0
LONGEST_SECONDS: Final = 3600.0
# How long an open read-only transaction waits for the next read of its tenant, and how long it may be passed on in all.
LINGER_SECONDS: Final = 0.005
LONGEST_READING_SECONDS: Final = 0.1
# How long a COMMIT of nothing may take.
END_SECONDS: Final = 1.0


class DatabaseIsUnavailable(Unavailable):
    """PostgreSQL does not answer, or all connections are busy for too long."""


class Connection(asyncpg.Connection):  # type: ignore[misc] # asyncpg has no types
    """asyncpg's connection without the set_config by which it turns the JIT off before it looks at a type.

    That function is revoked (an injected SELECT could switch tenants with it), and the JIT is off from the start.

    `lingers` is how the read-only transaction began that is still open on it though nobody reads; `began` is when, `idle` since
    when nobody does. `replayed` is how much WAL its server is known to have replayed, where that is a replica.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._server_caps: Any = self._server_caps._replace(jit=False)
        self.lingers: str | None = None
        self.replayed = 0
        self.began = self.idle = self.opened = self._loop.time()


class Pool:
    """At most `size` connections, opened when they are needed; the one that was used last is taken first.

    asyncpg's own pool makes a task, a timer and a proxy for every loan, which costs as much as a short statement. Here a loan is
    a list's pop, and whoever has to wait is served in turn. A connection comes back without a transaction, or with a read-only
    one that lingers for whoever reads next in the same tenant, and is closed a moment later if nobody does.
    """

    def __init__(self, connect: Callable[[], Awaitable[Connection]], *, size: int, name: str = "app") -> None:
        self._connect = connect
        self._size = size
        self._name = name
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._opening = 0
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._tending: asyncio.TimerHandle | None = None
        self._tending_at = 0.0
        self._closed = False
        self._empty = asyncio.Event()
        CONNECTIONS.watch(self, Pool._connections)
        MOST.watch(self, Pool._most)
        PENDING.watch(self, Pool._pending)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    def take(self, begin: str | None = None) -> Connection | None:
        """Return an idle connection if there is one, best of all with the transaction that began like this; none once it closes."""
        if self._closed:
            return None
        idle = self._idle
        if begin is not None:
            for place in range(len(idle) - 1, -1, -1):
                if idle[place].lingers == begin and not idle[place].is_closed():
                    return idle.pop(place)
        while idle:
            connection = idle.pop()
            if not connection.is_closed():
                return connection
            self._forget(connection)
        return None

    async def acquire(self, *, seconds: float) -> Connection:
        """Return a connection, a new one or the next that comes back; raises `TimeoutError` and what connecting raises."""
        if self._closed:
            raise DatabaseIsUnavailable("The connections to the database are being closed.")
        if (connection := self.take()) is not None:
            return connection
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(seconds):
                return await self._new_or_next()
        except TimeoutError:
            TIMEOUTS.add(1, self._name)
            raise
        finally:
            WAITED.record(clock() - began, self._name)

    def release(self, connection: Connection) -> None:
        """Take a connection back; one that is broken, or in a transaction that does not linger, is thrown away."""
        now = connection.idle = asyncio.get_running_loop().time()
        if connection.is_closed() or self._closed or (connection.lingers is None and connection.is_in_transaction()):
            # All settings are transaction-local: only a COMMIT or ROLLBACK that was cut off leaves something behind.
            connection.terminate()
            self._forget(connection)
        elif connection.lingers is None and now - connection.opened > LONGEST_SECONDS:
            self._forget(connection)
            self._begin(connection.close())
        elif (waiter := self._next()) is not None:
            waiter.set_result(connection)
        else:
            self._idle.append(connection)
            self._tend(now + (IDLE_SECONDS if connection.lingers is None else LINGER_SECONDS))

    async def close(self) -> None:
        """Wait for all connections to come back, and close them."""
        self._closed = True
        self._stop_tending()
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.close()
            self._forget(connection)
        if self._all or self._opening:
            self._empty.clear()  # it may have been empty before
            await self._empty.wait()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def terminate(self) -> None:
        """Cut all connections off."""
        self._closed = True
        self._stop_tending()
        self.cut()

    def cut(self) -> None:
        """Cut the connections off that are open now: whoever waits for an answer on one fails at once."""
        for connection in [*self._all]:
            connection.terminate()

    async def _new_or_next(self) -> Connection:
        if len(self._all) + self._opening < self._size:
            self._opening += 1
            return await self._opened()
        return await self._handed() or await self._opened()

    async def _handed(self) -> Connection | None:
        """Wait in line for a connection, or for the leave to open one."""
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                self._give_back(waiter.result())
            raise

    async def _opened(self) -> Connection:
        """Open the connection that `_opening` counts already."""
        try:
            connection = await self._connect()
        except BaseException:
            self._give_back(None)
            raise
        self._opening -= 1
        self._all.add(connection)
        return connection

    def _give_back(self, unused: Connection | None) -> None:
        """Pass on what its waiter did not live to see: a connection, or the leave to open one."""
        if unused is not None:
            self.release(unused)
            return
        self._opening -= 1
        self._let_open()

    def _forget(self, connection: Connection) -> None:
        self._all.discard(connection)
        self._let_open()

    def _let_open(self) -> None:
        """There is one connection less: let whoever waits open another."""
        if not self._closed and (waiter := self._next()) is not None:
            self._opening += 1
            waiter.set_result(None)
        if not self._all and not self._opening:
            self._empty.set()

    def _next(self) -> "asyncio.Future[Connection | None] | None":
        while self._waiting:
            if not (waiter := self._waiting.popleft()).done():
                return waiter
        return None

    def _tend(self, at: float) -> None:
        """Look after the idle connections then, or earlier if that is planned."""
        if self._tending is None or at < self._tending_at:
            self._stop_tending()
            self._tending_at = at
            self._tending = asyncio.get_running_loop().call_at(at, self._look_after)

    def _stop_tending(self) -> None:
        if self._tending is not None:
            self._tending.cancel()
            self._tending = None

    def _look_after(self) -> None:
        """End the transactions that linger for too long, and close the connections that nobody needs any more."""
        self._tending = None
        now = asyncio.get_running_loop().time()
        idle, self._idle = self._idle, []
        for connection in idle:
            due = connection.idle + (IDLE_SECONDS if connection.lingers is None else LINGER_SECONDS)
            if due > now:
                self._idle.append(connection)
                self._tend(due)
            elif connection.lingers is None:
                self._forget(connection)
                self._begin(connection.close())
            else:
                self._begin(self._ended(connection))

    async def _ended(self, connection: Connection) -> None:
        try:
            # A connection whose server ends it in this moment may never answer.
            async with asyncio.timeout(END_SECONDS):
                await connection.execute("COMMIT")
        except Exception:  # noqa: BLE001 - whatever it is, the connection is given up; one that never came back would be lost for ever
            connection.terminate()
        finally:
            connection.lingers = None
            self.release(connection)

    def _connections(self) -> list[Seen]:
        idle = len(self._idle)
        return [(idle, (self._name, "idle")), (max(0, len(self._all) - idle), (self._name, "used"))]

    def _most(self) -> list[Seen]:
        return [(self._size, (self._name,))]

    def _pending(self) -> list[Seen]:
        return [(len(self._waiting), (self._name,))]

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def open_pool(  # noqa: PLR0913 - what connections are, and what they are called
    dsn: str, settings: Settings, *, size: int, application: str, name: str = "app", patience_seconds: float | None = None
) -> Pool:
    """Open a pool that connects when first used, so that PENNY starts before its database does; metrics tell it by its `name`.

    `patience_seconds` is how long an answer is waited for where that is less than a statement may take.
    """

    async def connect() -> Connection:
        connection: Connection = await asyncpg.connect(
            dsn,
            connection_class=Connection,
            timeout=settings.database_connect_seconds,
            command_timeout=patience_seconds or settings.database_statement_seconds,
            statement_cache_size=STATEMENTS_KEPT,
            max_cached_statement_lifetime=0,
            server_settings={
                "application_name": application,
                "jit": "off",
                # An index of vectors goes on looking until enough of what it finds is the tenant's and allowed.
                "hnsw.iterative_scan": "strict_order",
                "hnsw.ef_search": "100",
                # Statements that keep messages ask it.
                "app.embeddings": "off" if settings.search_embeddings == "off" else "on",
                # Every statement is led by its tenant and an index, so one plan is right for all; planning a page of branches anew
                # (messages have eight partitions) takes as long as reading it. What needs a plan of its own sets this for itself.
                "plan_cache_mode": "force_generic_plan",
                # Reads that follow each other in one transaction must each see what was committed before them.
                "default_transaction_isolation": "read committed",
                "statement_timeout": str(int(settings.database_statement_seconds * 1000)),
                "idle_in_transaction_session_timeout": "30000",
            },
        )
        return connection

    return Pool(connect, size=size, name=name)


async def warm(pool: Pool) -> None:
    """Open a first connection, if the database is there already."""
    with contextlib.suppress(OSError, asyncpg.PostgresError, TimeoutError):
        pool.release(await pool.acquire(seconds=1))
