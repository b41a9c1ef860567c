"""uvicorn's WebSocket protocol with a side door: frames that are ready go to the transport as they are."""

from typing import Any, Final, Protocol, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

EXTENSION: Final = "penny.frames"


class Crowded(Protocol):
    """Whoever must know whether the client keeps up with what it is told."""

    crowded: bool


class FramesProtocol(WebSocketsSansIOProtocol):
    """Shakes hands, reads, pings and closes as uvicorn does, and shows itself to the application in the scope's extensions."""

    writer: Crowded | None = None

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
