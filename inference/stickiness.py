"""Where each chat was answered last: providers keep what they have read, and reading it again there costs less."""

import asyncio
import contextlib
from uuid import UUID

from valkey.asyncio import Valkey
from valkey.exceptions import ValkeyError

from settings import Settings


class Stickiness:
    """Remembers for a while; without Valkey nothing is remembered, and nothing fails."""

    def __init__(self, valkey: Valkey, settings: Settings) -> None:
        self._valkey = valkey
        self._prefix = f"{settings.valkey_prefix}:answered"
        self._seconds = settings.route_sticky_seconds
        self._timeout_seconds = settings.valkey_timeout_seconds

    async def last(self, chat_id: UUID) -> UUID | None:
        """The deployment that answered a chat last."""
        with contextlib.suppress(ValkeyError, OSError):
            async with asyncio.timeout(self._timeout_seconds):
                found = await self._valkey.get(self._key(chat_id))
            return UUID(bytes=found) if found else None
        return None

    async def note(self, chat_id: UUID, deployment_id: UUID) -> None:
        """Remember who answers a chat."""
        with contextlib.suppress(ValkeyError, OSError):
            async with asyncio.timeout(self._timeout_seconds):
                await self._valkey.set(self._key(chat_id), deployment_id.bytes, ex=self._seconds)

    def _key(self, chat_id: UUID) -> str:
        return f"{self._prefix}:{chat_id}"
