"""WebSocket frames made ahead: what a server sends is not masked, so the same bytes serve every socket (RFC 6455, section 5.2)."""

from typing import Final

SHARED_IDS: Final = 4
"""Operation ids whose frames are kept: clients that count give the same few, and ids that are random help nobody else."""
_BEFORE: Final = b',"type":"next","payload":'
_TEXT: Final = 0x81  # the whole message in one frame, and text


def framed(text: bytes) -> bytes:
    """Put a text message into a frame."""
    return header(len(text)) + text


def header(length: int) -> bytes:
    """Make the header of a text message of so many bytes."""
    if length < 126:
        return bytes((_TEXT, length))
    if length < 65_536:
        return bytes((_TEXT, 126)) + length.to_bytes(2, "big")
    return bytes((_TEXT, 127)) + length.to_bytes(8, "big")


class Payload:
    """The JSON of a result, and the `next` messages that carry it to operations; `frames` are those that were made and kept."""

    __slots__ = ("_ending", "frames")

    def __init__(self, body: bytes) -> None:
        self._ending = _BEFORE + body + b"}"
        self.frames: dict[str, bytes] = {}

    @property
    def size(self) -> int:
        """About how many bytes a message takes."""
        return len(self._ending)

    @property
    def body(self) -> bytes:
        """The result's JSON alone."""
        return self._ending[len(_BEFORE) : -1]

    def text(self, operation_id: str) -> bytes:
        """Make the message for an operation, whose id is given in JSON."""
        return b'{"id":' + operation_id.encode() + self._ending

    def frame(self, operation_id: str) -> bytes:
        """Make the frame that carries the message."""
        frame = self.frames.get(operation_id)
        if frame is None:
            frame = framed(self.text(operation_id))
            if len(self.frames) < SHARED_IDS:
                self.frames[operation_id] = frame
        return frame
