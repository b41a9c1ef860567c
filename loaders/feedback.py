"""Questions about what people think of answers."""

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from db.scopes import Reading, Row
from db.statements import feedback
from db.statements.projections import Columns


class FeedbackKey(NamedTuple):
    """An answer, and who has an opinion on it."""

    message_id: UUID
    user_id: UUID


async def feedback_by_message(
    scope: Reading,
    tenant_id: UUID,
    keys: list[FeedbackKey],
    columns: Columns | None = None,  # noqa: ARG001 - a question's arguments
) -> Mapping[FeedbackKey, Row]:
    return {FeedbackKey(row["message_id"], row["user_id"]): row for row in await feedback.by_messages(scope, tenant_id, keys)}
