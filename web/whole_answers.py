"""A side door out of uvicorn for answers that are whole: head and body in one piece."""

from typing import Final

from uvicorn.protocols.http.httptools_impl import HEADER_VALUE_RE, STATUS_LINE, RequestResponseCycle

from web.requests import Headers

EXTENSION: Final = "penny.answers"


def lines_of(headers: Headers) -> bytes:
    """Write headers as they stand in an answer; raises `ValueError` for what would end one and begin another."""
    if HEADER_VALUE_RE.search(b"".join([value for _, value in headers])):
        raise ValueError("A header's value has control characters.")
    return b"".join([b"%b: %b\r\n" % pair for pair in headers])


class Answers:
    """Sends an answer in one piece. uvicorn looks at each header's name and value again, which takes as long as finding a row."""

    __slots__ = ("_cycle",)

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle

    async def send(self, status: int, lines: bytes, headers: Headers, content: bytes) -> None:
        """Answer with headers of which the first are written already (`lines_of`), one of them or of the others `content-length`."""
        cycle = self._cycle
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if cycle.disconnected:
            return
        ending = b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n"
        head = b"".join((STATUS_LINE[status], lines_of(cycle.default_headers), lines, lines_of(headers), ending))
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.transport.write(head if cycle.scope["method"] == "HEAD" else head + content)
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()
