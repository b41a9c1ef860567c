"""Transactions as the scopes open them: begun with their tenant in one round trip, and ended well, lingering, or undone."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Final, Generic, Protocol, TypeVar
from uuid import UUID

import asyncpg
from piccolo.query import Query

from db.pools import LONGEST_READING_SECONDS, Connection, DatabaseIsUnavailable, Pool
from errors import Invalid

Row = Mapping[str, Any]  # an asyncpg.Record, whose library has no types
Statement = Query[Any, Any] | str
# The server is not there, goes away, or gave a statement up because it took too long.
AWAY: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
    # Between the server's last word and the end of the connection asyncpg is in no state to ask anything.
    asyncpg.InternalClientError,
)
# Up to where the server has written what is committed. Without `synchronous_commit` that is not flushed yet.
POSITION: Final = """
    SELECT pg_wal_lsn_diff(
        CASE current_setting('synchronous_commit') WHEN 'off' THEN pg_current_wal_insert_lsn() ELSE pg_current_wal_flush_lsn() END,
        '0/0'
    )::bigint
"""
_open_scope: ContextVar["Transaction[Any] | None"] = ContextVar("open_scope", default=None)


def is_in_scope() -> bool:
    """Whether whoever asks is inside the block of a scope."""
    return _open_scope.get() is not None


class ScopeIsOpen(RuntimeError):
    """A scope was opened inside another one."""


class ScopeIsBusy(RuntimeError):
    """Two queries were sent at once in one scope."""


class ScopeIsClosed(RuntimeError):
    """A query was sent in a scope whose block had ended."""


class ScopeWasUndone(RuntimeError):
    """The block went on after a statement's error, and nothing of what it wrote was kept."""


class _Ended:
    """Stands where a scope's connection was."""

    def __getattr__(self, verb: str) -> Any:
        raise ScopeIsClosed("This scope has ended.")


_ENDED: Final = _Ended()


class Reading:
    """A read-only transaction. Queries are Piccolo's or constant SQL with arguments, one at a time."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._busy = False
        self._failed = False

    async def rows(self, query: Statement, *arguments: object) -> list[Row]:
        """Run a query and return all rows."""
        found: list[Row] = await self._alone(self._connection.fetch, query, arguments)
        return found

    async def row(self, query: Statement, *arguments: object) -> Row | None:
        """Run a query and return its first row, or None."""
        found: Row | None = await self._alone(self._connection.fetchrow, query, arguments)
        return found

    async def value(self, query: Statement, *arguments: object) -> object:
        """Run a query and return the first column of its first row, or None."""
        row = await self.row(query, *arguments)
        return None if row is None else next(iter(row.values()))

    async def _alone(self, send: Any, query: Statement, arguments: Sequence[object]) -> Any:
        if self._busy:
            raise ScopeIsBusy("Two queries at once in one scope; await them one after the other.")
        sql, values = compiled(query, arguments)
        self._busy = True
        try:
            return await send(sql, *values)
        except BaseException:
            self._failed = True
            raise
        finally:
            self._busy = False

    def leave(self) -> bool | None:
        """Let go of the connection, which is somebody else's from now on.

        True when every query was answered, False when one failed, None when one is still under way.
        """
        self._connection = _ENDED
        return None if self._busy else not self._failed


class Writing(Reading):
    """A transaction that commits when its block ends without an exception, and is undone otherwise."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self.told: set[UUID] = set()

    def tell(self, tenant_id: UUID) -> None:
        """Let those who follow a tenant's facts know when this transaction has committed."""
        self.told.add(tenant_id)

    async def run(self, query: Statement, *arguments: object) -> int:
        """Run a statement and return how many rows it touched."""
        tag = str(await self._alone(self._sent, query, arguments))
        return int(tag.rsplit(" ", 1)[-1]) if tag[-1:].isdigit() else 0

    async def _sent(self, sql: str, *values: object) -> Any:
        if values:
            return await self._connection.execute(sql, *values)
        # Without arguments asyncpg would take several statements in one text; the extended protocol takes exactly one.
        statement = await self._connection.prepare(sql)
        await statement.fetch()
        return statement.get_statusmsg()


S = TypeVar("S", bound=Reading)
Committed = Callable[[UUID], None]
"""Is told of each tenant whose facts were committed, and raises nothing."""


def compiled(query: Statement, arguments: Sequence[object]) -> tuple[str, Sequence[object]]:
    """Return a query's text and its arguments."""
    if isinstance(query, str):
        return query, arguments
    (querystring,) = query.default_querystrings
    return querystring.compile_string()


class Transaction(Generic[S]):
    """What a scope is from its beginning to its end."""

    def __init__(self, pool: Pool, acquire_seconds: float, begin: str, kind: type[S], *, committed: Committed | None = None) -> None:
        self._pool = pool
        self._committed = committed
        self._acquire_seconds = acquire_seconds
        self._begin = begin
        self._kind = kind

    async def __aenter__(self) -> S:
        if (outer := _open_scope.get()) is not None:
            raise ScopeIsOpen(f"A scope ({self}) was opened inside another one ({outer}); close the first.")
        self._token: Token[Transaction[Any] | None] = _open_scope.set(self)
        try:
            self._connection = await self._begun()
        except BaseException:
            _open_scope.reset(self._token)
            raise
        self._scope = self._opened(self._connection)
        return self._scope

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        connection = self._connection
        try:
            await self._finish(connection, error)
        except BaseException as failure:
            await roll_back(connection)
            tell_if_away(failure, connection)
            raise
        finally:
            self._pool.release(connection)
            _open_scope.reset(self._token)
        if error is not None:
            tell_if_away(error, connection)
        elif issubclass(self._kind, Writing):
            await self._tell()

    async def _begun(self) -> Connection:
        """Return a connection in this transaction: one that lingers, or a new one, with the COMMIT of another that is due before it."""
        connection = self._pool.take(self._begin) or await self._acquired()
        lingers, connection.lingers = connection.lingers, None
        now = asyncio.get_running_loop().time()
        if lingers == self._begin and now - connection.began < LONGEST_READING_SECONDS:
            return connection
        try:
            await connection.execute(self._begin if lingers is None else f"COMMIT; {self._begin}")
        except BaseException as error:
            try:
                await roll_back(connection)
            finally:
                # Nobody knows what became of a BEGIN that was cut off.
                connection.terminate()
                self._pool.release(connection)
            tell_if_away(error, connection)
            raise
        connection.began = now
        return connection

    def _opened(self, connection: Connection) -> S:
        return self._kind(connection)

    async def _acquired(self) -> Connection:
        try:
            return await self._pool.acquire(seconds=self._acquire_seconds)
        except (*AWAY, asyncpg.InterfaceError) as error:
            raise DatabaseIsUnavailable("The database does not answer; try again in a moment.") from error

    async def _finish(self, connection: Connection, error: BaseException | None) -> None:
        """Commit, let linger, or undo."""
        unharmed = self._scope.leave()
        if error is not None:
            await roll_back(connection)
        elif unharmed is None:
            raise ScopeIsBusy("A query was still under way when its scope ended.")
        elif unharmed and not issubclass(self._kind, Writing):
            connection.lingers = self._begin
        elif await connection.execute("COMMIT") != "COMMIT":
            raise ScopeWasUndone("A statement had failed in this scope, so PostgreSQL undid all of it.")

    async def _tell(self) -> None:
        """Tell of the facts that were committed."""
        if self._committed is not None and isinstance(self._scope, Writing):
            for tenant_id in self._scope.told:
                self._committed(tenant_id)

    def __str__(self) -> str:
        return self._begin


class Written(Protocol):
    """Knows up to where in the WAL each tenant has written, in whatever process."""

    async def tell(self, tenant_id: UUID | None, position: int | None) -> None:
        """Let everybody know, before the writer is answered; None is any tenant, and a position that could not be found out."""

    async def of(self, tenant_id: UUID) -> int | None:
        """Return up to where the tenant has written lately, 0 where it has not, None while nobody can know."""


class ToldTransaction(Transaction[Writing]):
    """A transaction whose end is told to those who read from replicas."""

    def __init__(  # noqa: PLR0913 - what a transaction is made of
        self, pool: Pool, acquire_seconds: float, begin: str, *, written: Written, tenant_id: UUID | None, committed: Committed | None
    ) -> None:
        super().__init__(pool, acquire_seconds, begin, Writing, committed=committed)
        self._written = written
        self._tenant_id = tenant_id
        self._position: int | None = None

    async def _tell(self) -> None:
        """Tell up to where was written before anybody hears that there is something to read."""
        try:
            await self._written.tell(self._tenant_id, self._position)
        finally:
            await super()._tell()

    async def _finish(self, connection: Connection, error: BaseException | None) -> None:
        await super()._finish(connection, error)
        if error is None:
            # What is committed is committed, whether or not its place can be found out.
            with contextlib.suppress(*AWAY, asyncpg.PostgresError, asyncpg.InterfaceError):
                self._position = await connection.fetchval(POSITION)


def tell_if_away(error: BaseException, connection: Connection) -> None:
    """Raise what an error of the driver's means to a caller; an error of anybody else's is left as it is."""
    if isinstance(error, asyncpg.CharacterNotInRepertoireError):
        raise Invalid("Text must not contain NUL characters.", constraint="no_nul") from error
    # Any other InterfaceError is a mistake of ours, such as a wrong number of arguments.
    if isinstance(error, AWAY) or (isinstance(error, asyncpg.InterfaceError) and connection.is_closed()):
        raise DatabaseIsUnavailable("The database did not finish its answer; try again in a moment.") from error


async def roll_back(connection: Connection) -> None:
    """Undo what is open; a connection that cannot, because it is broken or still busy, is thrown away."""
    try:
        if not connection.is_closed() and connection.is_in_transaction():
            await connection.execute("ROLLBACK")
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, TimeoutError):
        connection.terminate()
