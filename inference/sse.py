"""Server-sent events cut out of the bytes of a connection, wherever the network split them (WHATWG HTML, section 9.2)."""

# The longest line that is waited for; a token's chunk is a few hundred bytes.
MAX_LINE_BYTES = 1_048_576


class EventData:
    """Gives the `data:` of each line as bytes; lines may end in CRLF, and all other fields and comments are passed over.

    An event of several `data:` lines would come as several: no model endpoint sends such.
    """

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._rest_bytes = 0

    def feed(self, received: bytes) -> list[bytes]:
        """What the bytes complete; raises `ValueError` for a line that does not end."""
        if b"\n" not in received:
            self._keep(received)
            return []
        *lines, rest = b"".join((*self._rest, received)).split(b"\n")
        self._rest, self._rest_bytes = [], 0
        self._keep(rest)
        return _data(lines)

    def end(self) -> list[bytes]:
        """What was left without the end of its line."""
        return _data([b"".join(self._rest)])

    def _keep(self, rest: bytes) -> None:
        self._rest_bytes += len(rest)
        if self._rest_bytes > MAX_LINE_BYTES:
            raise ValueError(f"A line of the stream is longer than {MAX_LINE_BYTES} bytes.")
        self._rest.append(rest)


def _data(lines: list[bytes]) -> list[bytes]:
    return [line[5:].strip() for line in lines if line.startswith(b"data:")]
