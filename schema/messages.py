"""Messages, what they say, and saying something."""

import enum
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeAlias
from uuid import UUID

import strawberry

from chat import contents
from chat.conversations import Draft
from resolvers import messages
from resolvers.operations import Operation
from schema.connections import After, Connection, First, asked
from schema.errors import Payload
from schema.fields import Idempotent, Info, column, mutation, query
from schema.ids import global_id, local_id
from schema.links import link, visible
from schema.nodes import Node, kinds
from schema.users import Principal

if TYPE_CHECKING:
    from schema.chats import Chat
    from schema.runs import Run


@strawberry.enum(description="Who speaks in a message.")
class MessageRole(enum.Enum):
    SYSTEM = strawberry.enum_value("SYSTEM", description="Whoever set the conversation up, with instructions for the model.")
    USER = strawberry.enum_value("USER", description="A person.")
    ASSISTANT = strawberry.enum_value("ASSISTANT", description="A model.")
    TOOL = strawberry.enum_value("TOOL", description="A tool that a model called.")


@strawberry.enum(description="How far a message has come.")
class MessageStatus(enum.Enum):
    PENDING = strawberry.enum_value("PENDING", description="An answer of which nothing has been said yet.")
    STREAMING = strawberry.enum_value("STREAMING", description="An answer that is being made; `parts` are what was said so far.")
    COMPLETE = strawberry.enum_value("COMPLETE", description="Whole.")
    INCOMPLETE = strawberry.enum_value("INCOMPLETE", description="An answer that ended early; what was said is kept. The run says why.")
    FAILED = strawberry.enum_value("FAILED", description="An answer that failed; what was said before is kept. The run says why.")


@strawberry.type(description="Text: Markdown where a model wrote it.")
class TextPart:
    id: strawberry.ID = strawberry.field(description="Id of the part, which events name too.")
    text: str = strawberry.field(description="The text.")


@strawberry.type(description="What a model thought aloud before its answer.")
class ReasoningPart:
    id: strawberry.ID = strawberry.field(description="Id of the part, which events name too.")
    text: str = strawberry.field(description="The thoughts.")


@strawberry.type(description="What PENNY itself has to say of an answer.")
class NoticePart:
    id: strawberry.ID = strawberry.field(description="Id of the part, which events name too.")
    kind: str = strawberry.field(description="What the notice is about, for programs.")
    text: str = strawberry.field(description="One sentence for people.")


MessagePart: TypeAlias = Annotated[
    TextPart | ReasoningPart | NoticePart, strawberry.union("MessagePart", description="One part of what a message says.")
]


def id_of_part(id: UUID) -> strawberry.ID:
    """Spell a part's id for the world: parts are no nodes, but events name them."""
    return strawberry.ID(global_id("Part", id))


def dressed_part(part: contents.Part) -> TextPart | ReasoningPart | NoticePart:
    """Dress a part of a message."""
    if isinstance(part, contents.TextPart):
        return TextPart(id=id_of_part(part.id), text=part.text)
    if isinstance(part, contents.ReasoningPart):
        return ReasoningPart(id=id_of_part(part.id), text=part.text)
    return NoticePart(id=id_of_part(part.id), kind=part.kind, text=part.text)


async def _children(root: Any, info: Info, first: First = None, after: After = None) -> "Connection[Message]":
    return Connection.of(await messages.children(info.context, root.row, asked(info, first=first, after=after)), Message)


async def _siblings(root: Any, info: Info) -> "list[Message]":
    return [Message(row=row) for row in await messages.siblings(info.context, root.row)]


async def _sibling_index(root: Any, info: Info) -> int:
    return [row["id"] for row in await messages.siblings(info.context, root.row)].index(root.row["id"])


async def _parts(root: Any, info: Info) -> list[MessagePart]:
    return [dressed_part(part) for part in await messages.parts(info.context, root.row)]


@strawberry.type(description="Something said in a chat. Messages form a tree: the branch from the first one to a leaf is a conversation.")
class Message(Node):
    chat: Annotated["Chat", strawberry.lazy("schema.chats")] = link(
        "chat_by_id", column="chat_id", to="Chat", description="The chat it belongs to."
    )
    role: MessageRole = column("role", convert=MessageRole, description="Who speaks.")
    author: Principal | None = visible(
        "User",
        column="author_id",
        description="Who wrote it; null for a model's answer, and where the author has left or you may not see the tenant's members.",
    )
    parent: "Message | None" = link(
        "message_by_id", column="parent_id", to="Message", description="The message it follows; null for the first one."
    )
    children: "Connection[Message]" = query(
        _children, multipliers=["first"], description="The messages that directly follow it, the oldest first."
    )
    siblings: "list[Message]" = query(
        _siblings, description="The messages that follow the same parent, this one among them, the oldest first."
    )
    sibling_index: int = query(_sibling_index, description="Where this one stands among its siblings, from 0.")
    parts: list[MessagePart] = query(_parts, description="What it says, in order.")
    created_at: datetime = column("created_at", description="When it was begun.")
    edited_at: datetime | None = column("edited_at", description="When its text was last changed.")
    status: MessageStatus = column("status", convert=MessageStatus, description="How far it has come.")
    run: Annotated["Run", strawberry.lazy("schema.runs")] | None = link(
        "run_by_id", column="run_id", to="Run", description="The run that makes or made it; null for what a person wrote."
    )

    @classmethod
    async def find(cls, operation: Operation, id: UUID) -> Self | None:
        return cls.of(await messages.by_id(operation, id))


@strawberry.input(one_of=True, description="One part of what you say: exactly one field is given.")
class PartInput:
    text: str | None = strawberry.field(description="Text, in Markdown if you like.", default=strawberry.UNSET)


def texts_of(parts: Sequence[PartInput]) -> list[str]:
    """Return the texts of the parts; text is all that a part may be."""
    return [part.text or "" for part in parts]


@strawberry.input(description="Something to say in a chat.", directives=[Idempotent()])
class MessageSendInput:
    idempotency_key: str = strawberry.field(
        description="Makes a retry safe for 24 hours: the same key with the same input sends nothing twice. 1 to 255 characters."
    )
    chat_id: strawberry.ID = strawberry.field(description="The chat.")
    parent_message_id: strawberry.ID | None = strawberry.field(
        description="The message to follow; without it, the chat's head. One that is followed already begins a new branch.", default=None
    )
    content: list[PartInput] = strawberry.field(description="What to say: 1 to 32 parts, together at most 131072 bytes of UTF-8.")
    max_output_tokens: int | None = strawberry.field(
        description="Longest answer, in tokens; without it, and at most, what the model's settings allow.", default=None
    )
    background: bool = strawberry.field(
        description="A note for other clients that nobody waits for the answer. Every run goes on without its readers.", default=True
    )


@strawberry.type(description="The message that was sent.")
class MessageSendPayload(Payload):
    message: Message | None = strawberry.field(description="The message.", default=None)
    runs: list[Annotated["Run", strawberry.lazy("schema.runs")]] | None = strawberry.field(
        description="The runs that answer it; `runEvents` tells what they say.", default=None
    )
    reused: bool | None = strawberry.field(description="Whether an earlier request with the same key did it.", default=None)


async def _send(info: Info, input: Annotated[MessageSendInput, strawberry.argument(description="What to say.")]) -> MessageSendPayload:
    chat_id = local_id(input.chat_id, "Chat", path=["chatId"])
    parent = input.parent_message_id
    draft = Draft(
        texts=texts_of(input.content),
        parent_id=None if parent is None else local_id(parent, "Message", path=["parentMessageId"]),
        max_output_tokens=input.max_output_tokens,
        background=input.background,
    )
    sent = await messages.send(info.context, chat_id, draft, key=input.idempotency_key)
    made: Any = [kinds()["Run"](row=run) for run in sent.runs]
    return MessageSendPayload(message=Message.of(sent.message), runs=made, reused=sent.reused)


@strawberry.type
class Mutation:
    message_send: MessageSendPayload = mutation(
        _send,
        payload=MessageSendPayload,
        scopes=["chats:write"],
        description="Say something in a chat, and have it answered. Returns at once: the run goes on by itself.",
    )
