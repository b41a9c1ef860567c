"""Many sockets on one process: those that vanish leave nothing behind, and both ways out of the server say the same."""

import asyncio
import base64
import contextlib
import dataclasses
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
import pytest
import uvicorn

from auth.rates import RateLimits
from schema.schema import build_schema
from settings import Settings
from tests.chat.talking import EVENTS, ask, new_chat
from tests.running import Api, free_port
from web import writers
from web.closings import GONE, TRY_LATER, UNAUTHORIZED, Closing
from web.connections import BoundedProtocol, Watch
from web.crowds import Crowds
from web.door import Door
from web.frames import framed
from web.front import Front
from web.graphql import GraphQLApp
from web.sockets import Sockets
from web.works import Process

SIDE_DOOR, PLAIN = "web.protocol:FramesProtocol", "websockets-sansio"
CLOSES, AT_ONCE = 1000, 20


@asynccontextmanager
async def serving(settings: Settings, process: Process, ws: Any = SIDE_DOOR) -> AsyncIterator[tuple[int, Sockets]]:
    """GraphQL on uvicorn in this very process, so that what it leaves behind can be seen."""
    door = Door(settings, build_schema(settings))
    door.opened = process
    sockets, port = Sockets(door), free_port()
    graphql = GraphQLApp(door, sockets)
    config = uvicorn.Config(
        Front(graphql, graphql, Watch(settings), sockets.drain),
        port=port, http=BoundedProtocol, ws=ws, lifespan="off", log_config=None, log_level="critical", proxy_headers=False,
        ws_per_message_deflate=False, ws_max_size=settings.socket_max_message_bytes,
    )  # fmt: skip
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield port, sockets
    finally:
        await server.shutdown()


def masked(message: dict[str, Any]) -> bytes:
    data = orjson.dumps(message)
    head = bytes((0x81, 0x80 | len(data))) if len(data) < 126 else b"\x81\xfe" + len(data).to_bytes(2, "big")
    return head + bytes(4) + data  # a mask of zeros


def steps_of(token: str, run_id: str) -> list[tuple[bytes, bytes]]:
    """What a client says to follow a run, each with the end of its answer."""
    key = base64.b64encode(os.urandom(16)).decode()
    return [
        (
            f"GET /graphql HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Protocol: graphql-transport-ws\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode(),
            b"\r\n\r\n",
        ),
        (masked({"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}}), b"connection_ack"),
        (masked({"type": "subscribe", "id": "1", "payload": {"query": EVENTS, "variables": {"runId": run_id}}}), b'"TextDelta"'),
    ]


async def vanish(port: int, token: str, run_id: str, stage: int) -> bool:
    """Connect, get as far as the stage says, break the connection off, and say whether it got there."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    steps = steps_of(token, run_id)
    try:
        for said, answer in steps[:stage]:
            writer.write(said)
            await reader.readuntil(answer)
        if stage < len(steps):
            writer.write(steps[stage][0])
    except (asyncio.IncompleteReadError, OSError):
        return False  # a busy machine may refuse one
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return True


def running() -> list[str]:
    """The tasks of this process by the coroutines that they run."""
    return [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]


def left() -> list[str]:
    """The tasks that belong to sockets."""
    return [name for name in running() if name.startswith(("Socket.", "Stream.", "WebSocketsSansIOProtocol."))]


async def test_a_thousand_sockets_that_break_off_leave_no_task_behind(api: Api, settings: Settings, process: Process) -> None:
    ada = await api.sign_up()
    assert ada.token
    run_id = await ask(ada, await new_chat(ada), "!script tokens=600 delay_ms=100")
    async with serving(settings, process) as (port, sockets):
        await vanish(port, ada.token, run_id, 3)
        while sockets._open:
            await process.valkey.ping()
        seen = set[str]()
        far = 0
        for start in range(0, CLOSES, AT_ONCE):
            far += sum(await asyncio.gather(*(vanish(port, ada.token, run_id, (start + number) % 4) for number in range(AT_ONCE))))
            seen.update(running())
        assert far > CLOSES * 0.9
        assert {"Socket._listen", "Socket._watch", "Stream._serve", "WebSocketsSansIOProtocol.run_asgi"} <= seen
        async with asyncio.timeout(30):
            while sockets._open or process.works.logs._broadcasts or left():
                await process.valkey.ping()
    await ada.data("mutation ($id: ID!) { runCancel(input: {runId: $id}) { alreadyFinished } }", id=run_id)


@pytest.mark.parametrize("ends", ["its session ends", "it answers no ping"])
async def test_a_client_that_does_not_read_is_disconnected_soon_after(
    api: Api, settings: Settings, process: Process, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    monkeypatch.setattr(writers, "CLOSE_SECONDS", 0.1)
    ada = await api.sign_up()
    assert ada.token
    impatient = dataclasses.replace(settings, socket_init_seconds=0.3, socket_ping_seconds=600 if ends == "its session ends" else 0.3)
    async with serving(impatient, process) as (port, sockets):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        try:
            for said, answer in steps_of(ada.token, "")[:2]:
                writer.write(said)
                await reader.readuntil(answer)
            writer.transport.pause_reading()  # type: ignore[attr-defined] # asyncio's type of a writer's transport cannot read
            (socket,) = sockets._open
            while sockets._open and not socket._writer.crowded:
                socket._writer.put(framed(b"x" * 65_000))
                await asyncio.sleep(0)
            if ends == "its session ends":
                socket.end(Closing(UNAUTHORIZED, "SESSION_REVOKED"))
            async with asyncio.timeout(10):
                while sockets._open or left():
                    await process.valkey.ping()
            assert socket._writer.crowded, "it was not read by then"
        finally:
            writer.transport.abort()


async def test_queries_whose_answers_nobody_reads_do_not_fill_the_memory(
    api: Api, settings: Settings, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writers, "CLOSE_SECONDS", 0.1)
    ada = await api.sign_up()
    assert ada.token
    run, not_read = Door.run, asyncio.Event()

    async def later(door: Door, *asked: Any) -> Any:
        await not_read.wait()
        return await run(door, *asked)

    monkeypatch.setattr(Door, "run", later)
    text = " ".join(f"{'a' * 600}{number}: apiInfo {{ version }}" for number in range(10))
    async with serving(dataclasses.replace(settings, socket_answers_bytes=65_536), process) as (port, sockets):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        try:
            for said, answer in steps_of(ada.token, "")[:2]:
                writer.write(said)
                await reader.readuntil(answer)
            writer.transport.pause_reading()  # type: ignore[attr-defined] # asyncio's type of a writer's transport cannot read
            (socket,) = sockets._open
            for number in range(20):  # six kilobytes each
                writer.write(masked({"type": "subscribe", "id": str(number), "payload": {"query": f"{{ {text} }}"}}))
            while len(socket._streams) < 20:
                await process.valkey.ping()
            while not socket._writer.crowded:
                socket._writer.put(framed(b"x" * 65_000))
                await asyncio.sleep(0)
            holding, held = writers.Writer._holding, [0]

            @contextlib.contextmanager
            def noting(writer: writers.Writer, payload: Any) -> Iterator[None]:
                with holding(writer, payload):
                    held.append(writer._held_bytes)
                    yield

            monkeypatch.setattr(writers.Writer, "_holding", noting)
            not_read.set()
            async with asyncio.timeout(20):
                while sockets._open:
                    await process.valkey.ping()
            assert 0 < max(held) <= 65_536
            assert socket._closing.result().code == TRY_LATER
        finally:
            writer.transport.abort()


async def test_pings_of_a_client_that_does_not_read_are_not_all_answered(api: Api, settings: Settings, process: Process) -> None:
    ada = await api.sign_up()
    assert ada.token
    flood = (b"\x89\xfd" + bytes(4) + b"p" * 125) * 1000
    async with serving(dataclasses.replace(settings, socket_frames=1_000_000), process) as (port, sockets):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        try:
            for said, answer in steps_of(ada.token, "")[:2]:
                writer.write(said)
                await reader.readuntil(answer)
            writer.transport.pause_reading()  # type: ignore[attr-defined] # asyncio's type of a writer's transport cannot read
            (socket,) = sockets._open
            protocol = socket._writer._protocol
            assert protocol is not None
            for _ in range(200):
                writer.write(flood)
                await writer.drain()
                assert protocol.transport.get_write_buffer_size() < 1_000_000
            assert socket._writer.crowded
        finally:
            writer.transport.abort()


async def test_who_does_not_read_is_not_heard(api: Api, settings: Settings, process: Process) -> None:
    flood = [masked({"type": "subscribe", "id": str(number), "payload": {"query": "x" * 60_000}}) for number in range(200)]
    async with serving(settings, process) as (port, sockets):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        try:
            for said, answer in [*steps_of("", "")[:1], (masked({"type": "connection_init"}), b"connection_ack")]:
                writer.write(said)
                await reader.readuntil(answer)
            writer.transport.pause_reading()  # type: ignore[attr-defined] # asyncio's type of a writer's transport cannot read
            (socket,) = sockets._open
            protocol = socket._writer._protocol
            assert protocol is not None
            while not socket._writer.crowded:
                socket._writer.put(framed(b"x" * 65_000))
                await asyncio.sleep(0)
            writer.write(b"".join(flood))
            while not protocol.read_paused:
                await process.valkey.ping()
            for _ in range(200):
                await process.valkey.ping()
                assert len(socket._tasks) <= 2, "the one that it was waiting for, and a ping"
        finally:
            writer.transport.abort()


async def test_operations_that_are_too_many_for_a_socket_are_paid_for_and_refused(
    api: Api, settings: Settings, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await api.sign_up()
    paid: list[int] = []
    charge = RateLimits.charge

    async def noted(rates: RateLimits, viewer: Any, address: str, points: int, **more: Any) -> Any:
        paid.append(points)
        return await charge(rates, viewer, address, points, **more)

    monkeypatch.setattr(RateLimits, "charge", noted)
    async with serving(dataclasses.replace(settings, socket_max_subscriptions=1), process) as (port, sockets), talking(port) as socket:
        await socket.send_json({"type": "connection_init", "payload": {"Authorization": f"Bearer {ada.token}"}})
        await socket.send_json({"type": "subscribe", "id": "1", "payload": {"query": "subscription { viewerEvents { __typename } }"}})
        (connection,) = sockets._open
        assert await said(socket) == {"type": "connection_ack"}
        while not sockets._door.subscribers._open:  # by then it is paid for
            await process.valkey.ping()
        for number, payload in enumerate(({"query": "{ __typename }"}, {"query": "x" * 50_000}, {}), 2):
            before = sum(paid)
            await socket.send_json({"type": "subscribe", "id": str(number), "payload": payload})
            answer = await said(socket)
            assert (answer["type"], answer["payload"][0]["extensions"]["code"]) == ("error", "SUBSCRIPTION_LIMIT")
            assert sum(paid) - before == settings.graphql_unknown_points
        assert list(connection._streams) == ["1"]
        await socket.send_json({"type": "complete", "id": "1"})
        await socket.send_json({"type": "subscribe", "id": "5", "payload": {}})
        assert (await said(socket))["payload"][0]["extensions"]["code"] == "BAD_REQUEST"
        assert paid[-1] == settings.graphql_unknown_points


async def test_an_address_has_only_so_many_connections(api: Api, settings: Settings, process: Process) -> None:
    ada = await api.sign_up()
    events = {"query": "subscription { viewerEvents { __typename } }"}
    headers = {"accept": "text/event-stream", "authorization": f"Bearer {ada.token}"}
    async with (
        serving(dataclasses.replace(settings, address_max_connections=2), process) as (port, sockets),
        aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=headers) as session,
    ):
        async with talking(port), session.post("/graphql", json=events) as stream:
            assert stream.status == 200
            async with talking(port) as third:
                assert (await third.receive(timeout=10)).type is aiohttp.WSMsgType.CLOSE
                assert third.close_code == TRY_LATER
            async with session.post("/graphql", json=events) as refused:
                assert (refused.status, (await refused.json())["errors"][0]["extensions"]["code"]) == (429, "SUBSCRIPTION_LIMIT")
            async with session.post("/graphql", json={"query": "{ __typename }"}, headers={"accept": "application/json"}) as answer:
                assert answer.status == 200
        while sockets._open or sockets._event_streams:
            await process.valkey.ping()
        async with talking(port) as socket:
            await socket.send_json({"type": "connection_init"})
            assert await said(socket) == {"type": "connection_ack"}


def test_addresses_of_one_subscriber_are_counted_together() -> None:
    crowds = Crowds(1)
    with crowds.one_more("2001:db8:1:1::1"):
        assert [crowds.has_room(f"2001:db8:1:{place}") for place in ("1::2", "2::1")] == [False, True]
    assert crowds.has_room("2001:db8:1:1::2")


async def test_a_socket_on_which_nobody_asks_anything_is_closed_where_nobody_is_signed_in(
    api: Api, settings: Settings, process: Process
) -> None:
    ada = await api.sign_up()
    impatient = dataclasses.replace(settings, socket_init_seconds=0.1, socket_ping_seconds=0.1, socket_anonymous_seconds=0.3)
    async with serving(impatient, process) as (port, _), talking(port) as known, talking(port) as unknown:
        await known.send_json({"type": "connection_init", "payload": {"Authorization": f"Bearer {ada.token}"}})
        await unknown.send_json({"type": "connection_init"})
        while (message := await unknown.receive(timeout=10)).type is aiohttp.WSMsgType.TEXT:
            await unknown.send_json({"type": "pong"})
            await known.send_json({"type": "pong"})
        assert (message.type, unknown.close_code) == (aiohttp.WSMsgType.CLOSE, GONE)
        await known.send_json({"type": "subscribe", "id": "1", "payload": {"query": "{ __typename }"}})
        while (answer := await said(known))["type"] != "next":
            assert answer["type"] == "connection_ack"


@asynccontextmanager
async def talking(port: int) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A socket on a port of this machine."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://127.0.0.1:{port}/graphql", protocols=["graphql-transport-ws"]) as socket,
    ):
        yield socket


async def said(socket: aiohttp.ClientWebSocketResponse) -> Any:
    """The next message that is no ping."""
    while (message := orjson.loads(await socket.receive_str(timeout=20)))["type"] == "ping":
        pass
    return message


async def test_both_ways_out_of_the_server_say_the_same(api: Api, settings: Settings, process: Process) -> None:
    ada = await api.sign_up()
    run_id = await ask(ada, await new_chat(ada), "!script tokens=40 delay_ms=5")

    async def heard(port: int) -> list[str]:
        said: list[str] = []
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"http://127.0.0.1:{port}/graphql", protocols=["graphql-transport-ws"]) as socket,
        ):
            await socket.send_json({"type": "connection_init", "payload": {"Authorization": f"Bearer {ada.token}"}})
            await socket.send_json({"type": "subscribe", "id": "é-1", "payload": {"query": EVENTS, "variables": {"runId": run_id}}})
            while not said or orjson.loads(said[-1])["type"] != "complete":
                if "ping" not in (text := await socket.receive_str(timeout=20)):
                    said.append(text)
        return said

    async with serving(settings, process) as (direct, _), serving(settings, process, PLAIN) as (plain, _):
        one, other = await asyncio.gather(heard(direct), heard(plain))
    assert one == other
    assert [orjson.loads(text)["type"] for text in (one[0], one[1], one[-1])] == ["connection_ack", "next", "complete"]
