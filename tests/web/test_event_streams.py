"""Subscriptions over server-sent events: told from the first event to the last, and ended when they must be."""

import asyncio
import contextlib
import dataclasses
import json
import signal
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from schema.schema import build_schema
from settings import Settings
from tests.chat.talking import EVENTS, ask, new_chat
from tests.running import PASSWORD, Api, Server, running_web
from tests.web.test_socket_crowds import serving
from web.door import Door
from web.graphql import GraphQLApp
from web.sockets import Sockets
from web.works import Process

EVENT_STREAM = "text/event-stream"
VIEWER_EVENTS = "subscription { viewerEvents { __typename } }"
LONG = "!script tokens=2000 delay_ms=10"


@contextlib.asynccontextmanager
async def asked(
    url: str, token: str | None, query: str, *, method: str = "POST", **variables: Any
) -> AsyncIterator[aiohttp.ClientResponse]:
    headers = {"accept": EVENT_STREAM} | ({"authorization": f"Bearer {token}"} if token else {})
    body: dict[str, Any] = {"query": query, "variables": variables}
    sent: dict[str, Any] = {"json": body} if method == "POST" else {"params": {"query": query, "variables": json.dumps(variables)}}
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
        session.request(method, f"{url}/graphql", headers=headers, **sent) as response,
    ):
        yield response


async def events(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, Any]]:
    """Yield each event's name and data, comments left out."""
    name, data = "", ""
    async for line in response.content:
        text = line.decode().removesuffix("\n")
        if not text and name:
            yield name, json.loads(data) if data else None
            name, data = "", ""
        elif text.startswith("event: "):
            name = text.removeprefix("event: ")
        elif text.startswith("data:"):
            data = text.removeprefix("data:").strip()


async def heard(url: str, token: str | None, query: str, *, method: str = "POST", **variables: Any) -> list[tuple[str, Any]]:
    async with asked(url, token, query, method=method, **variables) as response:
        assert (response.status, response.headers["content-type"]) == (200, f"{EVENT_STREAM}; charset=utf-8")
        return [event async for event in events(response)]


async def test_a_run_is_followed_to_its_end_by_post_and_by_get(api: Api, server: Server) -> None:
    ada = await api.sign_up()
    run_id = await ask(ada, await new_chat(ada), "!script tokens=20 delay_ms=5")
    for method in ("POST", "GET"):
        *told, last = await heard(server.url, ada.token, EVENTS, method=method, runId=run_id)
        seqs = [data["data"]["runEvents"]["seq"] for name, data in told if name == "next"]
        assert len(told) == len(seqs)
        assert seqs == list(range(1, len(seqs) + 1))
        assert last == ("complete", None)


async def test_queries_and_what_is_wrong_with_documents_are_told_as_events(api: Api, server: Server) -> None:
    ada = await api.sign_up()
    assert await heard(server.url, ada.token, "{ __typename }") == [
        ("next", {"data": {"__typename": "Query"}, "extensions": {"cost": {"requested": 1, "actual": 1}}}),
        ("complete", None),
    ]
    for query, code in (
        ("{ nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("subscription {", "GRAPHQL_PARSE_FAILED"),
        (EVENTS, "BAD_USER_INPUT"),
    ):
        (name, data), last = await heard(server.url, ada.token, query)
        assert (name, data["errors"][0]["extensions"]["code"], last) == ("next", code, ("complete", None))


async def test_without_a_viewer_there_is_nothing_to_follow(api: Api, server: Server) -> None:
    ada = await api.sign_up()
    run_id = await ask(ada, await new_chat(ada), "!script tokens=1")
    eve = await api.sign_up(tenant="Evil")
    for token, code in ((None, "UNAUTHENTICATED"), (eve.token, "NOT_FOUND")):
        (_, data), _ = await heard(server.url, token, EVENTS, runId=run_id)
        assert data["errors"][0]["extensions"]["code"] == code
    async with asked(server.url, "pns_" + "A" * 43, EVENTS, runId=run_id) as response:
        assert (response.status, response.headers["content-type"]) == (401, "application/json; charset=utf-8")


async def test_a_mutation_as_events_is_a_post_and_still_sets_its_cookie(api: Api, server: Server) -> None:
    ada = await api.sign_up()
    email = (await ada.data("{ viewer { user { email } } }"))["viewer"]["user"]["email"]
    query = "mutation ($input: SignInInput!) { signIn(input: $input) { errors { message } } }"
    async with asked(server.url, None, query, input={"email": email, "password": PASSWORD}) as response:
        assert response.status == 200
        assert "HttpOnly" in response.headers["set-cookie"]
    async with asked(server.url, None, query, method="GET", input={"email": email, "password": PASSWORD}) as response:
        assert response.status == 405
        assert "set-cookie" not in response.headers


async def test_signing_out_ends_a_stream_at_once_and_says_why(api: Api, server: Server) -> None:
    ada = await api.sign_up()
    run_id = await ask(ada, await new_chat(ada), LONG)
    async with asked(server.url, ada.token, EVENTS, runId=run_id) as response:
        stream = events(response)
        await anext(stream)
        began = asyncio.get_running_loop().time()
        await ada.data("mutation { signOut { signedOut } }")
        *_, (_, data), last = [event async for event in stream]
        assert (data["errors"][0]["extensions"]["code"], last) == ("SESSION_TERMINATED", ("complete", None))
        assert asyncio.get_running_loop().time() - began < 5.0


async def test_a_process_that_stops_ends_its_streams_at_once_so_that_clients_come_again(api: Api, server: Server) -> None:
    """Without `complete`: graphql-sse then begins again, elsewhere, and asks for what comes `after`."""
    ada = await api.sign_up()
    run_id = await ask(ada, await new_chat(ada), LONG)
    async with running_web({**server.environment, "PENNY_WEB_STOP_SECONDS": "60"}) as (url, process):
        async with asked(url, ada.token, EVENTS, runId=run_id) as response:
            stream = events(response)
            first = await anext(stream)
            process.send_signal(signal.SIGTERM)
            told = [first, *[event async for event in stream]]
        assert {name for name, _ in told} == {"next"}
        async with asyncio.timeout(20):
            await process.wait()
    after = told[-1][1]["data"]["runEvents"]["seq"]
    async with asked(server.url, ada.token, EVENTS, runId=run_id, after=after) as response:
        _, data = await anext(events(response))
        assert data["data"]["runEvents"]["seq"] == after + 1


async def test_subscriptions_of_a_principal_are_counted_over_sockets_and_streams(api: Api, server: Server) -> None:
    ada, bob = await api.sign_up(), await api.sign_up()
    runs = {one.token: await ask(one, await new_chat(one), LONG) for one in (ada, bob)}
    async with (
        running_web({**server.environment, "PENNY_PRINCIPAL_MAX_SUBSCRIPTIONS": "2"}) as (url, _),
        contextlib.AsyncExitStack() as stack,
    ):
        by_socket = Api(url, ada.token)
        await stack.enter_async_context(by_socket)
        followed = by_socket.subscribe(EVENTS, runId=runs[ada.token])
        assert "data" in await anext(followed)
        response = await stack.enter_async_context(asked(url, ada.token, EVENTS, runId=runs[ada.token]))
        assert (await anext(events(response)))[0] == "next"
        (_, refused), _ = await heard(url, ada.token, EVENTS, runId=runs[ada.token])
        assert refused["errors"][0]["extensions"]["code"] == "SUBSCRIPTION_LIMIT"
        response = await stack.enter_async_context(asked(url, bob.token, EVENTS, runId=runs[bob.token]))
        assert "data" in (await anext(events(response)))[1]


async def test_streams_that_are_left_leave_nothing_behind(api: Api, settings: Settings, process: Process) -> None:
    ada = await api.sign_up()
    run_id = await ask(ada, await new_chat(ada), LONG)
    async with serving(settings, process) as (port, sockets):

        async def vanish() -> None:
            async with asked(f"http://127.0.0.1:{port}", ada.token, EVENTS, runId=run_id) as response:
                await anext(events(response))
                assert sockets._event_streams
                response.close()

        for _ in range(10):
            await asyncio.gather(*(vanish() for _ in range(10)))
        async with asyncio.timeout(30):
            while sockets._event_streams or process.works.logs._broadcasts or _tasks():
                await process.valkey.ping()


UPGRADE = (
    b"GET /graphql HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-protocol: graphql-transport-ws\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


@pytest.mark.parametrize("behind", [b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", UPGRADE], ids=["a request", "a socket"])
async def test_a_stream_that_is_cut_while_something_else_waits_behind_it_is_left(
    api: Api, settings: Settings, process: Process, behind: bytes
) -> None:
    ada = await api.sign_up()
    assert ada.token
    body = json.dumps({"query": VIEWER_EVENTS}).encode()
    head = "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\naccept: text/event-stream\r\n"
    asked_for = f"{head}authorization: Bearer {ada.token}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
    async with serving(dataclasses.replace(settings, socket_ping_seconds=0.1), process) as (port, sockets):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(asked_for)
        await reader.readuntil(b":\n\n")
        (stream,) = sockets._event_streams
        writer.write(behind)
        if behind != UPGRADE:
            await reader.readuntil(b":\n\n")
            writer.transport.abort()
        async with asyncio.timeout(20):
            while sockets._event_streams or _tasks():
                await process.valkey.ping()
        assert stream._closing.done()
        writer.transport.abort()


async def test_a_credential_that_ends_while_its_stream_begins_ends_the_stream(
    api: Api, settings: Settings, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await api.sign_up()
    admit = Door.admit
    async with serving(settings, process) as (port, sockets):

        async def admitted(door: Door, *asked_for: Any) -> Any:
            made = await admit(door, *asked_for)
            await ada.data("mutation { signOut { signedOut } }")
            process.works.sessions.forget(None)
            sockets.recheck(None)
            return made

        monkeypatch.setattr(Door, "admit", admitted)
        async with asyncio.timeout(20):
            (_, data), last = await heard(f"http://127.0.0.1:{port}", ada.token, VIEWER_EVENTS)
        assert (data["errors"][0]["extensions"]["code"], last) == ("SESSION_TERMINATED", ("complete", None))


async def test_a_stream_that_begins_while_the_process_stops_ends_without_being_complete(
    api: Api, settings: Settings, process: Process
) -> None:
    ada = await api.sign_up()
    async with serving(settings, process) as (port, sockets):
        sockets.drain()
        async with asyncio.timeout(20):
            assert await heard(f"http://127.0.0.1:{port}", ada.token, VIEWER_EVENTS) == []


async def test_a_stream_whose_transport_has_closed_by_itself_is_left(api: Api, settings: Settings, process: Process) -> None:
    """uvloop says so by a RuntimeError at the next write."""
    ada = await api.sign_up()
    assert ada.token
    door = Door(dataclasses.replace(settings, socket_ping_seconds=0.1), build_schema(settings))
    door.opened = process
    sockets, told = Sockets(door), list[Any]()
    asked_for = [{"type": "http.request", "body": json.dumps({"query": VIEWER_EVENTS}).encode()}]
    headers = {"content-type": "application/json", "accept": EVENT_STREAM, "authorization": f"Bearer {ada.token}"}

    async def receive() -> Any:
        return asked_for.pop() if asked_for else await asyncio.Event().wait()

    async def send(message: Any) -> None:
        if len(told) == 3:
            raise RuntimeError("unable to perform operation on a closed transport")
        told.append(message)

    scope = {"type": "http", "method": "POST", "path": "/graphql", "query_string": b"", "client": ("127.0.0.1", 1)}
    scope["headers"] = [(name.encode(), value.encode()) for name, value in headers.items()]
    async with asyncio.timeout(20):
        await GraphQLApp(door, sockets)(scope, receive, send)
    assert [message["type"] for message in told] == ["http.response.start", *["http.response.body"] * 2]
    assert (sockets._event_streams, _tasks()) == (set(), [])


def _tasks() -> list[str]:
    names = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
    return [name for name in names if name.startswith(("EventStream.", "Stream."))]
