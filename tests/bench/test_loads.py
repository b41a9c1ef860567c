"""The load: whole answers are counted, wrong ones end the measurement."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

import pytest

from bench import loads

REQUEST = b"GET / HTTP/1.1\r\n\r\n"


def answer(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@contextlib.asynccontextmanager
async def serving(pieces: Sequence[bytes]) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Answer every request with these pieces, each in a packet of its own; gives the port and the requests that came."""
    came: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                came.append(await reader.readuntil(b"\r\n\r\n"))
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], came


@pytest.mark.parametrize("cuts", [(), (5,), (10, 42), (39, 40, 60)])
async def test_an_answer_is_counted_once_however_it_arrives(cuts: tuple[int, ...]) -> None:
    whole = answer(b'{"data":{"viewer":null}}')
    pieces = [whole[begin:end] for begin, end in zip((0, *cuts), (*cuts, len(whole)), strict=True)]
    async with serving(pieces) as (port, came):
        load = await loads.run(port, [REQUEST], clients=2, seconds=0.05)
    assert len(load.waits) == len(came) >= 2
    assert all(wait > 0 for wait in load.waits)


@pytest.mark.parametrize(
    "wrong",
    [
        answer(b'{"data":{"a":1},"errors":[{"message":"no"}]}'),
        answer(b'{"errors":[{"message":"no"}],"data":null}'),
        answer(b'{"data":{"a":1}}', "503 Service Unavailable"),
    ],
)
async def test_a_wrong_answer_ends_the_measurement(wrong: bytes) -> None:
    async with serving([wrong]) as (port, _):
        with pytest.raises(loads.AnswerIsWrong):
            await loads.run(port, [REQUEST], clients=1, seconds=5)


async def test_a_server_that_hangs_up_ends_the_measurement() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        with pytest.raises(ConnectionError):
            await loads.run(server.sockets[0].getsockname()[1], [REQUEST], clients=1, seconds=5)


async def test_the_requests_are_asked_in_turn() -> None:
    requests = [b"GET /1 HTTP/1.1\r\n\r\n", b"GET /2 HTTP/1.1\r\n\r\n", b"GET /3 HTTP/1.1\r\n\r\n"]
    async with serving([answer(b'{"data":1}')]) as (port, came):
        await loads.run(port, requests, clients=1, seconds=0.05)
    assert came[:6] == requests * 2
