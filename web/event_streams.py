"""GraphQL over server-sent events: a subscription on a connection of its own (npm's graphql-sse, "distinct connections mode")."""

import asyncio
import contextlib
from typing import Any, Final

import orjson

from resolvers.operations import Caller, Operation
from web.closings import GONE, SILENT_PINGS, UNAUTHORIZED, Closing
from web.credentials import Credential
from web.documents import Prepared
from web.door import Door
from web.frames import Payload
from web.requests import Headers, Receive, Send
from web.streams import Stream

# Some clients wait for a first byte before they believe in a stream, and all ignore a comment.
COMMENT: Final = b":\n\n"
COMPLETE: Final = b"event: complete\ndata:\n\n"
LAST_SECONDS: Final = 1.0


def event(body: bytes) -> bytes:
    """Make the event of a result; its JSON has no line feeds, and the lines end as urql expects them."""
    return b"event: next\ndata: " + body + b"\n\n"


class EventWriter:
    """The way out of an event stream. `crowded` while the server has not taken what was told last: the client reads slowly."""

    is_direct: Final = False

    def __init__(self, send: Send) -> None:
        self._send = send
        self.crowded = False

    def put(self, frames: bytes) -> None:
        """Only sockets take frames."""
        raise NotImplementedError

    async def tell(self, _: str, payload: Payload) -> None:
        """Say `next`."""
        self.crowded = True
        await self.write(event(payload.body))
        self.crowded = False

    async def say(self, message: dict[str, Any]) -> None:
        """Say that the operation is over, with the errors that ended it."""
        errors = event(orjson.dumps({"errors": message["payload"]}, default=str)) if message["type"] == "error" else b""
        await self.write(errors + COMPLETE)

    async def write(self, text: bytes) -> None:
        """Write a piece of the stream."""
        await self._send({"type": "http.response.body", "body": text, "more_body": True})


class EventStream:
    """One subscription's connection, from its first byte to its last."""

    def __init__(  # noqa: PLR0913 - what a connection is made of
        self, door: Door, caller: Caller, credential: Credential, receive: Receive, send: Send, headers: Headers
    ) -> None:
        self._door = door
        self.credential = credential
        self._receive = receive
        self._send = send
        self._start: dict[str, Any] | None = {"type": "http.response.start", "status": 200, "headers": headers}
        self._told_all = False
        self._writer = EventWriter(send)
        self._stream = Stream(door, self._writer, caller, "")
        self._closing: asyncio.Future[Closing] = asyncio.get_running_loop().create_future()

    async def serve(self, prepared: Prepared, operation: Operation, variables: dict[str, Any]) -> None:
        """Tell until the subscription ends, the client leaves, or the credential no longer counts."""
        following = asyncio.create_task(self._follow(prepared, operation, variables))
        beside = [asyncio.create_task(self._watch()), asyncio.create_task(self._hear())]
        try:
            waited: set[asyncio.Future[Any]] = {following, self._closing}
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (following, *beside):
                task.cancel()
            await asyncio.gather(following, *beside, return_exceptions=True)
        with contextlib.suppress(TimeoutError, OSError, RuntimeError):
            async with asyncio.timeout(LAST_SECONDS):
                await self._end(self._closing.result() if self._closing.done() and not self._told_all else None)

    async def _follow(self, prepared: Prepared, operation: Operation, variables: dict[str, Any]) -> None:
        """Begin to tell, and tell all."""
        try:
            async with asyncio.timeout(SILENT_PINGS * self._door.settings.socket_ping_seconds):
                await self._begin()
                await self._writer.write(COMMENT)
        except TimeoutError:
            self.end(Closing(GONE, "The client does not read"))
            return
        if not self._closing.done():
            await self._stream.follow(prepared, operation, variables)
            self._told_all = True

    async def _begin(self) -> None:
        """Send the head of the answer, once."""
        if self._start is not None:
            await self._send(self._start)
            self._start = None

    async def _end(self, closing: Closing | None) -> None:
        """Say why, if it is final. A stream that ends without `complete` is begun again by the clients: elsewhere, or with a new token."""
        await self._begin()
        if closing is not None and closing.code == UNAUTHORIZED:
            await self._writer.say({"type": "error", "payload": [{"message": "Sign in again.", "extensions": {"code": closing.reason}}]})
        await self._send({"type": "http.response.body", "body": b""})

    async def _watch(self) -> None:
        """Say something now and then, so that no proxy gives up, and end what has run out or is not read."""
        pause = self._door.settings.socket_ping_seconds
        try:
            while True:
                await asyncio.sleep(self.credential.seconds_left(pause))
                async with asyncio.timeout(SILENT_PINGS * pause):
                    await self._writer.write(COMMENT)
        except Closing as closing:
            self.end(closing)
        except (TimeoutError, OSError, RuntimeError):  # uvloop's transports raise the last when they are closed
            self.end(Closing(GONE, "The client does not read"))

    async def _hear(self) -> None:
        """Wait until the client has left."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.end(Closing(GONE, "The client has left"))

    def end(self, closing: Closing) -> None:
        """End the stream."""
        if not self._closing.done():
            self._closing.set_result(closing)
