"""uvicorn's HTTP protocol with bounds: a request must arrive and its answer be read in time, and its head has a largest size."""

import asyncio
import resource
import sys
from collections.abc import Collection
from secrets import token_hex
from typing import Any, Final, Protocol, TypeGuard, cast

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from errors import Code
from settings import Settings
from web.answers import refusal
from web.crowds import Crowds
from web.headers import of_api
from web.whole_answers import EXTENSION, Answers

SWEEP_SECONDS: Final = 1.0
PIECE: Final = 4096
"""How many bytes are read at once. The smallest request has about twenty, the smallest frame six, and each costs as much time as any."""
SPARE_FILES: Final = 256
"""Open files that a process keeps for its own servers: whoever fills it with connections must not cut it off from its database."""
Client = tuple[str, int] | None
_CLOSED: Final = b"HTTP/1.1 %d %b\r\n%bcontent-type: application/json; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"


class Looked:
    """A connection that is looked at now and then."""

    def look(self, now: float) -> None:
        """Cut off a client that is late."""
        raise NotImplementedError


class Watch:
    """Cuts off what is late, with one timer for all connections of a process, and counts them: what a request costs does not grow."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.most = _most_connections()
        self._crowds = Crowds(settings.http_address_connections)
        self.request_seconds = settings.http_request_seconds
        self.head_bytes = settings.http_max_head_bytes
        self.slowest = settings.http_slowest_bytes_per_second
        self.headers = of_api(settings)
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, loop: asyncio.AbstractEventLoop, connections: Collection[Any]) -> None:
        """Watch these connections as long as there are any."""
        if self._timer is None:
            self._timer = loop.call_later(SWEEP_SECONDS, self._sweep, loop, connections)

    def _sweep(self, loop: asyncio.AbstractEventLoop, connections: Collection[Any]) -> None:
        now = loop.time()
        for connection in list(connections):
            if isinstance(connection, Looked):
                connection.look(now)
        self._timer = None
        if connections:
            self.begin(loop, connections)

    def read_by(self, now: float, transport: asyncio.Transport) -> float:
        """When a client that is not too slow has read what was written."""
        return now + self.request_seconds + transport.get_write_buffer_size() / self.slowest

    def enter(self, client: Client) -> None:
        """Count a connection."""
        if self._counts(client):
            self._crowds.enter(client[0])

    def leave(self, client: Client) -> None:
        """Count a connection no longer."""
        if self._counts(client):
            self._crowds.leave(client[0])

    def has_room(self, client: Client) -> bool:
        """Whether one more may come from there."""
        return not self._counts(client) or self._crowds.has_room(client[0])

    def _counts(self, client: Client) -> TypeGuard[tuple[str, int]]:
        """Whether a connection is of one client: through a proxy that is trusted, and through a unix socket, come many."""
        return client is not None and client[0] not in self.settings.trusted_proxies


def _most_connections() -> int:
    """How many connections a process can hold beside the files that it needs for itself."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if files == resource.RLIM_INFINITY else max(1, files - SPARE_FILES)


class Watched(Protocol):
    """The application, which knows the settings, and what it still tells to whom."""

    watch: Watch

    def drain(self) -> None:
        """End what would not end by itself: the server stops."""


class BoundedProtocol(HttpToolsProtocol, Looked):
    """Lets nobody hold a connection who says or reads nothing, or does so drop by drop: neither uvicorn nor httptools limits that.

    `due` is when a request must have arrived whole, in the loop's time; None while the server is at work. `read_due` is when what was
    written must have been read; None while the client keeps up.
    """

    due: float | None = None
    read_due: float | None = None
    _head_bytes = 0
    _chunks = 0
    _in_head = True
    _is_upgraded = False
    _running: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        super().connection_made(transport)
        self._watch = cast("Watched", self.app).watch
        self.due = self.loop.time() + self._watch.request_seconds
        self._watch.begin(self.loop, self.connections)
        if len(self.connections) > self._watch.most:
            self._close(503, b"Service Unavailable", Code.UNAVAILABLE, "This process has as many connections as it can hold.")
        elif not self._watch.has_room(self.client):
            most = self._watch.settings.http_address_connections
            self._close(
                429, b"Too Many Requests", Code.CONNECTION_LIMIT, f"An address has at most {most:,} connections at once in a process."
            )
        self._watch.enter(self.client)

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch.leave(self.client)
        # uvicorn tells only the request that came last, and one that was pipelined is not the one that runs.
        if (running := self._running) is not None and not running.response_complete:
            running.disconnected = True
            running.message_event.set()
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        cast("dict[str, Any]", cycle.scope)["extensions"] = {EXTENSION: Answers(cycle)}
        super()._start_asgi_task(cycle, app)

    def handle_websocket_upgrade(self) -> None:
        # A socket takes the connection over: a request that still runs on it would never hear that its client has left.
        if self._running is not None and not self._running.response_complete:
            self.transport.close()
        else:
            self._is_upgraded = True
            self._watch.leave(self.client)  # from here on the socket is what is counted
            super().handle_websocket_upgrade()

    def data_received(self, data: bytes) -> None:
        """Read a piece after the other, so that what is too much is noticed before it has been read."""
        if len(data) <= PIECE:
            self._read(data)
            return
        for start in range(0, len(data), PIECE):
            # What a client sends before its handshake is answered is lost, as it is in one piece.
            if self.transport.is_closing() or self._is_upgraded:
                return
            self._read(data[start : start + PIECE])

    def _read(self, data: bytes) -> None:
        self._head_bytes += len(data)
        super().data_received(data)
        if len(self.pipeline) > self._watch.settings.http_max_pipelined:
            self.transport.abort()  # an answer would be taken for that to the first of them
        # Nothing is left of the count when the head has ended in this piece, or when some of the body came, whatever came after it.
        if self._head_bytes > self._watch.head_bytes:
            self._close(
                431, b"Request Header Fields Too Large", Code.HEAD_LIMIT, f"The head is larger than {self._watch.head_bytes:,} bytes."
            )

    def look(self, now: float) -> None:
        """Close what is late; what was closed before and is still there has a client that does not read."""
        if self.read_due is not None and self.read_due < now:
            self.transport.abort()
        elif self.due is not None and self.due < now:
            (self.transport.abort if self.transport.is_closing() else self.transport.close)()
        elif self.due is None and self.transport.is_closing():
            self.due = self._watch.read_by(now, self.transport)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.read_due = self._watch.read_by(self.loop.time(), self.transport)

    def resume_writing(self) -> None:
        super().resume_writing()
        self.read_due = None

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.due = self.loop.time() + self._watch.request_seconds
        self._chunks = 0

    def on_chunk_header(self) -> None:
        """Count the pieces in which a body comes: uvicorn copies what there is of it for each."""
        self._chunks += 1
        if self._chunks > (most := self._watch.settings.http_max_chunks):
            self._close(400, b"Bad Request", Code.BODY_LIMIT, f"The body comes in more than {most:,} chunks.")

    def on_header(self, name: bytes, value: bytes) -> None:
        # What follows a body in chunks no proxy has looked at: it must override nothing of the head (RFC 9110, section 6.5.1).
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head, self._head_bytes = False, 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head, self._head_bytes, self.due = True, 0, None
        super().on_message_complete()

    def shutdown(self) -> None:
        super().shutdown()
        cast("Watched", self.app).drain()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, in the API's own form."""
        self._close(400, b"Bad Request", Code.BAD_REQUEST, msg)

    def _close(self, status: int, phrase: bytes, code: Code, message: str) -> None:
        if not self.transport.is_closing():
            content = orjson.dumps(refusal(code, message))
            headers = [*self._watch.headers, (b"x-request-id", token_hex(16).encode())]
            told = b"".join(b"%b: %b\r\n" % header for header in headers)
            self.transport.write(_CLOSED % (status, phrase, told, len(content), content))
            self.transport.close()
