"""What the viewer thinks of answers; nobody reads what others think."""

from collections.abc import Sequence
from uuid import UUID

from chat.feedback import Opinion, opened_opinion
from db.scopes import Row
from loaders.feedback import FeedbackKey
from resolvers.batches import each
from resolvers.operations import Operation


async def own(operation: Operation, messages: Sequence[Row]) -> list[Opinion | Exception | None]:
    """Find what the viewer thinks of each message."""
    cipher = await operation.works.keyring.cipher(operation.tenant_id)
    keys = [FeedbackKey(message["id"], operation.viewer.user_id) for message in messages]
    found = await operation.questions.feedback_by_message.load_many(keys)
    return each(lambda row: None if row is None else opened_opinion(cipher, row), found)


async def put(operation: Operation, message_id: UUID, opinion: Opinion) -> Row:
    """Keep the viewer's opinion on an answer."""
    return await operation.works.opinions.put(operation.viewer, message_id, opinion)
