"""Statements over what people think of answers."""

from collections.abc import Sequence
from uuid import UUID

from db.scopes import Reading, Row, Writing
from db.tables.feedback import Feedback


async def put(scope: Writing, feedback: Feedback) -> None:
    """Say what somebody thinks of a message, in place of what they thought before."""
    await scope.run(
        """
        INSERT INTO penny.feedback (tenant_id, message_id, user_id, rating, content) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (tenant_id, message_id, user_id) DO UPDATE SET rating = excluded.rating, content = excluded.content, updated_at = now()
        """,
        feedback.tenant_id,
        feedback.message_id,
        feedback.user_id,
        feedback.rating,
        feedback.content,
    )


async def remove(scope: Writing, tenant_id: UUID, message_id: UUID, user_id: UUID) -> None:
    await scope.run("DELETE FROM penny.feedback WHERE tenant_id = $1 AND message_id = $2 AND user_id = $3", tenant_id, message_id, user_id)


async def remove_all(scope: Writing, tenant_id: UUID, message_id: UUID) -> None:
    """Forget what everybody thinks of a message."""
    await scope.run("DELETE FROM penny.feedback WHERE tenant_id = $1 AND message_id = $2", tenant_id, message_id)


async def by_messages(scope: Reading, tenant_id: UUID, messages_and_users: Sequence[tuple[UUID, UUID]]) -> list[Row]:
    """Read what people think of messages."""
    return await scope.rows(
        """
        SELECT f.* FROM unnest($2::uuid[], $3::uuid[]) AS asked (message_id, user_id)
        JOIN penny.feedback f ON f.tenant_id = $1 AND f.message_id = asked.message_id AND f.user_id = asked.user_id
        """,
        tenant_id,
        [message_id for message_id, _ in messages_and_users],
        [user_id for _, user_id in messages_and_users],
    )
