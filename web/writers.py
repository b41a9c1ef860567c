"""The way out of a socket: what it says, in order and at once."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any, Final

import orjson

from web.closings import TRY_LATER, Closing
from web.frames import Payload
from web.metrics import CLOSED
from web.protocol import EXTENSION, FramesProtocol
from web.requests import Send

CLOSE_SECONDS: Final = 1.0
"""How long a client that does not read is waited for when its socket must be closed."""


class Writer:
    """Writes one socket's messages: ready frames straight to the transport where the server lets them through, else as ASGI has it.

    `crowded` means that the client reads more slowly than it is told, so that nothing more should be put. What waits to be told meanwhile
    is at most one result, or `most_held_bytes` of several.
    """

    __slots__ = (
        "_held_bytes",
        "_most_held_bytes",
        "_protocol",
        "_send",
        "_telling",
        "_transport",
        "closed",
        "crowded",
    )

    def __init__(self, scope: Any, send: Send, *, most_held_bytes: int) -> None:
        self._send = send
        self._most_held_bytes = most_held_bytes
        self._held_bytes = 0
        self.closed = False
        self.crowded = False
        self._telling = 0
        self._protocol: FramesProtocol | None = (scope.get("extensions") or {}).get(EXTENSION, {}).get("protocol")
        self._transport: asyncio.Transport | None = None
        if self._protocol is not None:
            self._protocol.writer = self
            self._transport = self._protocol.transport

    @property
    def is_direct(self) -> bool:
        """Whether frames can be put without waiting."""
        return self._transport is not None

    async def keeps_up(self) -> None:
        """Wait until the client has read what it was told; a server that only speaks ASGI does not say."""
        if self._protocol is not None:
            await self._protocol.writable.wait()

    def put(self, frames: bytes) -> None:
        """Write frames; only where `is_direct` and not `crowded`."""
        transport = self._transport
        # Nothing may follow a close frame, be it ours or uvicorn's own, after which it closes the transport.
        if not (self.closed or transport is None or transport.is_closing()):
            transport.write(frames)

    async def tell(self, operation_id: str, payload: Payload) -> None:
        """Say `next`, when the client has read enough of what it was told; raises `Closing` when too much waits for that."""
        if self._protocol is None:
            self._telling += 1
            self.crowded = True
            try:
                with self._holding(payload):
                    await self._say(payload.text(operation_id))
            finally:
                self._telling -= 1
                self.crowded = self._telling > 0
            return
        if self.crowded:
            with self._holding(payload):
                await self._protocol.writable.wait()
        self.put(payload.frame(operation_id))

    @contextlib.contextmanager
    def _holding(self, payload: Payload) -> Iterator[None]:
        """Count what a result takes while it waits."""
        size = payload.size
        if self._held_bytes and self._held_bytes + size > self._most_held_bytes:
            raise Closing(TRY_LATER, "The client does not read")
        self._held_bytes += size
        try:
            yield
        finally:
            self._held_bytes -= size

    async def say(self, message: dict[str, Any]) -> None:
        """Say anything else."""
        await self._say(orjson.dumps(message, default=str))

    async def _say(self, text: bytes) -> None:
        if self.closed:
            return
        try:
            await self._send({"type": "websocket.send", "text": text.decode()})
        except (OSError, RuntimeError):  # the client went away, or uvicorn gave it up by itself
            self.closed = True

    async def close(self, closing: Closing) -> None:
        """Close the socket; nothing is said after. A client that does not read is cut off after a moment, without having been told why."""
        self.closed = True
        CLOSED.add(1, closing.code)
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._send({"type": "websocket.close", "code": closing.code, "reason": closing.reason})
        except TimeoutError:
            if self._transport is not None:
                self._transport.abort()
        except (RuntimeError, OSError):
            return  # it is closed already
