"""Connections that say nothing, too little or too much are cut off, and everybody else is answered meanwhile."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from tests.running import Api, running_web

HEAD = b"POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
CROWD = 1500


@pytest.fixture(scope="module")
async def strict(environment: dict[str, str]) -> AsyncIterator[str]:
    """A web process that waits for requests no longer than half a second, and takes heads of 4 KiB."""
    bounds = {"PENNY_HTTP_REQUEST_SECONDS": "0.5", "PENNY_HTTP_MAX_HEAD_BYTES": "4096", "PENNY_SOCKET_INIT_SECONDS": "0.5"}
    async with running_web(environment | bounds) as (url, _):
        yield url


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def heard(url: str, *said: bytes) -> bytes:
    """Say these bytes and then nothing; return what comes until the server hangs up."""
    async with connected(url) as (reader, writer):
        for part in said:
            writer.write(part)
            await writer.drain()
        return await reader.read()


@pytest.mark.parametrize(
    "said",
    [b"", b"POST /gra", HEAD, HEAD + b"content-length: 100\r\n\r\n", b"GET /graphql HTTP/1.1\r\nupgrade: websocket\r\n"],
    ids=["nothing", "half a line", "half a head", "no body", "half a handshake"],
)
async def test_who_says_too_little_is_cut_off(strict: str, said: bytes) -> None:
    await heard(strict, said)  # it comes back: the server has hung up


async def test_a_body_that_comes_drop_by_drop_is_told_that_it_is_late(strict: str) -> None:
    async with connected(strict) as (reader, writer):
        writer.write(HEAD + b"content-length: 1000\r\n\r\n{")

        async def drip() -> None:
            with contextlib.suppress(OSError):
                while not writer.is_closing():
                    writer.write(b" ")
                    await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        answer = await reader.read()
        dripping.cancel()
    assert b" 408 " in answer.partition(b"\r\n")[0]
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


async def test_a_head_beyond_the_limit_is_refused_before_it_ends(strict: str) -> None:
    answer = await heard(strict, HEAD, *([b"x-more: " + b"a" * 1000 + b"\r\n"] * 5))
    assert b" 431 " in answer.partition(b"\r\n")[0]
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["errors"][0]["extensions"]["code"] == "HEAD_LIMIT"


async def test_what_is_no_http_is_refused_in_the_apis_own_form(strict: str) -> None:
    answer = await heard(strict, b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


async def test_a_crowd_of_half_open_connections_keeps_nobody_out(strict: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(connected(strict)) for _ in range(CROWD)]
        for _, writer in crowd[::2]:
            writer.write(HEAD)
        async with Api(strict) as api:
            assert await api.data("{ __typename }") == {"__typename": "Query"}
        assert await asyncio.gather(*(reader.read() for reader, _ in crowd)) == [b""] * CROWD


async def test_a_connection_between_two_requests_is_not_late(strict: str) -> None:
    body = b'{"query": "{ __typename }"}'
    async with connected(strict) as (reader, writer):
        for _ in range(2):
            writer.write(HEAD + b"content-length: %d\r\n\r\n" % len(body) + body)
            assert b" 200 " in await reader.readline()
            head = b""
            while (line := await reader.readline()).strip():
                head += line.lower()
            await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
            await heard(strict, b"")  # who says nothing has been cut off by now
