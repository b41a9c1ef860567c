"""Contexts: what a model is given of a chat, and summaries that make it shorter."""

from operator import attrgetter
from typing import Annotated

import strawberry

from chat.contexts import ContextOverflow
from db.scopes import Row
from events.facts import ChatUpdated, MessageCreated, MessageUpdated
from resolvers import contexts, models
from resolvers.operations import Operation
from schema.errors import Payload, UserError, shown_as
from schema.fields import Info, computed, mutation, query
from schema.ids import local_id
from schema.jobs import Job, dressed
from schema.messages import Message
from schema.models import Model


async def _model(operation: Operation, context: "ContextWindow") -> Model | None:
    return Model.of((await models.by_ids(operation, [context.context.model_id]))[0])


@strawberry.type(
    description="What a model would be given for the next answer, in tokens: estimates, at four bytes a token and four tokens a message."
)
class ContextWindow:
    context: strawberry.Private[contexts.Context]

    model: Model | None = query(_model, public=True, description="The model; null where you may not see it.")

    @computed(description="How much it can be given beside its answer.")
    def limit_tokens(self) -> int:
        return self.context.window.limit

    @computed(description="What all of it takes: more than the limit where the oldest messages give way.")
    def used_tokens(self) -> int:
        return self.context.window.tokens

    @computed(description="What the assistant's instructions and the latest summary take of it.")
    def system_tokens(self) -> int:
        return self.context.window.system_tokens

    @computed(description="How many messages are given in their own words: those that no summary covers.")
    def message_count(self) -> int:
        return sum(one.said is not None for one in self.context.window.heard)

    @computed(
        description="A branch that takes more than this is summarised after the next answer; null where that never happens by itself."
    )
    def will_compact_at(self) -> int | None:
        return self.context.compacts_at


async def context_of_chat(
    operation: Operation,
    chat: Row,
    model: Annotated[
        strawberry.ID | None, strawberry.argument(description="A model that you can ask; without it the one that would answer.")
    ] = None,
) -> ContextWindow:
    """Say what a model would be given in a chat."""
    model_id = None if model is None else local_id(model, "Model", path=["model"])
    return ContextWindow(context=await contexts.of_chat(operation, chat, model_id))


@strawberry.type(description="A message is longer than any model that may be asked could read. Nothing was said.")
class ContextOverflowError(UserError):
    limit_tokens: int = strawberry.field(description="How much can be read beside an answer, in tokens.")
    requested_tokens: int = strawberry.field(description="How much the message takes with the assistant's instructions, by estimate.")


shown_as(
    ContextOverflow,
    ContextOverflowError,
    limit_tokens=attrgetter("limit_tokens"),
    requested_tokens=attrgetter("requested_tokens"),
)


@strawberry.input(description="A chat to compact.")
class ContextCompactInput:
    chat_id: strawberry.ID = strawberry.field(description="The chat; its branch up to the head is summarised.")


@strawberry.type(description="The summary that was begun.")
class ContextCompactPayload(Payload):
    message: Message | None = strawberry.field(
        description="A message of the role `SUMMARY`, `PENDING` until the summary is written: models are given the old messages till then.",
        default=None,
    )
    job: Job | None = strawberry.field(
        description="The job that writes it: `jobEvents` tells how far it is, and `jobCancel` stops it.", default=None
    )


async def _compact(
    info: Info, input: Annotated[ContextCompactInput, strawberry.argument(description="The chat.")]
) -> ContextCompactPayload:
    begun = await contexts.compact(info.context, local_id(input.chat_id, "Chat", path=["chatId"]))
    return ContextCompactPayload(message=Message.of(begun.summary), job=dressed(begun.job))


@strawberry.type
class Mutation:
    context_compact: ContextCompactPayload = mutation(
        _compact,
        payload=ContextCompactPayload,
        scopes=["chats:write"],
        emits=[ChatUpdated, MessageCreated, MessageUpdated],
        description="Have all but the latest messages of a chat summarised. The summary stands in the chat; what it covers stays.",
    )
