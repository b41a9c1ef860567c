"""Hints that a tenant has new facts, after they were committed. One that is lost costs a second: readers look for themselves as well.

Whoever hears of a fact and asks again must not be given what was kept before it: the tenant's version is renewed first.
"""

import asyncio
from typing import Final
from uuid import UUID

import structlog
from valkey.asyncio import Valkey
from valkey.exceptions import ValkeyError

from events.versions import LIFE_SECONDS as VERSION_SECONDS
from events.versions import Versions, new_version
from settings import Settings

log = structlog.get_logger()

LIFE_SECONDS: Final = 3600


class Hints:
    """Gives hints through a stream a tenant; those that come while one is on its way go together."""

    def __init__(self, valkey: Valkey, versions: Versions, settings: Settings) -> None:
        self._valkey = valkey
        self._versions = versions
        self._prefix = settings.valkey_prefix
        self._due: set[UUID] = set()
        self._giving: asyncio.Task[None] | None = None

    def key(self, tenant_id: UUID) -> str:
        """Name the stream of a tenant's hints."""
        return f"{self._prefix}:facts:{tenant_id.hex}"

    def give(self, tenant_id: UUID) -> None:
        """Tell everybody who follows this tenant, soon."""
        self._due.add(tenant_id)
        if self._giving is None or self._giving.done():
            self._giving = asyncio.create_task(self._give(), name="hints")

    async def close(self) -> None:
        """Give what is due."""
        if self._giving is not None:
            await self._giving

    async def _give(self) -> None:
        while self._due:
            due, self._due = self._due, set()
            pipe = self._valkey.pipeline(transaction=False)
            for tenant_id in due:
                if self._versions.are_kept:
                    pipe.set(self._versions.key(tenant_id), new_version(), ex=VERSION_SECONDS)
                pipe.xadd(self.key(tenant_id), {"h": b""}, maxlen=1, approximate=False)
                pipe.expire(self.key(tenant_id), LIFE_SECONDS)
            try:
                await pipe.execute()
            except (ValkeyError, OSError) as error:
                log.warning("hints_not_given", error=type(error).__name__)
                for tenant_id in due:
                    self._versions.renew_later(tenant_id)
