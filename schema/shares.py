"""Shares: links that show a chat to others, and what is behind them."""

import enum
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self
from uuid import UUID

import strawberry

from chat.contents import Part
from chat.guests import Showing
from chat.shares import ShareDraft
from db.scopes import Row
from events.facts import ChatShareCreated, ChatShareRevoked
from loaders.pages import Page
from resolvers import shares, users
from resolvers.operations import Operation
from schema.caching import KeptFor
from schema.connections import After, Before, Connection, First, Last, asked
from schema.errors import Payload
from schema.fields import Columns, Idempotent, Info, attribute, batch, column, mutation, name_of, query
from schema.ids import local_id
from schema.links import link, visible
from schema.messages import Message, MessagePart, MessageRole, MessageStatus
from schema.nodes import Node
from schema.scalars import URL
from schema.users import Principal, User

if TYPE_CHECKING:
    from schema.chats import Chat


@strawberry.enum(description="Who may follow a link to a chat.")
class ShareAudience(enum.Enum):
    ANYONE = strawberry.enum_value("ANYONE", description="Whoever has the link, without signing in. Needs the scope `chats:share`.")
    TENANT = strawberry.enum_value("TENANT", description="Members of the tenant who may read chats.")
    USERS = strawberry.enum_value("USERS", description="Some members by name.")


def _lives(operation: Operation, rows: Sequence[Row], needed: object) -> list[bool]:  # noqa: ARG001 - a batch's arguments
    return [row["leaf_id"] is None for row in rows]


@strawberry.type(description="A link that shows a chat to others. It ends when whoever made it may not share the chat any more.")
class ChatShare(Node):
    chat: Annotated["Chat", strawberry.lazy("schema.chats")] = link("chat_by_id", column="chat_id", description="The chat.")
    url: URL | None = batch(
        shares.urls,
        needs=["id", "key_version"],
        description="The link. What it takes to read stands behind its `#`, which browsers send to nobody; null once its key is gone.",
    )
    audience: ShareAudience = column("audience", convert=ShareAudience, description="Who may follow it.")
    live: bool = batch(_lives, needs=["leaf_id"], description="Whether it follows the chat's head and title.")
    snapshot_leaf: Message | None = link(
        "message_by_id", column="leaf_id", description="The message that it ends with for good; null for a live one."
    )
    created_at: datetime = column("created_at", description="When it was made.")
    created_by: Principal | None = visible(
        users.visible_by_ids,
        column="created_by",
        description="Who made it; null where they have left or you may not see the tenant's members.",
    )
    expires_at: datetime | None = column("expires_at", description="When it ends by itself; null for never.")
    revoked_at: datetime | None = column("revoked_at", description="When somebody ended it; null unless they did.")
    view_count: int = column(
        "view_count",
        description="How often it was followed; again from the same place within half an hour does not count, nor does its maker.",
    )

    users: list[User] = batch(shares.people, needs=["user_ids"], description="Whom it is for by name, as far as you may see them.")

    @classmethod
    async def find(cls, operation: Operation, id: UUID, columns: Columns | None = None) -> Self | None:
        return cls.of(await shares.by_id(operation, id, columns))


def _said(operation: Operation, rows: Sequence[Row], needed: object) -> list[list[Part]]:  # noqa: ARG001 - a batch's arguments
    return [row["parts"] for row in rows]


@strawberry.type(description="What somebody or a model said in a chat, for readers who take no part in it. It has no id to ask more with.")
class SharedMessage:
    __source__: ClassVar[str] = "row"

    row: strawberry.Private[Any]

    role: MessageRole = column("role", convert=MessageRole, description="Who speaks: USER or ASSISTANT.")
    author_name: str | None = column("author_name", description="What the author is called; null for a model, and for who has left.")
    status: MessageStatus = column("status", convert=MessageStatus, description="How far it has come.")
    created_at: datetime = column("created_at", description="When it was begun.")
    parts: list[MessagePart] = batch(_said, needs=["parts"], description="What it says, in order; a model's thoughts are left out.")


async def _messages(  # noqa: PLR0913 - the arguments of the field
    operation: Operation,
    showings: Sequence[Showing],
    needed: object,  # noqa: ARG001 - a batch's arguments
    first: First = None,
    last: Last = None,
    after: After = None,
    before: Before = None,
) -> list[Page]:
    arguments = asked(operation, first=first, last=last, after=after, before=before)
    return [await shares.page(operation, showing, arguments) for showing in showings]


@strawberry.type(description="What a link shows of a chat.")
class SharedChat:
    __source__: ClassVar[str] = "showing"

    showing: strawberry.Private[Showing]

    title: str | None = attribute("title", description="What the chat is called, or was called when a snapshot was made.")
    live: bool = attribute("live", description="Whether it follows the chat as it goes on.")
    shared_by: str | None = attribute("shared_by", description="What whoever made the link is called.")
    created_at: datetime = attribute("created_at", description="When the link was made.")
    expires_at: datetime | None = attribute("expires_at", description="When the link ends by itself; null for never.")
    messages: Connection[SharedMessage] = batch(
        _messages,
        multipliers=["first", "last"],
        description="The messages of the branch that it shows, the first one first; instructions and tools are left out.",
    )


async def shares_of_chats(operation: Operation, rows: Sequence[Row], needed: Columns | None) -> list[list[Row]]:
    """Find the links to each chat."""
    return await shares.of_chats(operation, rows, needed)


@strawberry.input(description="A link to make.", directives=[Idempotent()])
class ChatShareCreateInput:
    idempotency_key: str = strawberry.field(
        description="Makes a retry safe for 24 hours: the same key with the same input makes one link. 1 to 255 characters."
    )
    chat_id: strawberry.ID = strawberry.field(description="The chat.")
    audience: ShareAudience = strawberry.field(description="Who may follow it.")
    user_ids: list[strawberry.ID] = strawberry.field(
        description="With USERS and only then: whom it is for, at most 100 members.", default_factory=list
    )
    live: bool = strawberry.field(
        description="Whether it follows the chat as it goes on. Without it, it shows one branch and the title as they are now.",
        default=False,
    )
    leaf: strawberry.ID | None = strawberry.field(
        description="The message that a snapshot ends with; without it, the chat's head. Not while the chat is being answered.",
        default=None,
    )
    expires_at: datetime | None = strawberry.field(description="When it ends by itself; without it, never.", default=None)


@strawberry.type(description="The link that was made.")
class ChatShareCreatePayload(Payload):
    share: ChatShare | None = strawberry.field(description="The link.", default=None)


@strawberry.input(description="A link to end.")
class ChatShareRevokeInput:
    share_id: strawberry.ID = strawberry.field(description="The link.")


@strawberry.type(description="The link that was ended.")
class ChatShareRevokePayload(Payload):
    share: ChatShare | None = strawberry.field(description="The link, which shows nothing any more.", default=None)


async def _create(
    info: Info, input: Annotated[ChatShareCreateInput, strawberry.argument(description="The link.")]
) -> ChatShareCreatePayload:
    draft = ShareDraft(
        audience=name_of(input.audience),
        live=input.live,
        leaf_id=None if input.leaf is None else local_id(input.leaf, "Message", path=["leaf"]),
        user_ids=tuple(dict.fromkeys(local_id(text, "User", path=["userIds"]) for text in input.user_ids)),
        expires_at=input.expires_at,
    )
    chat_id = local_id(input.chat_id, "Chat", path=["chatId"])
    return ChatShareCreatePayload(share=ChatShare.of(await shares.create(info.context, chat_id, draft, key=input.idempotency_key)))


async def _revoke(
    info: Info, input: Annotated[ChatShareRevokeInput, strawberry.argument(description="The link.")]
) -> ChatShareRevokePayload:
    share_id = local_id(input.share_id, "ChatShare", path=["shareId"])
    return ChatShareRevokePayload(share=ChatShare.of(await shares.revoke(info.context, share_id)))


async def _shared_chat(
    operation: Operation, _: object, token: Annotated[str, strawberry.argument(description="What stands behind the `#` of a link.")]
) -> SharedChat:
    return SharedChat(showing=await shares.opened(operation, token))


@strawberry.type
class Query:
    shared_chat: SharedChat = query(
        _shared_chat,
        public=True,
        cost=5,
        kept_for=KeptFor.NOBODY,
        description="What a link shows of a chat; needs no sign-in where the link is for anyone. A link that ended is not found.",
    )


@strawberry.type
class Mutation:
    chat_share_create: ChatShareCreatePayload = mutation(
        _create,
        payload=ChatShareCreatePayload,
        scopes=["chats:write"],
        emits=[ChatShareCreated],
        description="Make a link that shows a chat of yours to others.",
    )
    chat_share_revoke: ChatShareRevokePayload = mutation(
        _revoke,
        payload=ChatShareRevokePayload,
        scopes=["chats:write"],
        emits=[ChatShareRevoked],
        description="End a link at once. Owners of the chat do.",
    )
