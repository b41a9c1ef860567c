"""Reads from a replica that has all that its reader may know of: `docs/decisions/0010-queries-may-read-from-a-replica.md`.

A replica is asked with the same round trip that begins a transaction on it whether it has replayed what the tenant wrote last.
Where it has not, or nobody knows, or the replica does not answer, the primary is read instead; a statement that fails on the
replica is asked again there (each sees what was committed before it, so a scope may move between two statements).
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final
from uuid import UUID

import asyncpg
import structlog

from db.metrics import QUERIES_BEGUN
from db.pools import LONGEST_READING_SECONDS, Connection, Pool
from db.scopes import READ, Reading, Reads, Statement, TenantScopes, of_tenant
from db.transactions import Transaction, Written, roll_back
from errors import Unavailable

log = structlog.get_logger()

LOOK_SECONDS: Final = 0.25
"""How often the primary is asked for its position, and whether the replica answers."""
ANSWER_SECONDS: Final = 1.0
"""How long a replica may take to be reached, or for a statement: whoever waits reads from the primary then."""
# Whatever a replica refuses, or takes too long for, the primary decides.
_AGAIN: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class Replica:
    """A pool of connections to one replica, or to several behind one address, and what is known of them.

    The pool gives each statement `ANSWER_SECONDS`: one server of several may be silent while others answer.
    """

    def __init__(self, pool: Pool, primary: TenantScopes, written: Written, *, lag_seconds: float) -> None:
        self.pool = pool
        self.primary = primary
        self._written = written
        self._lag_seconds = lag_seconds
        self._answers = False
        self._samples: deque[tuple[float, int]] = deque()

    def reads(self) -> Reads:
        """Return where one operation reads: what was written before it began, it sees."""
        return _Reads(self, self._written)

    async def begun(self, begin: str, written: int | None) -> Connection | None:
        """Return a connection in this transaction on a replica that has replayed so much; None where the primary must be read."""
        floor = self._floor()
        if written is None or floor is None or not self._answers:
            QUERIES_BEGUN.add(1, "primary", "unknown" if written is None else "away")
            return None
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                connection = self.pool.take(begin) or await self.pool.acquire(seconds=ANSWER_SECONDS)
                begun = await self._begin(connection, begin, max(written, floor))
        except (*_AGAIN, Unavailable):
            QUERIES_BEGUN.add(1, "primary", "away")
            return None
        QUERIES_BEGUN.add(1, *(("replica", "fresh") if begun else ("primary", "behind")))
        return connection if begun else None

    async def _begin(self, connection: Connection, begin: str, needed: int) -> bool:
        """Begin, or go on in a transaction that lingers; gives the connection back where its replica has not replayed enough."""
        lingers, connection.lingers = connection.lingers, None
        now = asyncio.get_running_loop().time()
        if lingers == begin and now - connection.began < LONGEST_READING_SECONDS and connection.replayed >= needed:
            return True
        sql = begin if lingers is None else f"COMMIT; {begin}"
        if is_unsure := connection.replayed < needed:
            sql += f"; SELECT WHERE pg_last_wal_replay_lsn() >= '{needed >> 32:X}/{needed & 0xFFFFFFFF:X}'"
        try:
            tag = await connection.execute(sql)
        except BaseException:
            connection.terminate()
            self.pool.release(connection)
            raise
        connection.began = now
        if is_unsure and tag != "SELECT 1":
            connection.lingers = begin
            self.pool.release(connection)
            return False
        connection.replayed = max(connection.replayed, needed)
        return True

    def _floor(self) -> int | None:
        """Return where the primary was not longer ago than a replica may lag; what is told of writes lives longer than that."""
        oldest = asyncio.get_running_loop().time() - self._lag_seconds
        while self._samples and self._samples[0][0] < oldest:
            self._samples.popleft()
        return self._samples[0][1] if self._samples else None

    async def watch(self) -> None:
        """Follow how far the primary is and whether the replica answers, for ever."""
        while True:
            await asyncio.gather(self._look_at_primary(), self._look_at_replica())
            await asyncio.sleep(LOOK_SECONDS)

    async def _look_at_primary(self) -> None:
        asked = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                self._samples.append((asked, await self.primary.position()))
            self._floor()  # nothing is kept for longer than it may be used
        except (Unavailable, TimeoutError, asyncpg.PostgresError):
            return  # without it nothing is known of the replica's lag, so before long nobody reads there

    async def _look_at_replica(self) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS), Transaction(self.pool, ANSWER_SECONDS, READ, Reading) as scope:
                answers = bool(await scope.value("SELECT pg_is_in_recovery()"))
        except (Unavailable, TimeoutError, asyncpg.PostgresError):
            answers = False
        if answers is not self._answers:
            self._answers = answers
            log.info("replica_answers") if answers else log.warning("replica_lost")
        if not answers:
            self.pool.cut()  # whoever waits for an answer asks the primary


class _Reads:
    """Where one query reads. What its tenant had written before it began is asked once."""

    def __init__(self, replica: Replica, written: Written) -> None:
        self._replica = replica
        self._written = written
        self._positions: dict[UUID, int | None] = {}

    def reading(self, tenant_id: UUID) -> AbstractAsyncContextManager[Reading]:
        """Open a read-only transaction of this tenant."""
        return _MovableTransaction(self._replica, self, tenant_id)

    async def position(self, tenant_id: UUID) -> int | None:
        """Return up to where this tenant had written when it was first asked."""
        if tenant_id not in self._positions:
            position = await self._written.of(tenant_id)
            self._positions.setdefault(tenant_id, position)
        return self._positions[tenant_id]


class _MovableTransaction(Transaction[Reading]):
    """A read-only transaction on the replica, or on the primary: from the beginning, or from a statement that the replica failed."""

    def __init__(self, replica: Replica, reads: _Reads, tenant_id: UUID) -> None:
        super().__init__(replica.primary.pool, replica.primary.acquire_seconds, of_tenant(READ, tenant_id), Reading)
        self._replica = replica
        self._reads = reads
        self._tenant_id = tenant_id

    async def _begun(self) -> Connection:
        position = await self._reads.position(self._tenant_id)
        if (connection := await self._replica.begun(self._begin, position)) is None:
            return await super()._begun()
        self._pool = self._replica.pool
        return connection

    def _opened(self, connection: Connection) -> Reading:
        return super()._opened(connection) if self._pool is not self._replica.pool else _MovableReading(connection, self)

    async def move(self, failure: Exception) -> Connection:
        """Go on at the primary."""
        log.info("replica_failed", error=type(failure).__name__)
        QUERIES_BEGUN.add(1, "primary", "failed")
        left, self._pool = self._connection, self._replica.primary.pool
        try:
            self._connection = await super()._begun()
        except BaseException:
            self._pool = self._replica.pool
            raise
        try:
            if isinstance(failure, asyncpg.PostgresError):
                await roll_back(left)
            else:
                left.terminate()  # whatever became of it
        finally:
            self._replica.pool.release(left)
        return self._connection


class _MovableReading(Reading):
    """Queries of which each is asked at the replica, and at the primary when that fails."""

    def __init__(self, connection: Connection, transaction: _MovableTransaction) -> None:
        super().__init__(connection)
        self._transaction: _MovableTransaction | None = transaction

    async def _alone(self, send: Any, query: Statement, arguments: Sequence[object]) -> Any:
        try:
            return await super()._alone(send, query, arguments)
        except _AGAIN as failure:
            if self._transaction is None:
                raise
            transaction, self._transaction = self._transaction, None
            self._connection = await transaction.move(failure)
            self._failed = False
            return await super()._alone(getattr(self._connection, send.__name__), query, arguments)
