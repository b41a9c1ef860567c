"""Both ends of a socket for tests of what is written to it: a transport that notes it, and ASGI that does."""

import asyncio
from typing import Any

from web.protocol import EXTENSION, FramesProtocol
from web.writers import Writer

MOST_HELD = 100_000


class Noting(asyncio.Transport):
    """A transport of which each write is noted."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closing = False
        self.aborted = False
        self._news = asyncio.Event()

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))
        self._news.set()

    async def until(self, count: int) -> None:
        """Wait for so many writes."""
        while len(self.writes) < count:
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), 10)

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = self.aborted = True


class Wire:
    """A writer on uvicorn's protocol, as it is after the handshake."""

    def __init__(self) -> None:
        self.transport = Noting()
        self.protocol: Any = object.__new__(FramesProtocol)
        self.protocol.transport = self.transport
        self.protocol.writable = asyncio.Event()
        self.protocol.writable.set()
        self.said: list[Any] = []
        self.writer = Writer({"extensions": {EXTENSION: {"protocol": self.protocol}}}, self._send, most_held_bytes=MOST_HELD)

    async def _send(self, message: Any) -> None:
        await self.protocol.writable.wait()
        self.said.append(message)
        self.transport.write(message.get("text", "").encode())


class Asgi:
    """A writer on a server that only speaks ASGI; it takes messages while there is `room`."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.gone = False
        self.room = asyncio.Event()
        self.room.set()
        self.writer = Writer({}, self._send, most_held_bytes=MOST_HELD)

    async def _send(self, message: Any) -> None:
        await self.room.wait()
        if self.gone:
            raise RuntimeError("Unexpected ASGI message 'websocket.send', after sending 'websocket.close'.")
        self.said.append(message)
