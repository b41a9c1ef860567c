"""A small client of PENNY's API: operations over HTTP, and a run's events over `graphql-transport-ws`, across dropped connections."""

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import aiohttp

PROTOCOL: Final = "graphql-transport-ws"
# Longer than any operation of a terminal takes, shorter than a person waits.
ANSWER_SECONDS: Final = 30.0
# The server pings every 12 seconds; nothing for twice as long means that the line is dead.
SILENCE_SECONDS: Final = 25.0
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 3.0
PATIENCE_SECONDS: Final = 60.0
AWAY: Final = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})
# What the same request would be told again: malformed, not allowed, no such protocol, a second `connection_init`.
FINAL_CODES: Final = frozenset({4400, 4401, 4403, 4406, 4429})
RUN_EVENTS: Final = """
    subscription RunEvents($runId: ID!, $after: Seq) {
      runEvents(runId: $runId, after: $after) {
        __typename
        seq
        ... on TextDelta { partId offset text }
        ... on RunSnapshot { outputs { parts { __typename ... on TextPart { id text } } } }
        ... on RunFinished { run { status stopReason error { message } } }
      }
    }
"""

Event = Mapping[str, Any]


class ApiRefused(Exception):
    """The server answered that this cannot be done, or not before `retry_after_ms`; `code` is the API's."""

    def __init__(self, message: str, code: str, *, retry_after_ms: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after_ms = retry_after_ms


class ApiIsAway(Exception):
    """There was no answer; it is not known whether anything was done."""


class Api:
    """Speaks to one server, in the name of whoever's token it is given."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url.rstrip("/")
        self.token = token
        self._session = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS, connect=5.0)
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def ask(self, query: str, **variables: Any) -> Mapping[str, Any]:
        """Run an operation once and return its data; raises `ApiRefused` and `ApiIsAway`."""
        body = {"query": query, "variables": variables}
        try:
            async with self._session.post(f"{self.url}/graphql", json=body, headers=self._credential()) as response:
                if response.status in AWAY:
                    raise ApiIsAway(f"{self.url} answers {response.status}")
                answer = await response.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiIsAway(f"{self.url} does not answer ({str(error) or type(error).__name__})") from error
        except ValueError as error:
            raise ApiRefused(f"{self.url} is no PENNY: its answer is not JSON.", "NOT_PENNY") from error
        if not isinstance(answer, dict):
            raise ApiRefused(f"{self.url} is no PENNY: its answer is not an object.", "NOT_PENNY")
        return _data(answer)

    async def insist(self, query: str, **variables: Any) -> Mapping[str, Any]:
        """`ask` until there is an answer; for what may be sent twice, because it reads or has an idempotency key."""
        pauses = Pauses()
        while True:
            try:
                return await self.ask(query, **variables)
            except ApiIsAway:
                await pauses.wait()

    async def follow(self, run_id: str) -> AsyncGenerator[Event, None]:
        """Yield each event of a run once and in order, over as many connections as it takes, up to `RunFinished`."""
        after: int | None = None
        pauses = Pauses()
        while True:
            try:
                async with contextlib.aclosing(self._subscribe(RUN_EVENTS, runId=run_id, after=after)) as results:
                    async for data in results:
                        event: Event = data["runEvents"]
                        after, pauses = event["seq"], Pauses()
                        yield event
                        if event["__typename"] == "RunFinished":
                            return
            except ApiIsAway:
                pass
            await pauses.wait()

    async def _subscribe(self, query: str, **variables: Any) -> AsyncGenerator[Mapping[str, Any], None]:
        """Yield the results of one subscription on one connection; an end without a `complete` is `ApiIsAway`."""
        try:
            async with self._session.ws_connect(f"{self.url}/graphql", protocols=[PROTOCOL]) as socket:
                await socket.send_json({"type": "connection_init", "payload": self._credential()})
                async for message in _messages(socket):
                    match message["type"]:
                        case "connection_ack":
                            await socket.send_json({"type": "subscribe", "id": "1", "payload": {"query": query, "variables": variables}})
                        case "ping":
                            await socket.send_json({"type": "pong"})
                        case "next":
                            yield _data(message["payload"])
                        case "error":
                            _data({"errors": message["payload"]})
                        case "complete":
                            return
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiIsAway(f"{self.url} does not answer ({str(error) or type(error).__name__})") from error

    def _credential(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


class Pauses:
    """Pauses between attempts that grow, until patience ends."""

    def __init__(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._sleep = sleep
        self._next = FIRST_PAUSE
        self._waited = 0.0

    async def wait(self) -> None:
        """Wait before the next attempt; raises `ApiIsAway` when patience has ended."""
        if self._waited > PATIENCE_SECONDS:
            raise ApiIsAway(f"There was no answer for {PATIENCE_SECONDS:.0f} seconds.")
        pause = self._next * random.uniform(0.5, 1.0)  # noqa: S311 - so that many clients do not come back at once
        self._waited += pause
        self._next = min(self._next * 2, LONGEST_PAUSE)
        await self._sleep(pause)


async def _messages(socket: aiohttp.ClientWebSocketResponse) -> AsyncGenerator[Mapping[str, Any], None]:
    while True:
        message = await socket.receive(timeout=SILENCE_SECONDS)
        if message.type is not aiohttp.WSMsgType.TEXT:
            break
        yield message.json()
    if socket.close_code in FINAL_CODES:
        raise ApiRefused(str(message.extra or "The server closed the connection."), "UNAUTHENTICATED")
    raise ApiIsAway(f"the connection was closed ({socket.close_code})")


def _data(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    for error in answer.get("errors") or ():
        told = error.get("extensions", {})
        if told.get("code") == "UNAVAILABLE":
            raise ApiIsAway(error["message"])
        raise ApiRefused(error["message"], told.get("code", ""), retry_after_ms=told.get("retryAfterMs"))
    data: Mapping[str, Any] = answer["data"]
    return data


def payload(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the payload of the one mutation that was asked; raises `ApiRefused` with its first error."""
    (made,) = data.values()
    for error in made["errors"]:
        raise ApiRefused(error["message"], error["code"])
    found: Mapping[str, Any] = made
    return found
