"""Participants: the people whom a chat is shared with, and adding and removing them."""

import enum
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Self
from uuid import UUID

import strawberry

from db.scopes import Row
from errors import Invalid
from events.facts import ChatUpdated
from loaders.pages import Page
from resolvers import participants, users
from resolvers.operations import Operation
from schema.connections import After, First, asked
from schema.errors import Payload
from schema.fields import Columns, Info, column, mutation, name_of
from schema.ids import local_id
from schema.links import link, visible
from schema.nodes import Node
from schema.users import User

if TYPE_CHECKING:
    from schema.chats import Chat


@strawberry.enum(
    description="What somebody may do in a chat, as far as their role in the tenant allows it. Each may do what those before it may."
)
class ChatRole(enum.Enum):
    VIEWER = strawberry.enum_value("VIEWER", description="Read.")
    COMMENTER = strawberry.enum_value("COMMENTER", description="Say what they think of answers.")
    EDITOR = strawberry.enum_value("EDITOR", description="Say something, have it answered, stop answers, change title and metadata.")
    OWNER = strawberry.enum_value("OWNER", description="Decide who sees it, archive, pin and delete it.")


@strawberry.type(description="Somebody whom a chat is shared with.")
class ChatParticipant(Node):
    chat: Annotated["Chat", strawberry.lazy("schema.chats")] = link("chat_by_id", column="chat_id", description="The chat.")
    user: User | None = visible(
        users.visible_by_ids, column="user_id", description="Who it is; null where you may not see the tenant's members."
    )
    role: ChatRole = column("role", convert=ChatRole, description="What they may do while the chat is not private.")
    created_at: datetime = column("created_at", description="Since when they take part.")

    @classmethod
    async def find(cls, operation: Operation, id: UUID, columns: Columns | None = None) -> Self | None:
        return cls.of(await participants.by_id(operation, id, columns))


async def participants_of_chats(
    operation: Operation, rows: Sequence[Row], needed: Columns | None, first: First = None, after: After = None
) -> list[Page | Exception]:
    """Page through the participants of each chat."""
    return await participants.pages_of_chats(operation, rows, asked(operation, first=first, after=after), columns=needed)


@strawberry.input(description="Somebody's role in a chat. The same role again changes nothing.")
class ChatParticipantSetInput:
    chat_id: strawberry.ID = strawberry.field(description="The chat. One that is private is shared from now on.")
    user_id: strawberry.ID = strawberry.field(description="A member of the tenant.")
    role: strawberry.Maybe[ChatRole | None] = strawberry.field(
        description="What they may do from now on; null takes them out. It must be given.", default=None
    )


@strawberry.type(description="Somebody's role in a chat after the change.")
class ChatParticipantSetPayload(Payload):
    participant: ChatParticipant | None = strawberry.field(description="The participant; null when they were taken out.", default=None)


async def _set(
    info: Info, input: Annotated[ChatParticipantSetInput, strawberry.argument(description="Who may do what.")]
) -> ChatParticipantSetPayload:
    if input.role is None:
        raise Invalid("Give `role`; null takes somebody out.", path=["role"], constraint="required")
    role = None if input.role.value is None else name_of(input.role.value)
    chat_id, user_id = local_id(input.chat_id, "Chat", path=["chatId"]), local_id(input.user_id, "User", path=["userId"])
    return ChatParticipantSetPayload(participant=ChatParticipant.of(await participants.put(info.context, chat_id, user_id, role)))


@strawberry.type
class Mutation:
    chat_participant_set: ChatParticipantSetPayload = mutation(
        _set,
        payload=ChatParticipantSetPayload,
        scopes=["chats:write"],
        emits=[ChatUpdated],
        description="Share a chat with somebody, change what they may do in it, or take them out. "
        "Only owners do; everybody may leave. Whoever is taken out hears nothing more of it within seconds.",
    )
