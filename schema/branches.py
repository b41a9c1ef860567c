"""Branches: the ways that a chat's conversation has taken, going to another one, and taking one into a chat of its own."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Self
from uuid import UUID

import strawberry

from db.scopes import Row
from events.facts import ChatCreated, ChatUpdated
from loaders.pages import Page
from resolvers import branches, chats
from resolvers.operations import Operation
from schema.connections import After, First, asked
from schema.errors import Payload
from schema.fields import Columns, Idempotent, Info, batch, column, mutation
from schema.ids import local_id
from schema.links import link
from schema.messages import Message
from schema.nodes import Node, kinds

if TYPE_CHECKING:
    from schema.chats import Chat


@strawberry.type(description="One way that a conversation has taken: the messages from the first one to a leaf.")
class Branch(Node):
    leaf: Message = link(
        "message_by_id", column="leaf_id", description="The message that it ends with, for `Chat.messages` and `chatHeadSet`."
    )
    fork_point: Message | None = link(
        "message_by_id", column="fork_point_id", description="The message after which it left an older branch; null for one from the start."
    )
    message_count: int = column("message_count", description="How many messages lead from the first one to the leaf, both counted.")
    updated_at: datetime = column("updated_at", description="When its leaf was begun.")
    name: str | None = batch(
        branches.names,
        needs=["beginning_id"],
        description="The first words that it does not share with the branch it left, at most 80 characters; null while there are none.",
    )

    @classmethod
    async def find(cls, operation: Operation, id: UUID, columns: Columns | None = None) -> Self | None:  # noqa: ARG003 - a row has all
        return cls.of(await branches.by_id(operation, id))


async def branches_of_chats(
    operation: Operation,
    rows: Sequence[Row],
    needed: Columns | None,  # noqa: ARG001 - a row has all
    first: First = None,
    after: After = None,
) -> list[Page | Exception]:
    """Page through the branches of each chat."""
    return await branches.pages_of_chats(operation, rows, asked(operation, first=first, after=after))


@strawberry.input(description="Where to fork a chat.", directives=[Idempotent()])
class ChatForkInput:
    idempotency_key: str = strawberry.field(
        description="Makes a retry safe for 24 hours: the same key with the same input makes one chat. 1 to 255 characters."
    )
    message_id: strawberry.ID = strawberry.field(
        description="The last message that the new chat has in common with the old one: of any chat that you may read."
    )
    title: str | None = strawberry.field(
        description="What to call the new chat: 1 to 200 characters; without it, as the old one.", default=None
    )


@strawberry.type(description="The chat that was begun.")
class ChatForkPayload(Payload):
    chat: Annotated["Chat", strawberry.lazy("schema.chats")] | None = strawberry.field(
        description="The new chat: yours, private, with copies of the messages.", default=None
    )


@strawberry.input(description="Another place for a chat to go on from.")
class ChatHeadSetInput:
    chat_id: strawberry.ID = strawberry.field(description="The chat.")
    message_id: strawberry.ID = strawberry.field(description="The message of it that is followed next: a leaf, to go to another branch.")
    expected_revision: int | None = strawberry.field(
        description="The chat's revision that the change is made for; another one is a conflict. Without it it is made in any case.",
        default=None,
    )


@strawberry.type(description="The chat after the change.")
class ChatHeadSetPayload(Payload):
    chat: Annotated["Chat", strawberry.lazy("schema.chats")] | None = strawberry.field(description="The chat as it is now.", default=None)


def _dressed(chat: Row) -> Any:
    return kinds()["Chat"](row=chat)


async def _fork(info: Info, input: Annotated[ChatForkInput, strawberry.argument(description="Where.")]) -> ChatForkPayload:
    message_id = local_id(input.message_id, "Message", path=["messageId"])
    sent = await chats.fork(info.context, message_id, input.title, key=input.idempotency_key)
    return ChatForkPayload(chat=_dressed(sent.chat))


async def _set_head(info: Info, input: Annotated[ChatHeadSetInput, strawberry.argument(description="The place.")]) -> ChatHeadSetPayload:
    chat_id = local_id(input.chat_id, "Chat", path=["chatId"])
    message_id = local_id(input.message_id, "Message", path=["messageId"])
    return ChatHeadSetPayload(chat=_dressed(await chats.go_to(info.context, chat_id, message_id, input.expected_revision)))


@strawberry.type
class Mutation:
    chat_fork: ChatForkPayload = mutation(
        _fork,
        payload=ChatForkPayload,
        scopes=["chats:write"],
        emits=[ChatCreated],
        description="Begin a chat of your own with what was said in another one up to a message.",
    )
    chat_head_set: ChatHeadSetPayload = mutation(
        _set_head,
        payload=ChatHeadSetPayload,
        scopes=["chats:write"],
        emits=[ChatUpdated],
        description="Let a chat go on from another message. Nothing is lost by it.",
    )
