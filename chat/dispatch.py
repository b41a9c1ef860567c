"""How workers and readers hear of what was decided in PostgreSQL: hints and first words, after the transaction.

When Valkey is away nothing is lost: a run waits in PostgreSQL, where a sweep finds it, and a worker looks for a wish to stop there.
"""

import contextlib
import time
from typing import Final

import structlog

from auth.encryption.ciphers import TenantCipher
from chat.events import RunFinished, RunQueued
from chat.logs import RunLogs, RunWasTaken
from chat.queues import RunQueue
from db.scopes import Row
from events.valkey import OUTAGES, ValkeyIsUnavailable

log = structlog.get_logger()

_AWAY: Final = (*OUTAGES, ValkeyIsUnavailable, RunWasTaken)
# The log of a run that never began: RunQueued, RunFinished.
LAST_SEQ_UNBEGUN: Final = 2


class Dispatch:
    """Tells of runs that wait and of runs that should stop."""

    def __init__(self, logs: RunLogs, queue: RunQueue) -> None:
        self._logs = logs
        self._queue = queue

    async def waits(self, cipher: TenantCipher, run: Row, position: int) -> None:
        """Tell the workers of a new run."""
        try:
            await self._logs.writer(cipher, run["id"], 0).append(RunQueued(seq=1, at=time.time(), position=position))
            await self._queue.put(cipher.tenant_id, run["id"])
        except _AWAY as error:
            log.warning("run_not_announced", run_id=str(run["id"]), error=type(error).__name__)

    async def stops(self, cipher: TenantCipher, run: Row, *, unbegun: bool) -> None:
        """Tell the worker that makes an answer to stop; one that nobody had begun has ended, and its readers are told."""
        with contextlib.suppress(*_AWAY):
            if unbegun:
                ended = RunFinished(seq=LAST_SEQ_UNBEGUN, at=time.time(), status="CANCELLED")
                await self._logs.writer(cipher, run["id"], run["epoch"]).append(ended)
            await self._queue.cancel(run["id"])
