"""What a model would be given in a chat, and making it shorter."""

from typing import NamedTuple
from uuid import UUID

from chat.compactions import NEVER, Begun, compacts_at
from chat.contexts import Window
from chat.ideas import Idea
from db.scopes import Row
from resolvers.operations import Operation


class Context(NamedTuple):
    """What a model would be given for the next answer in a chat: its id, how much it could be given, and what it would be."""

    model_id: UUID
    window: Window
    compacts_at: int | None


async def of_chat(operation: Operation, chat: Row, model_id: UUID | None) -> Context:
    """Look at the branch that ends with the chat's head, as a model sees it."""
    works, idea = operation.works, Idea(chat_id=chat["id"], leaf_id=chat["head_message_id"], model_id=model_id)
    asked, given = await works.ideas.looked_at(operation.viewer, idea, operation.reads)
    is_never = works.settings.context_compact_percent == NEVER
    return Context(asked.id, given.window, None if is_never else compacts_at(given.window.limit, works.settings))


async def compact(operation: Operation, chat_id: UUID) -> Begun:
    """Begin a compaction."""
    return await operation.works.compactions.compact(operation.viewer, chat_id)
