"""Messages, what they say, and saying something."""

import enum
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Self, TypeAlias
from uuid import UUID

import strawberry

from chat import contents
from chat.drafts import Draft
from chat.exchanges import Sent
from chat.turns import Busy
from db.scopes import Row
from errors import Invalid
from events.facts import MessageCompleted, MessageCreated, RunCancelled, RunQueued
from loaders.pages import Page
from resolvers import messages, models, users
from resolvers.operations import Operation
from schema.connections import After, Connection, First, asked
from schema.errors import Payload
from schema.feedback import Feedback, own_feedback
from schema.fields import Columns, Idempotent, Info, attribute, batch, column, mutation, name_of
from schema.ids import ids_of, local_id
from schema.links import link, visible
from schema.nodes import Node, kinds
from schema.users import Principal

if TYPE_CHECKING:
    from schema.chats import Chat
    from schema.models import Model
    from schema.runs import Run
    from schema.usage import UsageTotals


@strawberry.enum(description="Who speaks in a message.")
class MessageRole(enum.Enum):
    SYSTEM = strawberry.enum_value("SYSTEM", description="Whoever set the conversation up, with instructions for the model.")
    USER = strawberry.enum_value("USER", description="A person.")
    ASSISTANT = strawberry.enum_value("ASSISTANT", description="A model.")
    TOOL = strawberry.enum_value("TOOL", description="A tool that a model called.")
    SUMMARY = strawberry.enum_value("SUMMARY", description="PENNY, with a summary of what was said before.")


@strawberry.enum(description="How far a message has come.")
class MessageStatus(enum.Enum):
    PENDING = strawberry.enum_value("PENDING", description="An answer of which nothing has been said yet.")
    STREAMING = strawberry.enum_value("STREAMING", description="An answer that is being made; `parts` are what was said so far.")
    COMPLETE = strawberry.enum_value("COMPLETE", description="Whole.")
    INCOMPLETE = strawberry.enum_value("INCOMPLETE", description="An answer that ended early; what was said is kept. The run says why.")
    FAILED = strawberry.enum_value("FAILED", description="An answer that failed; what was said before is kept. The run says why.")
    REDACTED = strawberry.enum_value("REDACTED", description="Somebody took its content away for good; a notice stands in its place.")


# Parts are no nodes, but events name them.
id_of_part = ids_of("Part")


def _part_id() -> Any:
    return attribute("id", convert=id_of_part, description="Id of the part, which events name too.")


@strawberry.type(description="Text: Markdown where a model wrote it.")
class TextPart:
    __source__: ClassVar[str] = "part"
    __sources__: ClassVar[tuple[type, ...]] = (contents.TextPart,)

    part: strawberry.Private[contents.TextPart]

    id: strawberry.ID = _part_id()
    text: str = attribute("text", description="The text.")
    incomplete: bool = attribute("incomplete", description="Whether it broke off and was begun anew after it; no model is given it.")


@strawberry.type(description="What a model thought aloud before its answer.")
class ReasoningPart:
    __source__: ClassVar[str] = "part"
    __sources__: ClassVar[tuple[type, ...]] = (contents.ReasoningPart,)

    part: strawberry.Private[contents.ReasoningPart]

    id: strawberry.ID = _part_id()
    text: str = attribute("text", description="The thoughts.")
    incomplete: bool = attribute("incomplete", description="Whether they broke off and were thought anew.")


@strawberry.type(description="What PENNY itself has to say of an answer.")
class NoticePart:
    __source__: ClassVar[str] = "part"
    __sources__: ClassVar[tuple[type, ...]] = (contents.NoticePart,)

    part: strawberry.Private[contents.NoticePart]

    id: strawberry.ID = _part_id()
    kind: str = attribute("kind", description="What the notice is about, for programs.")
    text: str = attribute("text", description="One sentence for people.")


async def _covers(operation: Operation, parts: Sequence[contents.SummaryPart], needed: Columns | None) -> list[Row | None]:
    return await messages.visible_by_ids(operation, [part.covers_through for part in parts], needed)


@strawberry.type(description="What was said up to a message, in short: models are given it in place of all that it covers.")
class SummaryPart:
    __source__: ClassVar[str] = "part"
    __sources__: ClassVar[tuple[type, ...]] = (contents.SummaryPart,)

    part: strawberry.Private[contents.SummaryPart]

    id: strawberry.ID = _part_id()
    text: str = attribute("text", description="The summary.")
    covers_through: "Message | None" = batch(_covers, needs=None, description="The last message that it covers.")
    tokens_saved: int = attribute("tokens_saved", description="How many tokens less a model is given for it, as an estimate.")


MessagePart: TypeAlias = Annotated[
    TextPart | ReasoningPart | NoticePart | SummaryPart, strawberry.union("MessagePart", description="One part of what a message says.")
]


async def _children(
    operation: Operation, rows: Sequence[Row], needed: Columns | None, first: First = None, after: After = None
) -> list[Page | Exception]:
    return await messages.children(operation, rows, asked(operation, first=first, after=after), columns=needed)


@strawberry.type(description="Something said in a chat. Messages form a tree: the branch from the first one to a leaf is a conversation.")
class Message(Node):
    chat: Annotated["Chat", strawberry.lazy("schema.chats")] = link("chat_by_id", column="chat_id", description="The chat it belongs to.")
    role: MessageRole = column("role", convert=MessageRole, description="Who speaks.")
    author: Principal | None = visible(
        users.visible_by_ids,
        column="author_id",
        description="Who wrote it; null for a model's answer, and where the author has left or you may not see the tenant's members.",
    )
    parent: "Message | None" = link("message_by_id", column="parent_id", description="The message it follows; null for the first one.")
    children: "Connection[Message]" = batch(
        _children, needs=["id"], scopes=[], multipliers=["first"], description="The messages that directly follow it, the oldest first."
    )
    siblings: "list[Message]" = batch(
        messages.siblings,
        needs=["id", "parent_id", "chat_id"],
        scopes=[],
        description="The messages that follow the same parent or begin the chat as this one does, itself among them, the oldest first.",
    )
    sibling_index: int = batch(
        messages.sibling_indexes,
        needs=["id", "parent_id", "chat_id"],
        scopes=[],
        description="Where this one stands among its siblings, from 0.",
    )
    usage: Annotated["UsageTotals", strawberry.lazy("schema.usage")] | None = link(
        "run_by_id", column="run_id", description="What the run used that makes or made it; null for what a person wrote."
    )
    token_count: int | None = batch(
        messages.token_counts,
        needs=["id", "content"],
        description="How much of a context it takes, by the rule of thumb of four bytes a token; null where it says nothing to a model.",
    )
    parts: list[MessagePart] = batch(messages.parts, needs=["id", "content"], scopes=[], common=True, description="What it says, in order.")
    created_at: datetime = column("created_at", description="When it was begun.")
    edited_at: datetime | None = column(
        "edited_at", description="When somebody said with it in another way what a sibling says; null for what was said at first."
    )
    redacted_at: datetime | None = column("redacted_at", description="When its content was taken away; null where it is there.")
    redacted_by: Principal | None = visible(
        users.visible_by_ids,
        column="redacted_by",
        description="Who took its content away; null where they have left or you may not see the tenant's members.",
    )
    feedback: Feedback | None = batch(
        own_feedback, needs=["id"], scopes=["chats:read"], description="What you think of it; null until you say so."
    )
    status: MessageStatus = column("status", convert=MessageStatus, description="How far it has come.")
    run: Annotated["Run", strawberry.lazy("schema.runs")] | None = link(
        "run_by_id", column="run_id", description="The run that makes or made it; null for what a person wrote."
    )
    model: Annotated["Model", strawberry.lazy("schema.models")] | None = batch(
        models.of_messages,
        needs=["run_id", "model_id"],
        description="The model that was chosen to answer, or else the one that was asked, by default or by a policy; null until then, "
        "for a person's words, and where it is gone or you may not see models.",
    )
    preferred: bool = column("preferred", description="Whether somebody preferred this answer to its siblings.")
    revision: int = column("revision", description="Counts the edits that were made of it, for `expectedRevision`.")

    @classmethod
    async def find(cls, operation: Operation, id: UUID, columns: Columns | None = None) -> Self | None:
        return cls.of(await messages.by_id(operation, id, columns))


@strawberry.input(one_of=True, description="One part of what you say: exactly one field is given.")
class PartInput:
    text: str | None = strawberry.field(description="Text, in Markdown if you like.", default=strawberry.UNSET)


def texts_of(parts: Sequence[PartInput]) -> list[str]:
    """Return the texts of the parts; text is all that a part may be."""
    return [part.text or "" for part in parts]


MODEL_IDS: Final = (
    "The models that answer side by side, each in an answer of its own; the chat goes on from the first one's. Without this, the default "
    "one answers. At least one, and at most 4 unless the operator says otherwise."
)


def models_of(ids: Sequence[strawberry.ID] | None, *within: str) -> list[UUID]:
    """Read the ids of models, `within` an input's fields; raises `Invalid` for a list of none, which would be answered by none."""
    path = (*within, "modelIds")
    if ids is not None and not ids:
        raise Invalid("Choose a model, or leave `modelIds` out.", path=path, constraint="min_items=1")
    return [local_id(one, "Model", path=path) for one in ids or ()]


def policy_of(id: strawberry.ID | None) -> UUID | None:
    """Read the id of a routing policy."""
    return None if id is None else local_id(id, "RoutingPolicy", path=["routingPolicyId"])


def runs_of(sent: Sent) -> Any:
    """Dress the runs that were begun."""
    return [kinds()["Run"](row=run) for run in sent.runs]


@strawberry.enum(description="What to do with a message when its chat is being answered.")
class BusyMode(enum.Enum):
    REJECT = strawberry.enum_value("REJECT", description="Refuse it, and name the run that answers.")
    QUEUE = strawberry.enum_value(
        "QUEUE", description="Answer it when the answers before it have ended; without `parentMessageId` it follows the last of them."
    )
    STEER = strawberry.enum_value(
        "STEER", description="Let the answer that is being made end at the end of its sentence, keep what was said, and go on with this."
    )
    CANCEL_CURRENT = strawberry.enum_value(
        "CANCEL_CURRENT", description="Stop the answer that is being made, keep what was said, and answer this."
    )


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
    assistant_version_id: strawberry.ID | None = strawberry.field(
        description="The version of an assistant that answers this message, in place of the chat's: a released one of an assistant that "
        "you may use, or a draft of one that you may edit. What follows in the chat is answered by the chat's again.",
        default=None,
    )
    model_ids: list[strawberry.ID] | None = strawberry.field(description=MODEL_IDS, default=None)
    routing_policy_id: strawberry.ID | None = strawberry.field(
        description="How models are asked and failures are followed; without it, each model where it is found first.", default=None
    )
    max_output_tokens: int | None = strawberry.field(
        description="Longest answer, in tokens; without it, and at most, what the model's settings allow.", default=None
    )
    if_busy: BusyMode = strawberry.field(
        description="What to do when the chat is being answered. Runs that wait keep their place in any case.", default=BusyMode.REJECT
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
    parent, version = input.parent_message_id, input.assistant_version_id
    draft = Draft(
        texts=texts_of(input.content),
        parent_id=None if parent is None else local_id(parent, "Message", path=["parentMessageId"]),
        assistant_version_id=None if version is None else local_id(version, "AssistantVersion", path=["assistantVersionId"]),
        max_output_tokens=input.max_output_tokens,
        background=input.background,
        model_ids=models_of(input.model_ids),
        routing_policy_id=policy_of(input.routing_policy_id),
        if_busy=Busy(name_of(input.if_busy)),
    )
    sent = await messages.send(info.context, chat_id, draft, key=input.idempotency_key)
    return MessageSendPayload(message=Message.of(sent.message), runs=runs_of(sent), reused=sent.reused)


@strawberry.type
class Mutation:
    message_send: MessageSendPayload = mutation(
        _send,
        payload=MessageSendPayload,
        scopes=["chats:write"],
        emits=[MessageCompleted, MessageCreated, RunCancelled, RunQueued],
        description="Say something in a chat, and have it answered. Returns at once: the run goes on by itself.",
    )
