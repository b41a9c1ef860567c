"""What is told of an event is looked up and written once for all to whom it is the same, and never what is somebody's own."""

import asyncio
import contextlib
from dataclasses import replace
from typing import Any

import orjson
import pytest

from errors import Unavailable
from resolvers.operations import Caller
from schema.schema import build_schema
from settings import Settings
from tests.api.following import now
from tests.api.people import done, me, soon
from tests.api.test_changed_nodes import chatter
from tests.chat.talking import new_chat
from tests.running import Api
from web import subscriptions
from web.door import Door
from web.frames import Payload
from web.subscriptions import Common, Subscription
from web.works import Process

CALLER = Caller(address="127.0.0.1", user_agent="test", request_id="request")
ALIKE = """
    subscription ($id: ID!, $after: String) { chatEvents(chatId: $id, after: $after) {
      __typename ... on ChatChanged { cursor chatId chat { id title visibility head { id parts { __typename } } } }
    } }"""
OWN = """
    subscription ($id: ID!, $after: String) { chatEvents(chatId: $id, after: $after) {
      ... on ChatChanged { chat { id title owner { id } } }
    } }"""


@pytest.fixture
def door(settings: Settings, process: Process) -> Door:
    made = Door(replace(settings, execution="compiled"), build_schema(settings))
    made.opened = process
    return made


async def subscribed(door: Door, person: Api, text: str, **variables: Any) -> Subscription:
    viewer = await door.process.works.sessions.viewer_of(str(person.token))
    prepared = door.documents.prepare(text, None, variables)
    begun = await door.follow(prepared, door.operation(CALLER, viewer), variables)
    assert isinstance(begun, Subscription)
    return begun


async def next_of(subscription: Subscription) -> Payload:
    """The next event as one subscriber is told it, as a stream does it."""
    source = subscription.source
    assert isinstance(source, Common)
    async with contextlib.aclosing(source.told()) as stream:
        return await subscription.told(source, await anext(stream), "request")


async def caught_up(subscription: Subscription) -> None:
    """Until then a subscriber reads for itself."""
    source: Any = subscription.source
    if source._events._follower._lags:
        raise LookupError("it reads what was before")


async def told(*subscriptions: Subscription, change: Any) -> list[Payload]:
    """What all are told of one change that comes while they wait for it."""
    waiting = [asyncio.create_task(next_of(one)) for one in subscriptions]
    for one in subscriptions:
        await soon(lambda one=one: caught_up(one))  # type: ignore[misc] # bound now
    await change
    return await asyncio.wait_for(asyncio.gather(*waiting), 30)


def said(payload: Payload) -> Any:
    return orjson.loads(payload.text("1"))["payload"]["data"]["chatEvents"]


@pytest.fixture
async def shared(api: Api, process: Process) -> tuple[Api, Api, str, str]:
    """A chat of the first person's, which the second one reads and who sees no members."""
    ada = await api.sign_up()
    carol = await chatter(ada, process)
    chat_id = await new_chat(ada, "Engines")
    await done(ada, "chatUpdate", chatId=chat_id, visibility="TENANT")
    return ada, carol, chat_id, await now(ada, process)


async def test_what_is_the_same_for_all_is_made_once(door: Door, shared: tuple[Api, Api, str, str]) -> None:
    ada, carol, chat_id, begin = shared
    hers, also_hers, others = [await subscribed(door, one, ALIKE, id=chat_id, after=begin) for one in (ada, ada, carol)]
    first, second, third = await told(hers, also_hers, others, change=done(ada, "chatUpdate", chatId=chat_id, title="Machines"))
    assert first is second is third
    assert said(first)["chat"] == {"id": chat_id, "title": "Machines", "visibility": "TENANT", "head": None}


async def test_what_depends_on_the_viewer_is_each_viewer_s_own(door: Door, shared: tuple[Api, Api, str, str]) -> None:
    ada, carol, chat_id, begin = shared
    hers, others = [await subscribed(door, one, OWN, id=chat_id, after=begin) for one in (ada, carol)]
    first, second = await told(hers, others, change=done(ada, "chatUpdate", chatId=chat_id, title="Machines"))
    owner = {"id": (await me(ada))["viewer"]["user"]["id"]}
    assert said(first) == {"chat": {"id": chat_id, "title": "Machines", "owner": owner}}
    assert said(second) == {"chat": {"id": chat_id, "title": "Machines", "owner": None}}


async def test_whoever_asked_first_may_go(door: Door, shared: tuple[Api, Api, str, str]) -> None:
    ada, carol, chat_id, begin = shared
    hers, others = [await subscribed(door, one, ALIKE, id=chat_id, after=begin) for one in (ada, carol)]
    stream = hers.source.told()  # type: ignore[attr-defined] # as `next_of` knows
    waiting = [asyncio.create_task(anext(stream)), asyncio.create_task(next_of(others))]
    await done(ada, "chatUpdate", chatId=chat_id, title="Machines")
    shown = await waiting[0]
    asking = asyncio.create_task(hers.told(hers.source, shown, "request"))  # type: ignore[arg-type] # as above
    await asyncio.sleep(0)
    asking.cancel()
    payload = await asyncio.wait_for(waiting[1], 30)
    assert isinstance(payload, Payload)
    assert said(payload)["chat"]["title"] == "Machines"
    await stream.aclose()


class Away:
    """A tenant's scopes, of a database that does not answer at first."""

    def __init__(self, scopes: Any) -> None:
        self._scopes = scopes
        self.failures = 3

    def reading(self, tenant_id: Any) -> Any:
        if self.failures:
            self.failures -= 1
            raise Unavailable("Away.")
        return self._scopes.reading(tenant_id)


async def test_an_event_waits_for_the_database(
    door: Door, shared: tuple[Api, Api, str, str], process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is away for a moment leaves no hole in what is told."""
    ada, _, chat_id, begin = shared
    monkeypatch.setattr(subscriptions, "OUTAGE_PAUSE", 0.01)
    for text in (ALIKE, OWN):
        subscription = await subscribed(door, ada, text, id=chat_id, after=begin)
        await done(ada, "chatUpdate", chatId=chat_id, title="Machines")
        stream = subscription.source.told()  # type: ignore[attr-defined] # as above
        shown = await anext(stream)
        away = shown.loaders.scopes = Away(shown.loaders.scopes)
        payload = await asyncio.wait_for(subscription.told(subscription.source, shown, "request"), 30)  # type: ignore[arg-type] # as above
        assert away.failures == 0
        assert said(payload)["chat"]["title"] == "Machines"
        assert "errors" not in orjson.loads(payload.text("1"))["payload"]
        await stream.aclose()
