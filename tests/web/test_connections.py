"""Connections that say nothing, too little or too much are cut off, and everybody else is answered meanwhile."""

import asyncio
import contextlib
import dataclasses
import json
import resource
import sys
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import uvicorn
from graphql import get_introspection_query
from uvicorn.server import ServerState

from settings import Settings
from tests.running import Api, running_web
from tests.web.test_socket_crowds import running as tasks
from tests.web.test_socket_crowds import serving
from tests.web.wires import Noting
from web import connections
from web.connections import BoundedProtocol, Watch
from web.front import Front
from web.works import Process

HEAD = b"POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
CROWD = 1500
CHUNKS = 30


@pytest.fixture(scope="module")
async def strict(environment: dict[str, str]) -> AsyncIterator[str]:
    """A web process that waits for requests no longer than half a second, and takes heads of 4 KiB."""
    bounds = {"PENNY_HTTP_REQUEST_SECONDS": "0.5", "PENNY_HTTP_MAX_HEAD_BYTES": "4096", "PENNY_SOCKET_INIT_SECONDS": "0.5"}
    bounds["PENNY_HTTP_MAX_CHUNKS"] = str(CHUNKS)
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
    assert refused(answer) == (b"431", "HEAD_LIMIT")


class From(Noting):
    """A transport of a client at an address; None for a unix socket."""

    def __init__(self, address: str | None) -> None:
        super().__init__()
        self._address = address

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return (self._address, 50_000) if name == "peername" and self._address else default


def made(watch: Watch, state: ServerState, app: Any = None, address: str | None = "192.0.2.1") -> tuple[BoundedProtocol, From]:
    """A connection that has just been made."""
    config = uvicorn.Config(Front(app, app, watch, lambda: None), lifespan="off", log_config=None, proxy_headers=False)
    protocol, transport = BoundedProtocol(config, state, {}), From(address)
    protocol.connection_made(transport)
    return protocol, transport


async def test_a_body_comes_in_so_many_chunks_at_most(strict: str) -> None:
    body = b'{"query": "{ __typename }"}'
    chunks = b"".join(b"1\r\n%c\r\n" % one for one in body) + b"0\r\n\r\n"
    begin = HEAD + b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n"
    assert b'"Query"' in await heard(strict, begin + chunks)
    answer = await heard(strict, begin + b"1\r\n \r\n" * CHUNKS + chunks)
    assert refused(answer) == (b"400", "BODY_LIMIT")


@pytest.mark.parametrize("line", [b"OPTIONS /graphql", b"GET /nowhere"])
async def test_requests_that_do_not_wait_for_answers_are_bounded(strict: str, line: bytes) -> None:
    request, answer = line + b" HTTP/1.1\r\nhost: localhost\r\n\r\n", b""
    with contextlib.suppress(OSError):  # it is cut off, be it before all was sent
        answer = await heard(strict, request * 10_000)
    assert answer.count(b"HTTP/1.1 ") < 10_000


async def test_as_many_requests_as_may_wait_are_answered_in_turn(strict: str) -> None:
    last = b"OPTIONS /graphql HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    answer = await heard(strict, b"OPTIONS /graphql HTTP/1.1\r\nhost: localhost\r\n\r\n" * 64 + last)
    assert answer.count(b"HTTP/1.1 204 ") == 65


async def test_an_address_has_only_so_many_connections_of_any_kind(settings: Settings) -> None:
    bounds = dataclasses.replace(settings, http_address_connections=2, trusted_proxies=("192.0.2.9",))
    watch, state = Watch(bounds), ServerState()
    crowd = [made(watch, state) for _ in range(3)]
    others = [made(watch, state, address=address) for address in ("192.0.2.2", None, None, None, *["192.0.2.9"] * 3)]
    assert [transport.closing for _, transport in crowd] == [False, False, True]
    assert refused(b"".join(crowd[-1][1].writes)) == (b"429", "CONNECTION_LIMIT")
    assert not any(transport.closing for _, transport in others)
    for protocol, _ in crowd[1:]:
        protocol.connection_lost(None)
    crowd[1:] = [made(watch, state) for _ in range(2)]
    assert [transport.closing for _, transport in crowd] == [False, False, True], "those that are gone count no longer"
    for protocol, _ in [*crowd, *others]:
        protocol.connection_lost(None)
    assert not watch._crowds._open


async def test_a_process_keeps_files_for_its_own_servers(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for files, most in ((1024, 1024 - connections.SPARE_FILES), (resource.RLIM_INFINITY, sys.maxsize)):
        monkeypatch.setattr(resource, "getrlimit", lambda _, files=files: (files, files))
        assert Watch(settings).most == most
    watch, state = Watch(settings), ServerState()
    watch.most = 2
    crowd = [made(watch, state, address=f"192.0.2.{number}") for number in range(3)]
    assert [transport.closing for _, transport in crowd] == [False, False, True]
    assert refused(b"".join(crowd[-1][1].writes)) == (b"503", "UNAVAILABLE")
    for protocol, _ in crowd:
        protocol.connection_lost(None)


async def test_a_socket_counts_as_a_connection_until_it_is_gone(environment: dict[str, str]) -> None:
    async with running_web(environment | {"PENNY_HTTP_ADDRESS_CONNECTIONS": "2"}) as (url, _), aiohttp.ClientSession() as session:
        async with (
            session.ws_connect(f"{url}/graphql", protocols=["graphql-transport-ws"]),
            session.ws_connect(f"{url}/graphql", protocols=["graphql-transport-ws"]),
        ):
            assert refused(await heard(url)) == (b"429", "CONNECTION_LIMIT")
        async with asyncio.timeout(20):
            while b" 429 " in await heard(url, HEAD + b"connection: close\r\ncontent-length: 2\r\n\r\n{}"):
                pass


async def test_what_follows_a_body_in_chunks_is_bounded_as_a_head_is(settings: Settings) -> None:
    async def reading(_: Any, receive: Any, __: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    protocol, transport = made(Watch(dataclasses.replace(settings, http_max_head_bytes=4096)), ServerState(), reading)
    try:
        for piece in (HEAD, b"transfer-encoding: chunked\r\n\r\n1\r\n{\r\n0\r\nx-more: ", *([b"a" * 1000] * 5)):
            protocol.data_received(piece)
    finally:
        protocol.connection_lost(None)
    assert refused(b"".join(transport.writes)) == (b"431", "HEAD_LIMIT")


async def test_what_follows_a_body_in_chunks_overrides_nothing_of_the_head(strict: str, api: Api) -> None:
    ada = await api.sign_up()
    assert ada.token
    body = b'{"query": "{ viewer { user { name } } }"}'
    chunks = b"%x\r\n%b\r\n0\r\n" % (len(body), body)
    said = b"authorization: Bearer %b\r\n" % ada.token.encode()
    late = await heard(strict, HEAD + b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n" + chunks + said + b"\r\n")
    early = await heard(strict, HEAD + said + b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n" + chunks + b"\r\n")
    assert [b"UNAUTHENTICATED" in late, b"Ada" in late] == [True, False]
    assert b"Ada" in early


async def test_what_is_no_http_is_refused_in_the_apis_own_form(strict: str) -> None:
    answer = await heard(strict, b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
    assert refused(answer) == (b"400", "BAD_REQUEST")


def refused(answer: bytes) -> tuple[bytes, str]:
    """The status and the code of a refusal, which must carry what every answer does."""
    head, _, body = answer.partition(b"\r\n\r\n")
    (_, status, *_), *lines = (line.split(b" ") for line in head.split(b"\r\n"))
    assert {b"x-request-id:", b"x-content-type-options:", b"content-security-policy:"} <= {name for name, *_ in lines}
    return status, json.loads(body)["errors"][0]["extensions"]["code"]


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


async def test_a_socket_that_never_begins_is_closed_with_4408(strict: str) -> None:
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{strict}/graphql", protocols=["graphql-transport-ws"]) as socket:
        assert (await socket.receive(timeout=10)).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 4408


async def test_a_client_that_never_reads_its_answers_is_cut_off(
    api: Api, settings: Settings, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused: list[BoundedProtocol] = []
    pause = BoundedProtocol.pause_writing

    def noted(protocol: BoundedProtocol) -> None:
        paused.append(protocol)
        pause(protocol)

    monkeypatch.setattr(BoundedProtocol, "pause_writing", noted)
    impatient = dataclasses.replace(settings, http_request_seconds=0.2, http_slowest_bytes_per_second=10**9)
    body = json.dumps({"query": get_introspection_query()}).encode()
    asked = HEAD + b"content-length: %d\r\n\r\n" % len(body) + body
    async with serving(impatient, process) as (port, _):
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        try:
            writer.transport.pause_reading()  # type: ignore[attr-defined] # asyncio's type of a writer's transport cannot read
            async with asyncio.timeout(30):
                writer.write(asked * 20)
                while not paused:
                    await process.valkey.ping()
                while "RequestResponseCycle.run_asgi" in tasks() or not paused[-1].transport.is_closing():
                    await process.valkey.ping()
        finally:
            writer.transport.abort()
