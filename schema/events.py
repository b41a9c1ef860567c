"""Events: what happens in a chat, to a viewer and in a tenant, to follow and to read again."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from importlib.metadata import version
from typing import Annotated, Any, ClassVar, Final, Self, TypeAlias
from uuid import UUID

import strawberry

from auth.viewers import Viewer
from db.scopes import Row
from events.facts import TYPES
from events.feeds import NIL
from loaders.loaders import Loaders
from loaders.pages import Page
from resolvers import events, users
from resolvers.operations import Operation
from schema.chats import Chat
from schema.connections import After, Connection, asked
from schema.event_types import EventType
from schema.fields import Columns, Info, batch, column, computed, name_of, names_of, query, subscription
from schema.ids import global_id, ids_of, local_id
from schema.links import link, visible
from schema.messages import Message
from schema.nodes import Node, kinds
from schema.runs import Run
from schema.tenants import Tenant
from schema.users import Principal
from subscriptions.events import Events, EventStreams, Shown

_ALL: Final = [name_of(kind) for kind in EventType]


def _kind_of(row: Row) -> str:
    """Name the type of what an event is about: it says so itself, or its own type does."""
    return str(row.get("subject") or TYPES[row["type"]].subject[0])


async def _subjects(operation: Operation, rows: Sequence[Row], needed: object) -> list[Node | BaseException | None]:  # noqa: ARG001 - a batch's arguments
    found = (kinds()[_kind_of(row)].find(operation, row["subject_id"]) for row in rows)
    return await asyncio.gather(*found, return_exceptions=True)


def _subject_ids(operation: Operation, rows: Sequence[Row], needed: object) -> list[strawberry.ID]:  # noqa: ARG001 - a batch's arguments
    return [strawberry.ID(global_id(_kind_of(row), row["subject_id"])) for row in rows]


SUBJECT: Final = ("type", "subject_id")
SHOWN: Final = (*SUBJECT, "subject")


@strawberry.type(description="Something that happened in the tenant, told with things as they are now, as far as you see them.")
class Event(Node):
    type: EventType = column("type", convert=EventType, description="What happened.")
    at: datetime = column("at", description="When the change began that made it happen.")
    actor: Principal | None = visible(
        users.visible_by_ids,
        column="actor_id",
        description="Who did it; null where PENNY did, where they have left, and where you may not see the tenant's members.",
    )
    subject: Node | None = batch(_subjects, needs=SUBJECT, description="What it happened to; null where that is gone, or not for you.")
    subject_id: strawberry.ID = batch(_subject_ids, needs=SUBJECT, common=True, description="Id of what it happened to.")
    tenant: Tenant = link("tenant_by_id", column="tenant_id", description="The tenant that it happened in.")

    @computed(description="The version of PENNY that tells it.")
    def api_version(self) -> str:
        return version("penny")

    @classmethod
    async def find(cls, operation: Operation, id: UUID, columns: Columns | None = None) -> Self | None:
        return cls.of(await events.by_id(operation, id, _ALL, columns))


@strawberry.type(description="A message was written, or changed, or an answer is complete. `runEvents` tells how an answer grows.")
class MessageChanged:
    __source__: ClassVar[str] = "row"

    row: strawberry.Private[Any]

    cursor: str = column("cursor", description="Where the event stands, for `after`.")
    message: Message = link("message_by_id", column="message_id", description="The message as it is now.")


@strawberry.type(description="A run was asked for, has begun or has ended.")
class RunStatusChanged:
    __source__: ClassVar[str] = "row"

    row: strawberry.Private[Any]

    cursor: str = column("cursor", description="Where the event stands, for `after`.")
    run: Run = link("run_by_id", column="run_id", description="The run as it is now.")


@strawberry.type(description="A chat was begun, changed, deleted, or is shown to you no more.")
class ChatChanged:
    __source__: ClassVar[str] = "row"

    row: strawberry.Private[Any]

    cursor: str = column("cursor", description="Where the event stands, for `after`.")
    chat_id: strawberry.ID = column("chat_id", convert=ids_of("Chat"), description="The chat's id.")
    chat: Chat | None = link("chat_by_id", column="shown_id", description="The chat as it is now; null when it is gone.")
    deleted: bool = column("deleted", description="Whether it is gone for you: deleted, or shown to you no more.")


@strawberry.type(description="A session of yours was ended.")
class SessionRevoked:
    __source__: ClassVar[str] = "row"

    row: strawberry.Private[Any]

    cursor: str = column("cursor", description="Where the event stands, for `after`.")
    session_id: strawberry.ID = column("session_id", convert=ids_of("Session"), description="The session.")
    reason: str = column("reason", description="Why, in a word such as `SIGNED_OUT`.")


@strawberry.type(
    description="Something else that you see changed, or something of your own: an assistant, a model, a member, a key, your profile."
)
class NodeChanged:
    __source__: ClassVar[str] = "row"

    row: strawberry.Private[Any]

    cursor: str = column("cursor", description="Where the event stands, for `after`.")
    type: EventType = column("type", convert=EventType, description="What happened.")
    node_id: strawberry.ID = batch(_subject_ids, needs=SHOWN, common=True, description="Id of what changed.")
    node: Node | None = batch(
        _subjects, needs=SHOWN, description="What changed, as it is now; null when it is gone, or not for you any more."
    )


ChatEvent: TypeAlias = Annotated[
    MessageChanged | RunStatusChanged | ChatChanged, strawberry.union("ChatEvent", description="Something that happened in a chat.")
]
ViewerEvent: TypeAlias = Annotated[
    ChatChanged | RunStatusChanged | SessionRevoked | NodeChanged,
    strawberry.union("ViewerEvent", description="Something that happened to you or to what you see."),
]
DRESSES: Final[Mapping[str, type[Any]]] = {
    dress.__name__: dress for dress in (MessageChanged, RunStatusChanged, ChatChanged, SessionRevoked, NodeChanged, Event)
}


class Following(AsyncIterable[Any]):
    """Events for one subscriber, each told of the rows as they are then; what is read and written for them is shared with others."""

    def __init__(self, operation: Operation, events: Events) -> None:
        self._operation = operation
        self._events = events

    async def told(self, sink: object = None) -> AsyncGenerator[Shown, None]:  # noqa: ARG002 - what happens is told one by one
        """Yield the events."""
        async with contextlib.aclosing(self._events.told()) as stream:
            async for shown in stream:
                yield shown

    def dressed(self, told: Shown) -> Any:
        """Return an event as the schema knows it; it is read with the loaders of all who are told of it."""
        self._operation.loaders = told.loaders
        return DRESSES[told.kind](row=told.row)

    def for_all(self, told: Shown) -> Operation:
        """Make the context in which is asked what all see alike: that of somebody who may do nothing, so that it can be nobody's own."""
        tenant_id = self._operation.tenant_id
        nobody = Viewer(tenant_id=tenant_id, user_id=NIL, role_id=NIL, scopes=frozenset())
        return replace(self._operation, credential=nobody, loaders=told.loaders)

    def renew(self, told: Shown) -> None:
        """Forget what could not be read."""
        told.loaders = Loaders(told.loaders.scopes, told.loaders.tenant_id)

    async def __aiter__(self) -> AsyncGenerator[Any, None]:
        async with contextlib.aclosing(self.told()) as stream:
            async for told in stream:
                yield self.dressed(told)


Since = Annotated[
    str | None,
    strawberry.argument(
        description="The cursor of the last event that you saw, of any subscription or list of events, or `eventCursor`; without it, what "
        "happens from now on is told, and perhaps what has just happened. Behind a cursor that is too old the subscription fails with "
        "`CURSOR_EXPIRED`: load anew."
    ),
]
Types = Annotated[list[EventType] | None, strawberry.argument(description="Only events of these types.")]


def _types(types: Sequence[EventType] | None) -> Sequence[str]:
    return _ALL if types is None else names_of(types) or ()


def _streams(operation: Operation) -> EventStreams:
    works = operation.works
    return EventStreams(feeds=works.feeds, scopes=works.scopes, keyring=works.keyring, settings=works.settings)


async def _chat_events(
    info: Info, chat_id: Annotated[strawberry.ID, strawberry.argument(description="The chat.")], after: Since = None
) -> AsyncIterable[Any]:
    operation, asked_id = info.context, local_id(chat_id, "Chat", path=["chatId"])
    return Following(operation, await _streams(operation).of_chat(operation.viewer, asked_id, after=after))


async def _viewer_events(info: Info, after: Since = None) -> AsyncIterable[Any]:
    operation = info.context
    return Following(operation, await _streams(operation).of_viewer(operation.viewer, after=after))


async def _tenant_events(info: Info, types: Types = None, after: Since = None) -> AsyncIterable[Any]:
    operation = info.context
    return Following(operation, await _streams(operation).of_tenant(operation.viewer, types=_types(types), after=after))


async def _events(  # noqa: PLR0913 - the arguments of the field
    operation: Operation,
    roots: Sequence[object],  # noqa: ARG001 - a batch's: the query's one root
    needed: Columns | None,
    first: Annotated[int, strawberry.argument(description="How many events to return, from 1 to 100.")],
    after: After = None,
    types: Types = None,
    since: Annotated[datetime | None, strawberry.argument(description="Only what happened from this moment on.")] = None,
) -> list[Page]:
    arguments = asked(operation, first=first, after=after)
    return [await events.page(operation, arguments, types=_types(types), since=since, columns=needed)]


async def _event_cursor(operation: Operation, _: object) -> str:
    return await events.now(operation)


@strawberry.type
class Query:
    events: Connection[Event] = batch(
        _events,
        scopes=["events:read"],
        multipliers=["first"],
        description="What happened in the tenant in the last days, the oldest first.",
    )
    event_cursor: str = query(
        _event_cursor,
        description="Where events stand now. Ask for it first, load what you show, and subscribe with it as `after`: nothing is missed.",
    )


@strawberry.type
class Subscription:
    chat_events: AsyncGenerator[ChatEvent, None] = subscription(
        _chat_events,
        scopes=["chats:read"],
        description="What happens in a chat, until it is gone for you. Each event comes once, in order, with things as they are then.",
    )
    viewer_events: AsyncGenerator[ViewerEvent, None] = subscription(
        _viewer_events,
        description="What happens to the chats that you see and to their runs, to your sessions, and to whatever else you see.",
    )
    tenant_events: AsyncGenerator[Event, None] = subscription(
        _tenant_events, scopes=["events:read"], description="What happens in the tenant."
    )
