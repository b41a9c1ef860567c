"""GraphQL over WebSocket: `graphql-transport-ws` to the letter, and no other subprotocol."""

import asyncio
import time
from typing import Any, Final

import structlog

from errors import RateLimited, Unauthenticated, Unavailable
from events.revocations import Revoked
from resolvers.operations import Operation
from telemetry.instruments import Seen
from web.callers import bearer_token, caller_of, cookie_token, headers_of, origin_may_use_cookies
from web.closings import (
    FORBIDDEN,
    GONE,
    ID_TAKEN,
    INIT_TIMEOUT,
    INIT_TWICE,
    MALFORMED,
    RESTART,
    SILENT_PINGS,
    TRY_LATER,
    UNAUTHORIZED,
    WRONG_PROTOCOL,
    Closing,
    reason_of,
    refused,
)
from web.credentials import Credential
from web.documents import Prepared
from web.door import Door
from web.event_streams import EventStream
from web.metrics import CONNECTIONS
from web.rechecks import Rechecks
from web.requests import BadRequest, Receive, Send, parsed
from web.streams import Stream
from web.writers import Writer

log = structlog.get_logger()

PROTOCOL: Final = "graphql-transport-ws"


class Sockets:
    """All open sockets of this process, and its event streams."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._open: set[Socket] = set()
        self._event_streams: set[EventStream] = set()
        self._rechecks = Rechecks(door)
        self._stopping = False
        CONNECTIONS.watch(self, Sockets._seen)

    async def serve(self, scope: Any, receive: Receive, send: Send) -> None:
        """Serve one socket until it closes."""
        connected = Socket(self._door, scope, receive, send)
        if (refusal := self._refusal(connected.address)) is not None:
            await connected.refuse(refusal)
            return
        self._open.add(connected)
        try:
            with self._door.crowds.one_more(connected.address):
                await connected.serve()
        finally:
            self._open.discard(connected)

    def _refusal(self, address: str) -> Closing | None:
        if self._stopping:
            return Closing(RESTART, "The server stops")
        return None if self._door.crowds.has_room(address) else Closing(TRY_LATER, "Too many connections of this address")

    async def serve_events(self, stream: EventStream, prepared: Prepared, operation: Operation, variables: dict[str, Any]) -> None:
        """Serve one event stream until it ends."""
        if self._stopping:
            stream.end(Closing(RESTART, "The server stops"))
        self._event_streams.add(stream)
        # What was revoked while its subscription was admitted was not told to it.
        self._rechecks.join(stream)
        try:
            with self._door.crowds.one_more(operation.caller.address):
                await stream.serve(prepared, operation, variables)
        finally:
            self._event_streams.discard(stream)

    def drain(self) -> None:
        """End the event streams of a process that stops, those too that are still to come; the server itself tells sockets."""
        self._stopping = True
        for stream in self._event_streams:
            stream.end(Closing(RESTART, "The server stops"))

    def recheck(self, revoked: Revoked | None) -> None:
        """Begin to look again at the credentials that a revocation touches (all of them when something may have been missed)."""
        self._rechecks.begin(revoked, (*self._open, *self._event_streams))

    def _seen(self) -> list[Seen]:
        return [(len(self._open), ("websocket",)), (len(self._event_streams), ("events",))]

    async def close(self) -> None:
        """Look at no credential any more."""
        await self._rechecks.close()


class Socket:
    """One connection. The viewer is its own; context and loaders are made anew for each operation."""

    def __init__(self, door: Door, scope: Any, receive: Receive, send: Send) -> None:
        self._door = door
        self._settings = door.settings
        self._scope = scope
        self._receive = receive
        self._send = send
        self._writer = Writer(scope, send, most_held_bytes=door.settings.socket_answers_bytes)
        self._headers = headers_of(scope)
        self._caller = caller_of(scope, self._headers, door.settings)
        self.credential = Credential(door)
        self._acknowledged = False
        self._heard_at = self._busy_at = time.monotonic()
        self._streams: dict[str, Stream] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._pinging: asyncio.Task[None] | None = None
        self._closing: asyncio.Future[Closing] = asyncio.get_running_loop().create_future()

    @property
    def address(self) -> str:
        """Where it comes from."""
        return self._caller.address

    async def refuse(self, closing: Closing) -> None:
        """Shake hands, so that the client learns why, and close."""
        if await self._accepted():
            await self._writer.close(closing)

    async def serve(self) -> None:
        """Speak the protocol until either side closes."""
        if not await self._accepted():
            return
        listening = asyncio.create_task(self._listen())
        watching = asyncio.create_task(self._watch())
        stopped: list[asyncio.Task[None]] = []
        try:
            waited: set[asyncio.Future[Any]] = {listening, watching, self._closing}
            done, _ = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            closing = self._closing.result() if self._closing in done else reason_of(listening, watching)
            stopped = self._stop(listening, watching)
            if closing is not None:
                await self._writer.close(closing)
        finally:
            self._writer.closed = True
            await asyncio.gather(*(stopped or self._stop(listening, watching)), return_exceptions=True)

    def _stop(self, *tasks: "asyncio.Task[None]") -> "list[asyncio.Task[None]]":
        """Let nothing more be done for the client, once: what it did not read must not keep its operations going."""
        stopped = [*tasks, *self._tasks]
        for task in stopped:
            task.cancel()
        return stopped

    async def _accepted(self) -> bool:
        await self._receive()
        if cookie_token(self._headers, self._settings) and not origin_may_use_cookies(self._headers, self._settings):
            await self._send({"type": "websocket.close", "code": FORBIDDEN})
            return False
        spoken = PROTOCOL in self._scope.get("subprotocols", ())
        await self._send({"type": "websocket.accept", "subprotocol": PROTOCOL if spoken else None})
        if not spoken:
            await self._writer.close(Closing(WRONG_PROTOCOL, f"Subprotocol {PROTOCOL} only"))
        return spoken

    async def _listen(self) -> None:
        while True:
            # Who does not read is not heard: its messages wait at its own end, and not here with the answers to them.
            await self._writer.keeps_up()
            message = await self._receive()
            if message["type"] != "websocket.receive":
                return
            self._heard_at = time.monotonic()
            text = message.get("text")
            if text is None:
                raise Closing(MALFORMED, "Messages are JSON text")
            try:
                sent = parsed(text.encode())
            except BadRequest:
                raise Closing(MALFORMED, "Messages are JSON text") from None
            await self._obey(sent)

    async def _obey(self, sent: Any) -> None:
        if not isinstance(sent, dict) or not isinstance(sent.get("type"), str) or not isinstance(sent.get("payload"), dict | None):
            raise Closing(MALFORMED, "Messages are objects with a type")
        match sent["type"]:
            case "connection_init":
                await self._init(sent.get("payload") or {})
            case "ping":
                await self._writer.say({"type": "pong"})
            case "pong":
                pass
            case "subscribe":
                await self._subscribe(_id(sent), sent.get("payload"))
            case "complete":
                if (stream := self._streams.pop(_id(sent), None)) is not None:
                    stream.stop()
            case _:
                raise Closing(MALFORMED, "Unknown message type")

    async def _init(self, payload: dict[str, Any]) -> None:
        if self._acknowledged:
            raise Closing(INIT_TWICE, "Too many initialisation requests")
        given = next((value for name, value in payload.items() if name.lower() == "authorization"), None)
        try:
            if isinstance(given, str):
                token: str | None = bearer_token(given)
            elif (header := self._headers.get("authorization")) is not None:
                token = bearer_token(header)
            else:
                token = cookie_token(self._headers, self._settings)
            await self.credential.take(token, self._caller)
        except Unauthenticated as error:
            raise refused(error) from error
        except (RateLimited, Unavailable) as error:
            raise Closing(TRY_LATER, "The credential cannot be checked") from error
        self._acknowledged = True
        await self._writer.say({"type": "connection_ack"})

    async def _subscribe(self, operation_id: str, payload: dict[str, Any] | None) -> None:
        if not self._acknowledged:
            raise Closing(UNAUTHORIZED, "Unauthorized")
        if operation_id in self._streams:
            raise Closing(ID_TAKEN, f"Subscriber for {operation_id} already exists")
        stream = Stream(self._door, self._writer, self._caller, operation_id)
        if len(self._streams) >= self._settings.socket_max_subscriptions:
            await stream.turn_away(self.credential.viewer)
            return
        self._streams[operation_id] = stream
        task = stream.begin(payload, self.credential.viewer)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._ended(operation_id, stream, done))

    def _ended(self, operation_id: str, stream: Stream, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._busy_at = time.monotonic()
        if self._streams.get(operation_id) is stream:
            del self._streams[operation_id]
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, Closing):
            self.end(error)
        elif not self._writer.closed:
            log.error("subscription_broke", request_id=self._caller.request_id, exc_info=error)
            self.end(Closing(GONE, "Something failed on our side"))

    async def _watch(self) -> None:
        """Close a socket that never begins or that nobody uses, ping one that is silent, end one whose credential runs out."""
        await asyncio.sleep(self._settings.socket_init_seconds)
        if not self._acknowledged:
            raise Closing(INIT_TIMEOUT, "Connection initialisation timeout")
        pause = self._settings.socket_ping_seconds
        while True:
            await asyncio.sleep(self.credential.seconds_left(pause))
            if time.monotonic() - self._heard_at > SILENT_PINGS * pause:
                raise Closing(GONE, "No answer to pings")
            if self._is_idle():
                raise Closing(GONE, "Nobody is signed in, and nothing was asked")
            self._ping()

    def _is_idle(self) -> bool:
        """Whether it costs memory and serves nobody: without a credential nothing tells who would miss it."""
        if self.credential.viewer is not None or self._streams:
            return False
        return time.monotonic() - self._busy_at > self._settings.socket_anonymous_seconds

    def _ping(self) -> None:
        """Ping beside the watching, which goes on when the client does not read; the last ping then still waits for its turn."""
        if self._pinging is None or self._pinging.done():
            self._pinging = asyncio.create_task(self._writer.say({"type": "ping"}))
            self._tasks.add(self._pinging)
            self._pinging.add_done_callback(self._tasks.discard)

    def end(self, closing: Closing) -> None:
        """Close the socket."""
        if not self._closing.done():
            self._closing.set_result(closing)


def _id(sent: dict[str, Any]) -> str:
    operation_id = sent.get("id")
    if not isinstance(operation_id, str) or not operation_id or len(operation_id) > 128:
        raise Closing(MALFORMED, "An operation needs an id")
    return operation_id
