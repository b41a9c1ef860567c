"""Tells every process at once that something no longer authorises anybody."""

from collections.abc import AsyncIterator
from typing import Literal
from uuid import UUID

import msgspec
from valkey.asyncio import Valkey

from settings import Settings

Kind = Literal["session", "api_key", "user", "role", "tenant"]


class Revoked(msgspec.Struct, frozen=True, kw_only=True):
    """What was ended or changed. A `user` or a `role` is meant in this tenant only; `reason` is for the log and the client."""

    kind: Kind
    tenant_id: UUID
    id: UUID
    reason: str


class Revocations:
    def __init__(self, valkey: Valkey, settings: Settings) -> None:
        raise NotImplementedError

    async def publish(self, revoked: Revoked) -> None:
        raise NotImplementedError

    async def listen(self) -> AsyncIterator[Revoked | None]:
        """Yield what is published; None after each connection: something may have been missed, recheck everything."""
        raise NotImplementedError
        yield None
