"""Connection pools to PostgreSQL, one a role, with every wait bounded."""

import contextlib
from typing import Any

import asyncpg

from errors import Unavailable
from settings import Settings

Pool = Any  # an asyncpg.Pool, whose library has no types


class DatabaseIsUnavailable(Unavailable):
    """PostgreSQL does not answer, or all connections are busy for too long."""


class Connection(asyncpg.Connection):  # type: ignore[misc] # asyncpg has no types
    """asyncpg's connection without the set_config by which it turns the JIT off before it looks at a type.

    That function is revoked (an injected SELECT could switch tenants with it), and the JIT is off from the start.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._server_caps: Any = self._server_caps._replace(jit=False)


async def _leave_nothing_open(connection: Any) -> None:
    """Stand in for asyncpg's reset query, which costs a round trip on every release.

    All settings are transaction-local, so a closed transaction leaves nothing behind. One that is still open means that
    its COMMIT or ROLLBACK was cut off: such a connection is thrown away.
    """
    if connection.is_in_transaction():
        connection.terminate()


async def open_pool(dsn: str, settings: Settings, *, size: int, application: str) -> Pool:
    """Open a pool that connects when first used, so that PENNY starts before its database does."""
    return await asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=size,
        connection_class=Connection,
        reset=_leave_nothing_open,
        timeout=settings.database_connect_seconds,
        command_timeout=settings.database_statement_seconds,
        server_settings={
            "application_name": application,
            "jit": "off",
            "statement_timeout": str(int(settings.database_statement_seconds * 1000)),
            "idle_in_transaction_session_timeout": "30000",
        },
    )


async def warm(pool: Pool) -> None:
    """Open a first connection, if the database is there already."""
    with contextlib.suppress(OSError, asyncpg.PostgresError, TimeoutError):
        async with pool.acquire(timeout=1):
            pass
