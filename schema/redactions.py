"""Redacting a message: its content goes for good, the message stays."""

from typing import TYPE_CHECKING, Annotated, Any

import strawberry

from events.facts import ChatUpdated, MessageUpdated
from resolvers import redactions
from schema.errors import Payload
from schema.fields import Info, mutation
from schema.ids import local_id
from schema.nodes import kinds

if TYPE_CHECKING:
    from schema.messages import Message


@strawberry.input(description="A message to redact.")
class MessageRedactInput:
    message_id: strawberry.ID = strawberry.field(description="The message.")


@strawberry.type(description="The message without its content.")
class MessageRedactPayload(Payload):
    message: Annotated["Message", strawberry.lazy("schema.messages")] | None = strawberry.field(description="The message.", default=None)


async def _redact(
    info: Info, input: Annotated[MessageRedactInput, strawberry.argument(description="The message.")]
) -> MessageRedactPayload:
    message: Any = kinds()["Message"](row=await redactions.redact(info.context, local_id(input.message_id, "Message", path=["messageId"])))
    return MessageRedactPayload(message=message)


@strawberry.type
class Mutation:
    message_redact: MessageRedactPayload = mutation(
        _redact,
        payload=MessageRedactPayload,
        scopes=["chats:write"],
        emits=[ChatUpdated, MessageUpdated],
        description="Take the content of a message away for good, wherever it is kept. What follows it stays. "
        "Not while it is being made or answered: cancel first. Editors and owners do; a retry makes sure of it.",
    )
