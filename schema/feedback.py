"""Feedback: what the viewer thinks of an answer."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from chat.feedback import Opinion
from db.scopes import Row
from events.facts import MessageRated
from resolvers import feedback
from resolvers.operations import Operation
from schema.errors import Payload
from schema.fields import Info, mutation
from schema.ids import local_id
from schema.nodes import kinds

if TYPE_CHECKING:
    from schema.messages import Message


@strawberry.type(description="What you think of an answer. Nobody else reads its words.")
class Feedback:
    rating: int = strawberry.field(description="1 for good, -1 for bad, 0 for neither.")
    tags: list[str] = strawberry.field(description="Words of the client's own choice for what is good or bad about it.")
    comment: str | None = strawberry.field(description="What you have to say about it.")


async def own_feedback(operation: Operation, rows: Sequence[Row], needed: object) -> list[Feedback | Exception | None]:  # noqa: ARG001 - a batch's arguments
    """Find what the viewer thinks of each message."""
    return [
        Feedback(rating=one.rating, tags=one.tags, comment=one.comment) if isinstance(one, Opinion) else one
        for one in await feedback.own(operation, rows)
    ]


@strawberry.input(description="What you think of an answer, in place of what you thought before.")
class MessageFeedbackSetInput:
    message_id: strawberry.ID = strawberry.field(description="The answer.")
    rating: int = strawberry.field(
        description="1 for good, -1 for bad, 0 for neither. 0 without tags and comment takes your feedback back."
    )
    tags: list[str] = strawberry.field(
        description="Words of your own choice for what is good or bad about it: at most 10 of 1 to 50 characters.", default_factory=list
    )
    comment: str | None = strawberry.field(description="What you have to say about it: 1 to 4000 bytes of UTF-8.", default=None)


@strawberry.type(description="The message that was rated.")
class MessageFeedbackSetPayload(Payload):
    message: Annotated["Message", strawberry.lazy("schema.messages")] | None = strawberry.field(description="The message.", default=None)


async def _set(
    info: Info, input: Annotated[MessageFeedbackSetInput, strawberry.argument(description="What you think.")]
) -> MessageFeedbackSetPayload:
    opinion = Opinion(input.rating, input.tags, input.comment)
    row = await feedback.put(info.context, local_id(input.message_id, "Message", path=["messageId"]), opinion)
    message: Any = kinds()["Message"](row=row)
    return MessageFeedbackSetPayload(message=message)


@strawberry.type
class Mutation:
    message_feedback_set: MessageFeedbackSetPayload = mutation(
        _set,
        payload=MessageFeedbackSetPayload,
        scopes=["chats:write"],
        emits=[MessageRated],
        description="Say what you think of an answer.",
    )
