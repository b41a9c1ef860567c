"""What happens in a chat, to a viewer and in a tenant, as it comes: facts, for those who may know of them when they are told."""

import contextlib
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from auth.encryption.keyring import Keyring
from auth.policies.assistants import can_edit_assistant, can_see_assistant
from auth.policies.chats import can_manage_chat, can_read_chat
from auth.policies.facts import can_hear, shown_as
from auth.viewers import Viewer
from db.scopes import Row, TenantScopes
from db.statements import chats
from errors import Code, Invalid, NotFound
from events import facts
from events.feeds import Feeds, Follower, Happened, Place
from loaders.events import cursor_of, event_cursors
from loaders.loaders import Loaders
from loaders.pages import Cursors
from settings import Settings


class CursorHasExpired(Invalid):
    """What lies behind a cursor is not told again, or not all of it."""

    code = Code.CURSOR_EXPIRED

    def __init__(self) -> None:
        super().__init__("What happened behind this cursor is not told again; load anew, and go on without it.", path=["after"])


class Told(NamedTuple):
    """An event for one subscriber: its type's name in the schema, and the values it is dressed with."""

    kind: str
    row: Mapping[str, Any]
    is_last: bool = False


Telling = Callable[[Happened], Told | None]
"""Says what a fact is to a subscriber; None where it does not concern them, or they may not know of it."""


class Shown:
    """An event as all subscribers are told it to whom it is the same: its row has the cursor too.

    They share the `loaders` with which it is read, and what they make of it in `made`; nothing comes after one that `is_last`.
    """

    __slots__ = ("is_last", "kind", "loaders", "made", "row")

    def __init__(self, told: Told, cursor: str, loaders: Loaders) -> None:
        self.kind = told.kind
        self.row = {**told.row, "cursor": cursor}
        self.is_last = told.is_last
        self.loaders = loaders
        self.made: dict[Any, Any] = {}


class Events:
    """The events of one subscriber, from a place on, without gap or duplicate."""

    def __init__(self, follower: Follower, telling: Telling, cursors: Cursors, loaders: Callable[[], Loaders]) -> None:
        self._follower = follower
        self._telling = telling
        self._cursors = cursors
        self._loaders = loaders

    async def told(self) -> AsyncGenerator[Shown, None]:
        """Yield events, the same ones to all who are told the same of a fact that was read for them at once."""
        async with contextlib.aclosing(self._follower.told()) as stream:
            async for happened in stream:
                if (told := self._telling(happened)) is None:
                    continue
                yield self._shown(happened, told)
                if told.is_last:
                    return

    def _shown(self, happened: Happened, told: Told) -> Shown:
        made = happened.page.made
        # Of one fact viewers are told different things: a chat that changed is gone for some.
        key = happened.place, told.kind, None if told.row is happened.row else tuple(told.row.values()), told.is_last
        if (shown := made.get(key)) is None:
            loaders = made.get(Loaders) or made.setdefault(Loaders, self._loaders())
            shown = made[key] = Shown(told, cursor_of(self._cursors, happened.place, happened.at), loaders)
        return shown


class EventStreams:
    """Begins subscriptions to facts."""

    def __init__(self, *, feeds: Feeds, scopes: TenantScopes, keyring: Keyring, settings: Settings) -> None:
        self._feeds = feeds
        self._scopes = scopes
        self._keyring = keyring
        self._window = timedelta(hours=settings.event_window_hours)
        self._replay = settings.event_replay

    async def of_chat(self, viewer: Viewer, chat_id: UUID, *, after: str | None) -> Events:
        """Follow a chat until it is gone or out of the viewer's sight, which is the last event; raises `NotFound`, `CursorHasExpired`."""
        # The place first: a chat that is hidden between the two is then told to be gone.
        events = await self._events(viewer, after, lambda happened: told_in_chat(viewer, chat_id, happened))
        async with self._scopes.reading(viewer.tenant_id) as scope:
            chat = await chats.by_id(scope, viewer.tenant_id, chat_id)
        if chat is None or not can_read_chat(viewer, chat):
            raise NotFound("There is no Chat with this id.", path=("chatId",))
        return events

    async def of_viewer(self, viewer: Viewer, *, after: str | None) -> Events:
        """Follow what concerns a viewer; raises `CursorHasExpired`."""
        return await self._events(viewer, after, lambda happened: told_to_viewer(viewer, happened))

    async def of_tenant(self, viewer: Viewer, *, types: Collection[str], after: str | None) -> Events:
        """Follow the facts of these types in the viewer's tenant; raises `CursorHasExpired`."""
        wanted = frozenset(types)
        return await self._events(viewer, after, lambda happened: Told("Event", happened.row) if happened.row["type"] in wanted else None)

    async def _events(self, viewer: Viewer, after: str | None, telling: Telling) -> Events:
        cursors = event_cursors(await self._keyring.cipher(viewer.tenant_id))
        place = await self._feeds.now(viewer.tenant_id) if after is None else await self._kept(viewer, cursors, after)
        follower = self._feeds.follow(viewer.tenant_id, place, lambda happened: telling(happened) is not None)
        return Events(follower, telling, cursors, lambda: Loaders(self._scopes, viewer.tenant_id))

    async def _kept(self, viewer: Viewer, cursors: Cursors, after: str) -> Place:
        era, xact, fact_id, at = cursors.read(after, path=["after"])
        place = Place(era, xact, fact_id)
        if at < datetime.now(UTC) - self._window or not await self._feeds.is_kept(viewer.tenant_id, place, self._replay):
            raise CursorHasExpired
        return place


def told_in_chat(viewer: Viewer, chat_id: UUID, happened: Happened) -> Told | None:
    """Say what a fact is to somebody who follows a chat."""
    if happened.chat_id != chat_id or happened.fact is None:
        return None
    if happened.chat is None or not can_read_chat(viewer, happened.chat):
        return _gone(chat_id, is_last=True)
    return _of_chat(viewer, happened.fact, happened.chat)


def told_to_viewer(viewer: Viewer, happened: Happened) -> Told | None:
    """Say what a fact is to a viewer. Who sees a chat no more is told that it is gone, and who never saw it is told nothing."""
    fact = happened.fact
    if isinstance(fact, facts.SessionRevoked):
        shown = {"session_id": fact.session_id, "reason": fact.reason}
        return Told("SessionRevoked", shown) if fact.user_id == viewer.user_id else None
    if isinstance(fact, facts.AssistantFact):
        return _node(viewer, fact) if _sees_assistant(viewer, fact, happened.assistant) else None
    if fact is not None and happened.chat_id is None:
        return _node(viewer, fact) if can_hear(viewer, fact) else None
    if happened.chat is not None and can_read_chat(viewer, happened.chat):
        return None if isinstance(fact, facts.MessageFact) else _of_chat(viewer, fact, happened.chat)
    if isinstance(fact, facts.ChatDeleted | facts.ChatUpdated) and fact.before is not None:
        return _gone(fact.chat_id) if can_read_chat(viewer, msgspec.structs.asdict(fact.before)) else None
    return None


def _sees_assistant(viewer: Viewer, fact: facts.AssistantFact, assistant: Row | None) -> bool:
    """Whether a viewer sees an assistant that changed, or saw it before: drafts are their editors' alone."""
    if assistant is not None and can_see_assistant(viewer, assistant):
        return not isinstance(fact, facts.AssistantVersionCreated) or can_edit_assistant(viewer, assistant)
    before = fact.before if isinstance(fact, facts.AssistantUpdated) else None
    return before is not None and can_see_assistant(viewer, msgspec.structs.asdict(before))


def _node(viewer: Viewer, fact: facts.Fact) -> Told:
    subject, subject_id = shown_as(viewer, fact)
    return Told("NodeChanged", {"type": facts.word_of(type(fact)), "subject": subject, "subject_id": subject_id})


def _of_chat(viewer: Viewer, fact: facts.Fact, chat: Row) -> Told | None:
    if isinstance(fact, facts.ChatShareFact) and not can_manage_chat(viewer, chat):
        return None
    if isinstance(fact, facts.MessageFact):
        return Told("MessageChanged", {"message_id": fact.message_id})
    if isinstance(fact, facts.RunFact):
        return Told("RunStatusChanged", {"run_id": fact.run_id})
    if isinstance(fact, facts.ChatFact | facts.ChatShareFact):
        return Told("ChatChanged", {"chat_id": fact.chat_id, "shown_id": fact.chat_id, "deleted": False})
    return None


def _gone(chat_id: UUID, *, is_last: bool = False) -> Told:
    return Told("ChatChanged", {"chat_id": chat_id, "shown_id": None, "deleted": True}, is_last)
