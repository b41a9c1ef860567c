"""Takes away what is kept for a while only: facts behind the window in which they are told again, and jobs that ended long ago."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol
from uuid import UUID

import structlog

from db.scopes import Reading, SystemScopes, Writing
from db.statements import facts, jobs
from errors import Unavailable
from settings import Settings

log = structlog.get_logger()

PAUSE_SECONDS: Final = 600.0
AT_ONCE: Final = 5000
MARGIN: Final = timedelta(hours=1)
"""What a cursor may still be told is not taken away while it is being told."""


class Aging(Protocol):
    """Statements over rows that are too old one day."""

    async def tenants_before(self, scope: Reading, before: datetime, limit: int) -> list[UUID]:
        """Find some tenants that have any."""

    async def delete_before(self, scope: Writing, tenant_id: UUID, before: datetime, limit: int) -> int:
        """Take some of a tenant's away."""


class Pruning:
    """One worker's share; several at once find less to do."""

    def __init__(self, system: SystemScopes, settings: Settings) -> None:
        self._system = system
        self._window = timedelta(hours=settings.event_window_hours) + MARGIN
        self._jobs_kept = timedelta(hours=settings.job_keep_hours)

    async def work(self) -> None:
        """Prune every ten minutes, until cancelled."""
        while True:
            try:
                await self.prune(datetime.now(UTC))
            except Unavailable as error:
                log.warning("pruning_waits", error=type(error).__name__)
            except Exception:
                log.exception("pruning_broke")
            await asyncio.sleep(PAUSE_SECONDS)

    async def prune(self, now: datetime) -> int:
        """Take away what is too old, and return how many rows that were."""
        return await self._take_away(facts, now - self._window) + await self._take_away(jobs, now - self._jobs_kept)

    async def _take_away(self, rows: Aging, before: datetime) -> int:
        gone = 0
        while True:
            async with self._system.reading() as scope:
                tenant_ids = await rows.tenants_before(scope, before, AT_ONCE)
            if not tenant_ids:
                return gone
            for tenant_id in tenant_ids:
                async with self._system.writing(tenant_id) as scope:
                    gone += await rows.delete_before(scope, tenant_id, before, AT_ONCE)
