"""uvicorn's WebSocket protocol with a side door, through which ready frames go to the transport as they are, and with bounds."""

from typing import Any, Final, Protocol, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request
from websockets.protocol import State

from web.closings import TRY_LATER
from web.connections import PIECE, Looked, Watched

EXTENSION: Final = "penny.frames"
CLOSE_SECONDS: Final = 2.0
"""How long a client may take to answer a close; what it was told reaches it even if it does not."""


class Crowded(Protocol):
    """Whoever must know whether the client keeps up with what it is told."""

    crowded: bool


class FramesProtocol(WebSocketsSansIOProtocol, Looked):
    """Shakes hands, reads, pings and closes as uvicorn does, and shows itself to the application in the scope's extensions.

    What a client sends is paid for where it asks something; pings, pongs and pieces of messages never do, so frames are counted.
    `_due` is when the client must have read what was said before the close; None while the connection is open.
    """

    writer: Crowded | None = None
    _due: float | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._watch = cast("Watched", self.app).watch
        self._watch.enter(self.client)
        self.close_timeout = CLOSE_SECONDS
        self._frames_left: float = self._watch.settings.socket_frames + 1  # the handshake is read as one is
        self._counted_at = self.loop.time()

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch.leave(self.client)
        super().connection_lost(exc)

    def look(self, now: float) -> None:
        """Cut off a client that does not read: a transport that is closed waits for it as long as it likes."""
        if self.transport.is_closing():
            if self._due is None:
                self._due = self._watch.read_by(now, self.transport)
            elif self._due < now:
                self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Read a piece after the other, so that what is too much is noticed before it has been read."""
        for start in range(0, len(data), PIECE):
            if self.transport.is_closing():
                return
            super().data_received(data[start : start + PIECE] if len(data) > PIECE else data)

    def handle_events(self) -> None:
        self._frames_left -= len(self.conn.events)
        if self._frames_left >= 0 or self._refilled():
            super().handle_events()
        elif self.conn.state is State.OPEN:
            self.conn.send_close(TRY_LATER, "Too many frames")
            self.handle_parser_exception()  # which closes with what was sent
        else:
            self.transport.abort()

    def _refilled(self) -> bool:
        """Add what has come back since it was last needed; False where that is not enough."""
        settings, now = self._watch.settings, self.loop.time()
        back = (now - self._counted_at) * settings.socket_frames_per_second
        self._frames_left, self._counted_at = min(settings.socket_frames, self._frames_left + back), now
        return self._frames_left >= 0

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.close_sent:  # a handshake that is refused has no scope
            extensions = cast("dict[str, Any]", self.scope["extensions"])  # which uvicorn has just made
            extensions[EXTENSION] = {"protocol": self}

    def handle_ping(self) -> None:
        """Answer as long as the client reads: of many pings, the last needs a pong (RFC 6455, section 5.5.3)."""
        output = self.conn.data_to_send()
        if self.writable.is_set():
            self.transport.write(b"".join(output))

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.writer is not None:
            self.writer.crowded = True

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.writer is not None:
            self.writer.crowded = False
