"""A load: clients that ask over and over, each on a connection that stays open and one request at a time."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

END_OF_HEAD = b"\r\n\r\n"
LENGTH = b"content-length:"
ENOUGH = 1000  # bytes of an answer that are looked at
PATIENCE = 30.0


class AnswerIsWrong(Exception):
    """A server answered with an error: what would be measured is not what was asked for."""


@dataclass
class Load:
    """What clients found: the seconds that each answer took."""

    waits: list[float] = field(default_factory=list)
    seconds: float = 0.0


class _Client(asyncio.Protocol):
    """One connection; it sends the next request when it has the whole answer, until the time is over."""

    def __init__(self, requests: Iterator[bytes], until: float, load: Load) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests = requests
        self._until = until
        self._load = load
        self._head = b""
        self._left = 0
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(next(self._requests))

    def data_received(self, data: bytes) -> None:
        if not self._left:
            self._head += data
            if (end := self._head.find(END_OF_HEAD)) < 0:
                return
            self._left = end + len(END_OF_HEAD) + _length(self._head[:end])
            data = self._head
        elif len(self._head) < ENOUGH:
            self._head += data
        self._left -= len(data)
        if not self._left:
            self._whole(data)

    def _whole(self, last: bytes) -> None:
        now = time.perf_counter()
        head, self._head = self._head, b""
        if not head.startswith(b"HTTP/1.1 200") or b'\r\n\r\n{"data":' not in head or b'"errors"' in last:
            self._fail(AnswerIsWrong(f"A measured read failed: {head[:1000]!r}"))
            return
        self._load.waits.append(now - self._sent)
        if now < self._until:
            self._send()
            return
        self._transport.close()
        if not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or ConnectionError("The server closed the connection."))

    def _fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)
            self._transport.close()


def _length(head: bytes) -> int:
    lower = head.lower()
    if (at := lower.find(LENGTH)) < 0:
        raise AnswerIsWrong(f"An answer without a length: {head!r}")
    return int(lower[at + len(LENGTH) :].split(b"\r\n", 1)[0])


async def run(port: int, requests: Sequence[bytes], *, clients: int, seconds: float) -> Load:
    """Let clients ask for some seconds; they share the requests, and those under way at the end are waited for."""
    load = Load()
    began = time.perf_counter()
    loop = asyncio.get_running_loop()
    queue = _forever(requests)
    made = [await loop.create_connection(lambda: _Client(queue, began + seconds, load), "127.0.0.1", port) for _ in range(clients)]
    async with asyncio.timeout(seconds + PATIENCE):
        await asyncio.gather(*(client.done for _, client in made))
    load.seconds = time.perf_counter() - began
    return load


def _forever(requests: Sequence[bytes]) -> Iterator[bytes]:
    while True:
        yield from requests


async def once(port: int, request: bytes) -> bytes:
    """Ask once and return the body of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    head = await reader.readuntil(END_OF_HEAD)
    body = await reader.readexactly(_length(head[: -len(END_OF_HEAD)]))
    writer.close()
    if not head.startswith(b"HTTP/1.1 200"):
        raise AnswerIsWrong(f"{head!r} {body[:1000]!r}")
    return body
