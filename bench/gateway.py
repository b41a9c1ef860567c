"""What the gateway itself costs a request, before and after the work that was asked for; and what each part of it adds."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256
from statistics import median
from typing import Any, Final
from unittest.mock import patch

import orjson
import structlog

from auth.viewers import Viewer
from errors import PennyError
from schema.schema import build_schema
from settings import Settings
from telemetry.instruments import Counter, Histogram
from web.connections import Watch
from web.door import Door
from web.front import Front
from web.graphql import GraphQLApp
from web.judging import DocumentJudge
from web.sockets import Sockets
from web.works import open_works

GOAL: Final = 150.0  # microseconds
ENOUGH: Final = 1_000_000_000
"""Points for all requests: the limit is asked, and refuses none."""
QUERY: Final = "query Nothing { __typename }"
PUBLISH: Final = """mutation ($input: DocumentManifestPublishInput!) {
  documentManifestPublish(input: $input) { manifest { id } errors { message } }
}"""


@dataclass(frozen=True)
class Plan:
    """How many requests are sent in a round, and how many rounds there are."""

    requests: int
    rounds: int


class Part(StrEnum):
    """What is switched off, in turn."""

    NOTHING = "nothing"
    AUTHENTICATION = "authentication"
    LOOK_UP = "the look-up of the published document (it is sent as text)"
    COST = "parsing, validation and cost (all kept from the first time on)"
    LIMIT = "the rate limit, with its refund and headers"
    LOGGING = "the log's context"
    METRICS = "the metrics"


@dataclass(frozen=True)
class Spent:
    """CPU time of a request with one part of the gateway switched off, in microseconds."""

    without: str
    us: float


FULL: Final = Plan(2000, 9)
QUICK: Final = Plan(300, 3)


async def measure(settings: Settings, token: str, plan: Plan, progress: Callable[[str], None]) -> list[Spent]:
    """Ask for nothing, by the id of a published document, over and over; the parts take turns."""
    settings = replace(settings, rate_limit_principal_points=ENOUGH, rate_limit_tenant_points=ENOUGH)
    door = Door(settings, build_schema(settings))
    async with open_works(settings, application="penny bench", judge=DocumentJudge(door.documents)) as process:
        door.opened = process
        sockets = Sockets(door)
        asker = Asker(Front(GraphQLApp(door, sockets), None, Watch(settings), sockets.drain), token)
        await asker.publish(QUERY)
        switches = Switches(door, await process.works.sessions.viewer_of(token))
        spent: dict[Part, list[float]] = {part: [] for part in Part}
        for number in range(plan.rounds + 1):
            progress(f"round {number} of {plan.rounds}")
            for part in Part:
                with switches.of(part):
                    took = await asker.ask(plan.requests, by_id=part is not Part.LOOK_UP)
                if number:  # the first only warms up
                    spent[part].append(took)
    return [Spent(part, median(times)) for part, times in spent.items()]


class Asker:
    """Sends requests to the application as a server would, without a connection."""

    def __init__(self, app: Front | GraphQLApp, token: str) -> None:
        self._app = app
        self._headers = [
            (b"host", b"localhost"),
            (b"content-type", b"application/json"),
            (b"accept", b"application/graphql-response+json"),
            (b"authorization", f"Bearer {token}".encode()),
            (b"user-agent", b"bench"),
        ]
        self._by_text = orjson.dumps({"query": QUERY})
        self._by_id = orjson.dumps({"documentId": f"sha256:{_id_of(QUERY)}"})

    async def publish(self, *texts: str, client: str = "bench") -> None:
        """Publish documents that are then sent by their ids."""
        operations = [{"id": _id_of(text), "name": text.split()[1], "type": "query", "body": text} for text in texts]
        manifest = {"format": "apollo-persisted-query-manifest", "version": 1, "operations": operations}
        given = {"client": client, "version": "1", "manifest": manifest}
        answer = orjson.loads(await self._posted(orjson.dumps({"query": PUBLISH, "variables": {"input": given}})))
        if "errors" in answer or answer["data"]["documentManifestPublish"]["errors"]:
            raise PennyError(f"The bench's documents could not be published: {answer}")

    async def ask(self, times: int, *, by_id: bool) -> float:
        """Send a request so many times; return the CPU time of one, in microseconds."""
        body = self._by_id if by_id else self._by_text
        began = time.thread_time()
        for _ in range(times):
            answer = await self._posted(body)
        spent = time.thread_time() - began
        if orjson.loads(answer).get("data") != {"__typename": "Query"}:
            raise PennyError(f"The gateway did not answer the bench: {answer.decode()}")
        return spent / times * 1e6

    async def get(self, text: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> tuple[str, bytes]:
        """Ask for a published document by GET; returns what `Cache-Status` says of PENNY, and the body."""
        scope = {"method": "GET", "query_string": b"documentId=" + _id_of(text).encode(), "headers": [*self._headers, *headers]}
        told, body = await self._sent(scope, b"")
        return dict(told)[b"cache-status"].decode().removeprefix("penny; "), body

    async def _posted(self, body: bytes) -> bytes:
        return (await self._sent({"method": "POST", "query_string": b"", "headers": self._headers}, body))[1]

    async def _sent(self, scope: dict[str, Any], body: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
        headers: list[tuple[bytes, bytes]] = []
        told: list[bytes] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            headers.extend(message.get("headers", ()))
            told.append(message.get("body", b""))

        # A task of its own, as the server gives to each request.
        await asyncio.create_task(self._app({"type": "http", "path": "/graphql", **scope}, receive, send))
        return headers, b"".join(told)


class Switches:
    """Puts what it found once in the place of a part's work."""

    def __init__(self, door: Door, viewer: Viewer) -> None:
        self._door = door
        self._viewer = viewer
        self._prepared = door.documents.prepare(QUERY, None, {})

    def of(self, part: str) -> AbstractContextManager[Any]:
        """Switch a part off."""
        match part:
            case Part.AUTHENTICATION:
                return patch.object(self._door, "viewer_of", _told(self._viewer))
            case Part.COST:
                return patch.object(self._door.documents, "prepare", lambda *_: self._prepared)
            case Part.LIMIT:
                return patch.multiple(self._door, _charge=_told(None))
            case Part.LOGGING:
                return patch.object(structlog.contextvars, "bind_contextvars", lambda **_: None)
            case Part.METRICS:
                switched = ExitStack()
                for kind, count in ((Counter, "add"), (Histogram, "record")):
                    switched.enter_context(patch.object(kind, count, lambda *_: None))
                switched.enter_context(patch.object(Front, "__call__", _straight_on))
                return switched
        return nullcontext()


def _id_of(text: str) -> str:
    return sha256(text.encode()).hexdigest()


async def _straight_on(front: Front, scope: Any, receive: Any, send: Any) -> None:
    await front._graphql(scope, receive, send)  # noqa: SLF001 - what is left of it when nothing is counted


def _told(known: Any) -> Callable[..., Any]:
    async def tell(*_: Any) -> Any:
        return known

    return tell
