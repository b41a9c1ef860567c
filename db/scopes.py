"""Tenant scopes: the only way to a connection, and each is one transaction of one tenant.

`reading(tenant)` is a read-only transaction, `writing(tenant)` commits when its block ends. The tenant is set with
`SET LOCAL` in the same round trip as `BEGIN`; row-level security does the rest. A scope inside a scope would silently
be the outer tenant's, and two queries at once on one connection break both, so both are refused here, loudly.
"""

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Final
from uuid import UUID

import asyncpg
from piccolo.query import Query

from db.pools import DatabaseIsUnavailable, Pool
from errors import Invalid

Row = Mapping[str, Any]  # an asyncpg.Record, whose library has no types
Statement = Query[Any, Any] | str
# The server is not there, goes away, or gave a statement up because it took too long.
_AWAY: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.TooManyConnectionsError,
)
_open_scope: ContextVar[str | None] = ContextVar("open_scope", default=None)


class ScopeIsOpen(RuntimeError):
    """A scope was opened inside another one."""


class ScopeIsBusy(RuntimeError):
    """Two queries were sent at once in one scope."""


class ScopeWasUndone(RuntimeError):
    """The block went on after a statement's error, and nothing of what it wrote was kept."""


class Reading:
    """A read-only transaction. Queries are Piccolo's or constant SQL with arguments, one at a time."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._busy = False

    async def rows(self, query: Statement, *arguments: object) -> list[Row]:
        """Run a query and return all rows."""
        sql, values = _compiled(query, arguments)
        with self._alone():
            return list(await self._connection.fetch(sql, *values))

    async def row(self, query: Statement, *arguments: object) -> Row | None:
        """Run a query and return its first row, or None."""
        sql, values = _compiled(query, arguments)
        with self._alone():
            row: Row | None = await self._connection.fetchrow(sql, *values)
            return row

    async def value(self, query: Statement, *arguments: object) -> object:
        """Run a query and return the first column of its first row, or None."""
        row = await self.row(query, *arguments)
        return None if row is None else next(iter(row.values()))

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        if self._busy:
            raise ScopeIsBusy("Two queries at once in one scope; await them one after the other.")
        self._busy = True
        try:
            yield
        finally:
            self._busy = False


class Writing(Reading):
    """A transaction that commits when its block ends without an exception, and is undone otherwise."""

    async def run(self, query: Statement, *arguments: object) -> int:
        """Run a statement and return how many rows it touched."""
        sql, values = _compiled(query, arguments)
        with self._alone():
            tag = await self._connection.execute(sql, *values) if values else await self._once(sql)
        return int(tag.rsplit(" ", 1)[-1]) if tag[-1:].isdigit() else 0

    async def _once(self, sql: str) -> str:
        """Run a statement without arguments in the extended protocol, which takes exactly one statement."""
        statement = await self._connection.prepare(sql)
        await statement.fetch()
        return str(statement.get_statusmsg())


def _compiled(query: Statement, arguments: Sequence[object]) -> tuple[str, Sequence[object]]:
    if isinstance(query, str):
        return query, arguments
    (querystring,) = query.default_querystrings
    return querystring.compile_string()


class Scopes:
    """Opens the scopes of one role."""

    def __init__(self, pool: Pool, *, acquire_seconds: float) -> None:
        self._pool = pool
        self._acquire_seconds = acquire_seconds

    @contextlib.asynccontextmanager
    async def _transaction(self, begin: str, name: str) -> AsyncIterator[asyncpg.Connection]:
        if (outer := _open_scope.get()) is not None:
            raise ScopeIsOpen(f"A scope ({name}) was opened inside another one ({outer}); close the first.")
        token = _open_scope.set(name)
        try:
            async with self._connection() as connection:
                try:
                    await connection.execute(begin)
                    yield connection
                except BaseException:
                    await _roll_back(connection)
                    raise
                if await connection.execute("COMMIT") != "COMMIT":
                    raise ScopeWasUndone("A statement had failed in this scope, so PostgreSQL undid all of it.")
        finally:
            _open_scope.reset(token)

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[asyncpg.Connection]:
        try:
            connection = await self._pool.acquire(timeout=self._acquire_seconds)
        except (*_AWAY, asyncpg.InterfaceError) as error:
            raise DatabaseIsUnavailable("The database does not answer; try again in a moment.") from error
        try:
            yield connection
        except asyncpg.CharacterNotInRepertoireError as error:
            raise Invalid("Text must not contain NUL characters.", constraint="no_nul") from error
        except (*_AWAY, asyncpg.InterfaceError) as error:
            # Any other InterfaceError is a mistake of ours, such as a wrong number of arguments.
            if isinstance(error, asyncpg.InterfaceError) and not _is_gone(connection):
                raise
            raise DatabaseIsUnavailable("The database did not finish its answer; try again in a moment.") from error
        finally:
            await self._pool.release(connection)

    async def check(self) -> None:
        """Raise `DatabaseIsUnavailable` unless the database answers a query."""
        async with self._connection() as connection:
            await connection.fetchval("SELECT 1")


async def _roll_back(connection: asyncpg.Connection) -> None:
    try:
        if connection.is_in_transaction():
            await connection.execute("ROLLBACK")
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
        if not _is_gone(connection):
            connection.terminate()


def _is_gone(connection: asyncpg.Connection) -> bool:
    """Whether a connection broke; the pool has then taken it back already, and its proxy refuses every question."""
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        return True


class TenantScopes(Scopes):
    """Scopes as `penny_app`: rows of the named tenant and no other."""

    @contextlib.asynccontextmanager
    async def reading(self, tenant_id: UUID) -> AsyncIterator[Reading]:
        """Open a read-only transaction of this tenant."""
        async with self._transaction(f"BEGIN READ ONLY; {_tenant(tenant_id)}", f"reading {tenant_id}") as connection:
            yield Reading(connection)

    @contextlib.asynccontextmanager
    async def writing(self, tenant_id: UUID) -> AsyncIterator[Writing]:
        """Open a transaction of this tenant that commits when the block ends."""
        async with self._transaction(f"BEGIN; {_tenant(tenant_id)}", f"writing {tenant_id}") as connection:
            yield Writing(connection)


class SystemScopes(Scopes):
    """Scopes as `penny_system`: look-ups across tenants that its narrow policies allow, and the birth of a tenant."""

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[Reading]:
        """Open a read-only transaction across tenants."""
        async with self._transaction("BEGIN READ ONLY", "system reading") as connection:
            yield Reading(connection)

    @contextlib.asynccontextmanager
    async def writing(self, tenant_id: UUID | None = None) -> AsyncIterator[Writing]:
        """Open a transaction; rows of tenant tables can only be written for the tenant that is named."""
        begin = "BEGIN" if tenant_id is None else f"BEGIN; {_tenant(tenant_id)}"
        async with self._transaction(begin, f"system writing {tenant_id}") as connection:
            yield Writing(connection)


def _tenant(tenant_id: UUID) -> str:
    """Name the tenant for this transaction. A UUID prints as nothing but hex and dashes, so this text is safe.

    asyncpg's rows have UUIDs of a class of their own, so what is printed here is made anew.
    """
    if not isinstance(tenant_id, UUID):
        raise TypeError("A scope needs a tenant.")
    return f"SET LOCAL app.tenant_id = '{UUID(int=tenant_id.int)}'"
