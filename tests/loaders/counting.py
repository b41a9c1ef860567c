"""What an operation sends to the database: every text that goes over a pool's connections, each a round trip."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any
from unittest.mock import patch
from uuid import UUID

from db.pools import Connection, Pool
from db.scopes import Reading, Scopes, TenantScopes

FRAMES = ("BEGIN", "COMMIT", "ROLLBACK")
TYPES = "typeinfo_tree"
LONG = 3600.0


class Sent:
    """The texts that were sent, in their order, without what a connection asks once about a statement or a type that is new to it."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, query: Any) -> None:
        if TYPES not in query.query:
            self.texts.append(query.query)

    @property
    def round_trips(self) -> int:
        return len(self.texts)

    @property
    def statements(self) -> list[str]:
        """The texts that are no transaction's beginning or end."""
        return [text for text in self.texts if not text.startswith(FRAMES)]

    @property
    def transactions(self) -> int:
        return sum("BEGIN" in text for text in self.texts)


class CountingScopes(TenantScopes):
    """Opens the scopes of others for reading, and counts them."""

    def __init__(self, scopes: TenantScopes) -> None:
        self._scopes = scopes
        self.opened = 0

    @contextlib.asynccontextmanager
    async def reading(self, tenant_id: UUID) -> AsyncIterator[Reading]:
        self.opened += 1
        async with self._scopes.reading(tenant_id) as scope:
            yield scope


@contextlib.asynccontextmanager
async def counted(*scopes: Scopes) -> AsyncIterator[Sent]:
    """Count what goes over the connections of scopes; a transaction that lingers does so until the block ends, however slow this is."""
    sent = Sent()
    pools = {one.pool for one in scopes}
    with contextlib.ExitStack() as watched:
        watched.enter_context(patch("db.pools.LINGER_SECONDS", LONG))
        watched.enter_context(patch("db.transactions.LONGEST_READING_SECONDS", LONG))
        for pool in pools:
            await _settle(pool)
            for connection in pool._all:
                watched.enter_context(connection.query_logger(sent.note))
            watched.enter_context(patch.object(pool, "_connect", _watched_connect(pool, sent, watched)))
        yield sent
        for pool in pools:
            # The driver tells what it sent a turn of the event loop later, and so before this has ended.
            await _settle(pool, sent)


def _watched_connect(pool: Pool, sent: Sent, watched: contextlib.ExitStack) -> Any:
    connect = pool._connect

    async def connected() -> Connection:
        connection = await connect()
        watched.enter_context(connection.query_logger(sent.note))
        return connection

    return connected


async def _settle(pool: Pool, sent: Sent | None = None) -> None:
    """End what lingers on the idle connections."""
    for connection in [*pool._idle]:
        if sent is not None:
            connection.remove_query_logger(sent.note)
        if connection.lingers is not None:
            await connection.execute("COMMIT")
            connection.lingers = None
