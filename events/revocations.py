"""Tells every process at once that something no longer authorises anybody, or no longer as much."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final, Literal
from uuid import UUID

import msgspec
import structlog
from valkey.asyncio import Valkey
from valkey.asyncio.client import PubSub
from valkey.exceptions import ConnectionError as ValkeyConnectionError
from valkey.exceptions import ValkeyError

from settings import Settings

log = structlog.get_logger()

# "models": what a tenant can ask changed, "documents": what its clients send; the id is the tenant's.
Kind = Literal["session", "api_key", "user", "role", "tenant", "models", "documents"]

_LONGEST_PAUSE: Final = 2.0


class Revoked(msgspec.Struct, frozen=True, kw_only=True):
    """What was ended or changed; a user or a role is meant in this tenant only, and `reason` is a word for logs and clients.

    It says who must be checked again, not what the check will find: after a change of role the same credential may go on.
    """

    kind: Kind
    tenant_id: UUID
    id: UUID
    reason: str


class Revocations:
    """Publishes and hears revocations by Valkey's pub/sub, which keeps nothing for those who are not connected."""

    def __init__(self, valkey: Valkey, settings: Settings, *, silence_seconds: float = 5.0) -> None:
        self._valkey = valkey
        self._channel = f"{settings.valkey_prefix}:revocations"
        self._silence_seconds = silence_seconds

    async def publish(self, revoked: Revoked) -> None:
        """Tell everybody, after the change is committed. An outage is logged: listeners lose Valkey too, and then recheck everything."""
        try:
            await self._valkey.publish(self._channel, msgspec.json.encode(revoked))
        except (ValkeyError, OSError) as error:
            log.warning("revocation_not_published", kind=revoked.kind, id=str(revoked.id), error=type(error).__name__)

    async def listen(self) -> AsyncIterator[Revoked | None]:
        """Yield what is published, for ever; None after each connection: something may have been missed, recheck everything."""
        pause = 0.05
        while True:
            try:
                async with self._valkey.pubsub() as pubsub:
                    await pubsub.subscribe(self._channel)
                    async for revoked in self._heard(pubsub):
                        pause = 0.05
                        yield revoked
            except (ValkeyError, OSError) as error:
                log.warning("revocations_lost_valkey", error=type(error).__name__)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _heard(self, pubsub: PubSub) -> AsyncIterator[Revoked | None]:
        """Yield until the connection fails, or stays silent although it was pinged (asyncio sees no end of a cut cable)."""
        pinged = False
        while True:
            message = await pubsub.get_message(timeout=self._silence_seconds)
            if message is None:
                if pinged:
                    raise ValkeyConnectionError("Valkey is silent.")
                await pubsub.ping()
            elif message["type"] == "subscribe":
                # The client also subscribes anew by itself after it lost its connection.
                yield None
            elif message["type"] == "message":
                yield _read(message["data"])
            pinged = message is None


def _read(data: bytes) -> Revoked | None:
    try:
        return msgspec.json.decode(data, type=Revoked)
    except msgspec.DecodeError:
        # From a newer version of PENNY: whatever it is about, rechecking everything covers it.
        return None
