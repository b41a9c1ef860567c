"""The counting socket: it speaks the protocol in its order, and hears every event once."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from uuid import UUID

from websockets.asyncio.server import ServerConnection, serve

from bench.sockets import Socket
from bench.worlds import Person

PERSON = Person(UUID(int=1), UUID(int=2), "a token", "00", ())
LONG = "x" * 70_000


@contextlib.asynccontextmanager
async def serving(texts: list[str]) -> AsyncIterator[tuple[int, list[dict[str, object]]]]:
    """Acknowledge, wait for the subscription, and send these texts; gives the port and what the client sent."""
    came: list[dict[str, object]] = []

    async def run(connection: ServerConnection) -> None:
        came.append(json.loads(await connection.recv()))
        await connection.send('{"type":"connection_ack"}')
        came.append(json.loads(await connection.recv()))
        await connection.send('{"type":"ping"}')
        came.append(json.loads(await connection.recv()))
        for text in texts:
            await connection.send(json.dumps({"type": "next", "id": "1", "payload": text}))
        await connection.ping()
        await connection.wait_closed()

    async with serve(run, "127.0.0.1", 0, subprotocols=["graphql-transport-ws"], compression=None) as server:  # type: ignore[list-item] # a plain string does
        yield next(iter(server.sockets)).getsockname()[1], came


async def test_a_socket_subscribes_when_it_is_acknowledged_and_hears_everything() -> None:
    texts = ["short", "y" * 200, LONG, "last"]
    heard: list[bytes] = []
    last = asyncio.Event()

    def hear(payload: bytes) -> None:
        heard.append(payload)
        if b"last" in payload:
            last.set()

    async with serving(texts) as (port, came):
        _, socket = await asyncio.get_running_loop().create_connection(lambda: Socket(port, hear), "127.0.0.1", port)
        await asyncio.wait_for(socket.ready, 5)
        assert not socket.follows
        socket.subscribe(PERSON, "run_1")
        await asyncio.wait_for(last.wait(), 5)
        socket.close()
    assert [json.loads(one)["payload"] for one in heard] == texts
    assert [one["type"] for one in came] == ["connection_init", "subscribe", "pong"]
    assert came[0]["payload"] == {"Authorization": "Bearer a token"}
    assert socket.follows
