"""How tests follow events: from a cursor on, so that nothing depends on when a subscription begins."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from db.statements import facts
from tests.running import Api
from web.works import Process

PATIENCE = 30.0
CHAT = """
    subscription ($chatId: ID!, $after: String) { chatEvents(chatId: $chatId, after: $after) {
      __typename
      ... on MessageChanged { cursor message { id role status parts { ... on TextPart { text } } chat { id } } }
      ... on RunStatusChanged { cursor run { id status chat { id } } }
      ... on ChatChanged { cursor chatId deleted chat { id title visibility } }
    } }"""
VIEWER = """
    subscription ($after: String) { viewerEvents(after: $after) {
      __typename
      ... on RunStatusChanged { cursor run { id status chat { id updatedAt } } }
      ... on ChatChanged { cursor chatId deleted chat { id title visibility } }
      ... on SessionRevoked { cursor sessionId reason }
      ... on NodeChanged { cursor type nodeId node { __typename id ... on User { name } ... on Assistant { name } } }
    } }"""
TENANT = """
    subscription ($types: [EventType!], $after: String) { tenantEvents(types: $types, after: $after) {
      __typename id type at subjectId apiVersion tenant { id } actor { ... on User { id } } subject { __typename id }
    } }"""
FIELDS = {CHAT: "chatEvents", VIEWER: "viewerEvents", TENANT: "tenantEvents"}


async def now(api: Api, process: Process) -> str:
    """A cursor behind everything that has happened: others' transactions, which would have some of it told again, are waited for."""
    tenant_id = (await process.works.sessions.viewer_of(str(api.token))).tenant_id
    newest: int | None = None
    async with asyncio.timeout(PATIENCE):
        while True:
            async with process.works.scopes.reading(tenant_id) as scope:
                horizon = await facts.horizon(scope)
            newest = horizon["newest"] if newest is None else newest
            if horizon["xact"] >= newest:
                return str((await api.data("{ eventCursor }"))["eventCursor"])
            await asyncio.sleep(0.005)


class Followed:
    """What a subscription has told so far; `ended` when it completed by itself."""

    def __init__(self, api: Api, query: str, **variables: Any) -> None:
        self.told: list[dict[str, Any]] = []
        self.errors: list[dict[str, Any]] = []
        self.ended = False
        self._more = asyncio.Condition()
        self._stream = api.subscribe(query, **variables)
        self._field = FIELDS[query]
        self.task = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        try:
            async for payload in self._stream:
                async with self._more:
                    self.errors += payload.get("errors", [])
                    if payload.get("data"):
                        self.told.append(payload["data"][self._field])
                    self._more.notify_all()
        finally:
            async with self._more:
                self.ended = True
                self._more.notify_all()

    @property
    def types(self) -> list[str]:
        return [event["__typename"] for event in self.told]

    @property
    def changed(self) -> list[tuple[str, str, str | None]]:
        """Which nodes changed: what happened, the id, and what is there now."""
        nodes = [event for event in self.told if event["__typename"] == "NodeChanged"]
        return [(event["type"], event["nodeId"], event["node"] and event["node"]["__typename"]) for event in nodes]

    @property
    def cursor(self) -> str:
        return str(self.told[-1]["cursor"])

    async def until(self, true: Callable[["Followed"], object]) -> "Followed":
        """Wait until something is true of what was told."""
        async with asyncio.timeout(PATIENCE), self._more:
            await self._more.wait_for(lambda: bool(true(self)))
        return self

    async def hears(self, count: int) -> "Followed":
        """Wait until so many events were told."""
        return await self.until(lambda one: len(one.told) >= count)

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@contextlib.asynccontextmanager
async def following(api: Api, query: str, **variables: Any) -> AsyncIterator[Followed]:
    """Follow as long as the block lasts."""
    followed = Followed(api, query, **variables)
    try:
        yield followed
    finally:
        await followed.stop()


async def refusal_of(api: Api, query: str, **variables: Any) -> str:
    """The code with which a subscription is refused in its first answer."""
    async with following(api, query, **variables) as followed:
        await followed.until(lambda one: one.errors or one.told)
        assert followed.told == []
        return str(followed.errors[0]["extensions"]["code"])
