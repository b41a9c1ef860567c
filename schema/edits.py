"""Edits: something said in another way or answered again, and preferring one of several answers."""

from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from events.facts import ChatUpdated, MessageCreated, MessageUpdated, RunQueued
from resolvers import messages
from schema.errors import Payload
from schema.fields import Idempotent, Info, mutation
from schema.ids import local_id
from schema.messages import MODEL_IDS, Message, PartInput, models_of, policy_of, runs_of, texts_of
from schema.nodes import kinds

if TYPE_CHECKING:
    from schema.chats import Chat
    from schema.runs import Run


@strawberry.input(description="Something said in another way.", directives=[Idempotent()])
class MessageEditInput:
    idempotency_key: str = strawberry.field(
        description="Makes a retry safe for 24 hours: the same key with the same input edits once. 1 to 255 characters."
    )
    message_id: strawberry.ID = strawberry.field(
        description="The message, which a person wrote. It stays as it is: the edit is a sibling of it."
    )
    content: list[PartInput] = strawberry.field(description="What to say: 1 to 32 parts, together at most 131072 bytes of UTF-8.")
    rerun: bool = strawberry.field(description="Whether to have it answered.", default=True)
    expected_revision: int | None = strawberry.field(
        description="The message's revision that the edit is made of; another one is a conflict. Without it the edit is made in any case.",
        default=None,
    )


@strawberry.type(description="The edit.")
class MessageEditPayload(Payload):
    message: Message | None = strawberry.field(description="The new message.", default=None)
    runs: list[Annotated["Run", strawberry.lazy("schema.runs")]] | None = strawberry.field(
        description="The runs that answer it; none without `rerun`.", default=None
    )


async def _edit(info: Info, input: Annotated[MessageEditInput, strawberry.argument(description="The edit.")]) -> MessageEditPayload:
    sent = await messages.edit(
        info.context,
        local_id(input.message_id, "Message", path=["messageId"]),
        texts_of(input.content),
        rerun=input.rerun,
        expected_revision=input.expected_revision,
        key=input.idempotency_key,
    )
    return MessageEditPayload(message=Message.of(sent.message), runs=runs_of(sent))


@strawberry.input(description="Something to answer again.", directives=[Idempotent()])
class MessageRegenerateInput:
    idempotency_key: str = strawberry.field(
        description="Makes a retry safe for 24 hours: the same key with the same input answers again once. 1 to 255 characters."
    )
    message_id: strawberry.ID = strawberry.field(
        description="An answer, or the message that is to be answered. Answers that are there stay."
    )
    model_ids: list[strawberry.ID] | None = strawberry.field(description=MODEL_IDS, default=None)
    routing_policy_id: strawberry.ID | None = strawberry.field(
        description="How models are asked and failures are followed; without it, as it was for the answer.", default=None
    )


@strawberry.type(description="The answers that are being made.")
class MessageRegeneratePayload(Payload):
    runs: list[Annotated["Run", strawberry.lazy("schema.runs")]] | None = strawberry.field(
        description="The runs that answer: each makes a sibling of the answers that are there.", default=None
    )


async def _regenerate(
    info: Info, input: Annotated[MessageRegenerateInput, strawberry.argument(description="What to answer.")]
) -> MessageRegeneratePayload:
    message_id = local_id(input.message_id, "Message", path=["messageId"])
    policy_id = policy_of(input.routing_policy_id)
    sent = await messages.regenerate(info.context, message_id, models_of(input.model_ids), policy_id=policy_id, key=input.idempotency_key)
    return MessageRegeneratePayload(runs=runs_of(sent))


@strawberry.input(description="An answer to prefer.")
class MessagePreferInput:
    message_id: strawberry.ID = strawberry.field(description="The answer. Its siblings are not preferred any more.")


@strawberry.type(description="The answer that is preferred.")
class MessagePreferPayload(Payload):
    message: Message | None = strawberry.field(description="The answer.", default=None)
    chat: Annotated["Chat", strawberry.lazy("schema.chats")] | None = strawberry.field(
        description="Its chat, which goes on behind the answer.", default=None
    )


async def _prefer(info: Info, input: Annotated[MessagePreferInput, strawberry.argument(description="The answer.")]) -> MessagePreferPayload:
    message, chat = await messages.prefer(info.context, local_id(input.message_id, "Message", path=["messageId"]))
    dressed: Any = kinds()["Chat"](row=chat)
    return MessagePreferPayload(message=Message.of(message), chat=dressed)


@strawberry.type
class Mutation:
    message_edit: MessageEditPayload = mutation(
        _edit,
        payload=MessageEditPayload,
        scopes=["chats:write"],
        emits=[ChatUpdated, MessageCreated, RunQueued],
        description="Say something in another way: a new branch begins with the edit, and the old one stays. It is answered under "
        "the routing policy of the last answer, by the assistant's version that was chosen for it if you may use that, and no longer "
        "than it might be.",
    )
    message_regenerate: MessageRegeneratePayload = mutation(
        _regenerate,
        payload=MessageRegeneratePayload,
        scopes=["chats:write"],
        emits=[MessageCreated, RunQueued],
        description="Have something answered again, by other models if you like, under the same routing policy unless you name another. "
        "A version of an assistant that was chosen answers again, and must be yours to use. The answers that are there stay.",
    )
    message_prefer: MessagePreferPayload = mutation(
        _prefer,
        payload=MessagePreferPayload,
        scopes=["chats:write"],
        emits=[ChatUpdated, MessageUpdated],
        description="Prefer one of several answers. The chat goes on at the end of the line that continues it, unless it does so already.",
    )
