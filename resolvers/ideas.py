"""What might be said, in chats that the viewer may read."""

from dataclasses import replace
from uuid import UUID

from chat.ideas import Idea
from errors import NotFound
from resolvers import chats, messages
from resolvers.operations import Operation


async def placed(operation: Operation, idea: Idea) -> Idea:
    """Check that the viewer may read the chat, and find after which message it goes on."""
    if idea.chat_id is None:
        return replace(idea, leaf_id=None)
    chat = await chats.by_id(operation, idea.chat_id)
    if chat is None:
        raise NotFound("There is no Chat with this id.", path=("chatId",))
    leaf_id: UUID | None = idea.leaf_id or chat["head_message_id"]
    if idea.leaf_id is not None:
        message = await messages.by_id(operation, idea.leaf_id)
        if message is None or message["chat_id"] != idea.chat_id:
            raise NotFound("There is no Message with this id in the chat.", path=("parentMessageId",))
    return replace(idea, leaf_id=leaf_id)
