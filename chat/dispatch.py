"""How workers and readers hear of what was decided in PostgreSQL: hints and first words, after the transaction.

When Valkey is away nothing is lost: a run waits in PostgreSQL, where a sweep finds it, and a worker looks for a wish to stop there.
"""

import contextlib
import time
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple
from uuid import UUID

import structlog

from auth.encryption.ciphers import TenantCipher
from chat.events import RunFinished, RunQueued
from chat.logs import RunLogs, RunWasTaken
from chat.queues import RunQueue, Stop
from db.scopes import Row, TenantScopes
from db.statements import runs
from errors import Unavailable
from events.valkey import OUTAGES, ValkeyIsUnavailable

log = structlog.get_logger()

_AWAY: Final = (*OUTAGES, ValkeyIsUnavailable, RunWasTaken)
# The log of a run that never began: RunQueued, RunFinished.
LAST_SEQ_UNBEGUN: Final = 2


class Stopped(NamedTuple):
    """A run that was asked to stop; `unbegun` when no worker had it, so that it has ended already.

    Where it was asked the same `before`, the workers know: they look for what they were not told.
    """

    run: Row
    how: Stop
    unbegun: bool
    before: bool = False


class Dispatch:
    """Tells of runs that wait and of runs that should stop."""

    def __init__(self, *, scopes: TenantScopes, logs: RunLogs, queue: RunQueue) -> None:
        self._scopes = scopes
        self._logs = logs
        self._queue = queue

    async def waits(self, cipher: TenantCipher, made: Iterable[Row], position: int) -> None:
        """Tell of new runs: their readers, and the workers, who leave a run alone whose turn has not come."""
        for run in made:
            try:
                await self._logs.writer(cipher, run["id"], 0).append(RunQueued(seq=1, at=time.time(), position=position))
                await self._queue.put(cipher.tenant_id, run["id"])
            except _AWAY as error:
                log.warning("run_not_announced", run_id=str(run["id"]), error=type(error).__name__)

    async def stops(self, cipher: TenantCipher, stopped: Iterable[Stopped]) -> None:
        """Tell the workers that make these answers to stop; those that nobody had begun have ended, and their readers are told."""
        for run, how, unbegun, before in stopped:
            with contextlib.suppress(*_AWAY):
                if unbegun:
                    ended = RunFinished(seq=LAST_SEQ_UNBEGUN, at=time.time(), status="CANCELLED")
                    await self._logs.writer(cipher, run["id"], run["epoch"]).append(ended)
                if not before:
                    await self._queue.stop(run["id"], how)
            if unbegun:
                await self.wake_next(cipher.tenant_id, run["chat_id"])

    async def gone(self, tenant_id: UUID, run_ids: Sequence[UUID]) -> None:
        """Forget the logs of runs that were deleted, and stop those that were going on."""
        with contextlib.suppress(*OUTAGES, Unavailable):
            await self._logs.forget(tenant_id, run_ids)
            for run_id in run_ids:
                await self._queue.stop(run_id, Stop.CANCEL)

    async def wake_next(self, tenant_id: UUID, chat_id: UUID) -> None:
        """Tell the workers whose turn it is now that a run has ended; it is read anew, so of two ends at once one sees both."""
        with contextlib.suppress(*OUTAGES, Unavailable):
            async with self._scopes.writing(tenant_id) as scope:
                waiting = await runs.next_in_chat(scope, tenant_id, chat_id)
            for run_id in waiting:
                await self._queue.put(tenant_id, run_id)
