"""Takes facts away that are older than the window in which they are told again."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from db.scopes import SystemScopes
from db.statements import facts
from errors import Unavailable
from settings import Settings

log = structlog.get_logger()

PAUSE_SECONDS: Final = 600.0
AT_ONCE: Final = 5000
MARGIN: Final = timedelta(hours=1)
"""What a cursor may still be told is not taken away while it is being told."""


class Pruning:
    """One worker's share; several at once find less to do."""

    def __init__(self, system: SystemScopes, settings: Settings) -> None:
        self._system = system
        self._window = timedelta(hours=settings.event_window_hours) + MARGIN

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
        """Take away what is too old, and return how many facts that were."""
        before, gone = now - self._window, 0
        while True:
            async with self._system.reading() as scope:
                tenant_ids = await facts.tenants_before(scope, before, AT_ONCE)
            if not tenant_ids:
                return gone
            for tenant_id in tenant_ids:
                async with self._system.writing(tenant_id) as scope:
                    gone += await facts.delete_before(scope, tenant_id, before, AT_ONCE)
