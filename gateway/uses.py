"""How often documents are used: counted in the process, and written down together every few seconds."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from auth.background import Background
from db.scopes import TenantScopes
from db.statements import documents
from settings import Settings

log = structlog.get_logger()

KEPT_DAYS: Final = 31
"""A document's calls of the last 30 days are told; today's are among them, wherever it is today."""


class Uses:
    """Counts what is used. What a process has not written down when it is killed is not counted."""

    def __init__(self, scopes: TenantScopes, background: Background, settings: Settings) -> None:
        self._scopes = scopes
        self._background = background
        self._pause = settings.document_uses_seconds
        self._most_signed_out = settings.document_uses_signed_out
        self._calls: defaultdict[UUID, defaultdict[UUID, int]] = defaultdict(lambda: defaultdict(int))
        self._signed_out: set[UUID] = set()
        self._timer: asyncio.TimerHandle | None = None

    def count_signed_out(self, tenant_id: UUID, document_id: UUID) -> None:
        """Count a use by somebody who has not signed in. Anybody may ask, so it is of some documents at most that this leads to writing."""
        if document_id not in self._signed_out:
            if len(self._signed_out) >= self._most_signed_out:
                return
            self._signed_out.add(document_id)
        self.count(tenant_id, document_id)

    def count(self, tenant_id: UUID, document_id: UUID) -> None:
        """Count a use."""
        self._calls[tenant_id][document_id] += 1
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._pause, self._due)

    async def close(self) -> None:
        """Write down what was counted."""
        if self._timer is not None:
            self._timer.cancel()
        await self._write(self._taken())

    def _due(self) -> None:
        self._timer = None
        self._background.start(self._write(self._taken()), name="document uses")

    def _taken(self) -> Mapping[UUID, Mapping[UUID, int]]:
        taken, self._calls = self._calls, defaultdict(lambda: defaultdict(int))
        self._signed_out.clear()
        return taken

    async def _write(self, taken: Mapping[UUID, Mapping[UUID, int]]) -> None:
        now = datetime.now(UTC)
        for tenant_id, calls in taken.items():
            try:
                async with self._scopes.writing(tenant_id) as scope:
                    await documents.add_calls(scope, tenant_id, calls, now, keep_from=now.date() - timedelta(days=KEPT_DAYS))
            except Exception as error:  # noqa: BLE001 - a count that is lost must not take the others with it
                log.warning("document_uses_not_counted", tenant=str(tenant_id), error=type(error).__name__)
