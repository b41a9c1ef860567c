"""`graphql-transport-ws` to the letter: who may connect, what closes a socket and what only ends one operation."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from tests.chat.talking import EVENTS, ask, new_chat
from tests.running import Api, Server

VIEWER = "{ viewer { user { email } } }"


@asynccontextmanager
async def connected(
    server: Server, *, protocols: tuple[str, ...] = ("graphql-transport-ws",), headers: dict[str, str] | None = None
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
        session.ws_connect(f"{server.url}/graphql", protocols=protocols, headers=headers) as socket,
    ):
        yield socket


async def begun(socket: aiohttp.ClientWebSocketResponse, token: str | None = None) -> None:
    payload = {"payload": {"Authorization": f"Bearer {token}"}} if token else {}
    await socket.send_json({"type": "connection_init", **payload})
    assert await received(socket) == {"type": "connection_ack"}


async def received(socket: aiohttp.ClientWebSocketResponse) -> Any:
    """The next message, or the close code."""
    while True:
        message = await socket.receive(timeout=10)
        if message.type is not aiohttp.WSMsgType.TEXT:
            return socket.close_code
        if (sent := message.json()) != {"type": "ping"}:
            return sent


def subscribe(query: str, *, id: str = "1", **variables: Any) -> dict[str, Any]:
    return {"type": "subscribe", "id": id, "payload": {"query": query, "variables": variables}}


async def test_a_query_over_a_socket_is_answered_and_completed(api: Api, server: Server) -> None:
    ada = await api.sign_up()
    async with connected(server) as socket:
        await begun(socket, ada.token)
        await socket.send_json(subscribe(VIEWER))
        answer = await received(socket)
        assert answer["type"] == "next"
        assert answer["payload"]["data"]["viewer"]["user"]["email"]
        assert await received(socket) == {"type": "complete", "id": "1"}


@pytest.mark.parametrize(
    "sent", ["[1]", '"x"', "null", "{}", "not json", '{"type": "connection_init", "payload": "text"}', '{"type": "start"}']
)
async def test_malformed_messages_close_with_4400(server: Server, sent: str) -> None:
    async with connected(server) as socket:
        await socket.send_str(sent)
        assert await received(socket) == 4400


async def test_an_init_with_a_null_payload_is_acknowledged(server: Server) -> None:
    async with connected(server) as socket:
        await socket.send_json({"type": "connection_init", "payload": None})
        assert await received(socket) == {"type": "connection_ack"}


async def test_subscribing_before_init_closes_with_4401(server: Server) -> None:
    async with connected(server) as socket:
        await socket.send_json(subscribe(VIEWER))
        assert await received(socket) == 4401


async def test_a_second_init_closes_with_4429(server: Server) -> None:
    async with connected(server) as socket:
        await begun(socket)
        await socket.send_json({"type": "connection_init"})
        assert await received(socket) == 4429


async def test_the_legacy_subprotocol_is_refused(server: Server) -> None:
    async with connected(server, protocols=("graphql-ws",)) as socket:
        assert await received(socket) == 4406


async def test_a_wrong_token_closes_with_4401(server: Server) -> None:
    async with connected(server) as socket:
        await socket.send_json({"type": "connection_init", "payload": {"Authorization": "Bearer pns_" + "A" * 43}})
        assert await received(socket) == 4401


async def test_an_id_in_use_closes_with_4409(api: Api, server: Server) -> None:
    ada = await api.sign_up()
    run_id = await ask(ada, await new_chat(ada), "!script tokens=2000 delay_ms=10")
    async with connected(server) as socket:
        await begun(socket, ada.token)
        await socket.send_json(subscribe(EVENTS, runId=run_id))
        await received(socket)
        await socket.send_json(subscribe(VIEWER))
        while (answer := await received(socket)) != 4409:
            assert answer["type"] == "next"


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ("{ viewer {", "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("query A { viewer { permissions } } query B { viewer { permissions } }", "BAD_USER_INPUT"),
    ],
)
async def test_a_bad_document_ends_its_operation_and_no_other(api: Api, server: Server, document: str, code: str) -> None:
    ada = await api.sign_up()
    async with connected(server) as socket:
        await begun(socket, ada.token)
        await socket.send_json(subscribe(document, id="bad"))
        answer = await received(socket)
        assert (answer["type"], answer["id"]) == ("error", "bad")
        assert answer["payload"][0]["extensions"]["code"] == code
        await socket.send_json(subscribe(VIEWER, id="good"))
        assert (await received(socket))["type"] == "next"


async def test_a_subscription_without_a_viewer_is_refused(server: Server) -> None:
    async with connected(server) as socket:
        await begun(socket)
        await socket.send_json(subscribe(EVENTS, runId="run_" + "0" * 32))
        answer = await received(socket)
        assert answer["type"] == "error"
        assert answer["payload"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_run_of_another_tenant_is_not_found(api: Api, server: Server) -> None:
    ada, eve = await api.sign_up(), await api.sign_up(tenant="Evil")
    run_id = await ask(ada, await new_chat(ada), "!script tokens=3")
    answers = []
    for target in (run_id, "run_" + "0" * 32, "garbage"):
        async with connected(server) as socket:
            await begun(socket, eve.token)
            await socket.send_json(subscribe(EVENTS, runId=target))
            answers.append(await received(socket))
    assert all(answer["type"] == "error" and answer["payload"][0]["extensions"]["code"] == "NOT_FOUND" for answer in answers), answers
    assert answers[0]["payload"] == answers[1]["payload"]


async def test_signing_out_ends_open_subscriptions_at_once(api: Api, server: Server) -> None:
    ada = await api.sign_up()
    run_id = await ask(ada, await new_chat(ada), "!script tokens=2000 delay_ms=10")
    async with connected(server) as socket:
        await begun(socket, ada.token)
        await socket.send_json(subscribe(EVENTS, runId=run_id))
        assert (await received(socket))["type"] == "next"
        began = asyncio.get_running_loop().time()
        assert (await ada.data("mutation { signOut { signedOut } }"))["signOut"]["signedOut"] is True
        while isinstance(answer := await received(socket), dict):
            assert answer["type"] == "next"
        assert answer == 4401
        assert asyncio.get_running_loop().time() - began < 5.0


async def test_a_cookie_from_a_foreign_origin_is_refused(server: Server) -> None:
    headers = {"Cookie": "penny_session=pns_" + "A" * 43, "Origin": "https://evil.example"}
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with connected(server, headers=headers):
            pass
    assert refused.value.status == 403


async def test_completing_an_operation_stops_its_messages(api: Api, server: Server) -> None:
    ada = await api.sign_up()
    run_id = await ask(ada, await new_chat(ada), "!script tokens=2000 delay_ms=5")
    async with connected(server) as socket:
        await begun(socket, ada.token)
        await socket.send_json(subscribe(EVENTS, id="run", runId=run_id))
        assert (await received(socket))["id"] == "run"
        await socket.send_json({"type": "complete", "id": "run"})
        await socket.send_json(subscribe(VIEWER, id="after"))
        while (answer := await received(socket))["id"] == "run":
            assert answer["type"] == "next"
        assert answer["type"] == "next"
        assert await received(socket) == {"type": "complete", "id": "after"}
        with pytest.raises(TimeoutError):
            await socket.receive(timeout=0.3)
