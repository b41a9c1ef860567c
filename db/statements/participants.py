"""Statements over the participants of chats. A chat's own row follows by itself."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from db.scopes import Reading, Row, Writing
from db.statements.edges import FIRST_ID
from db.statements.projections import Columns, Projection
from db.tables.participants import ChatParticipant

_BY_IDS: Final = Projection(
    "SELECT {columns} FROM penny.chat_participants WHERE tenant_id = $1 AND id = ANY($2::uuid[])", ChatParticipant, always=("id",)
)


async def by_ids(scope: Reading, tenant_id: UUID, ids: Sequence[UUID], columns: Columns | None = None) -> list[Row]:
    return await scope.rows(_BY_IDS.text(columns), tenant_id, list(ids))


_PAGES_OF_CHATS: Final = Projection(
    """
    SELECT {columns} FROM unnest($2::uuid[]) AS asked (chat_id)
    CROSS JOIN LATERAL (
        SELECT * FROM penny.chat_participants p
        WHERE p.tenant_id = $1 AND p.chat_id = asked.chat_id AND p.id > $3
        ORDER BY p.id LIMIT $4
    ) participant
    ORDER BY participant.chat_id, participant.id
    """,
    ChatParticipant,
    of="participant",
    always=("id", "chat_id"),
)


async def pages_of_chats(  # noqa: PLR0913 - the arguments of a page
    scope: Reading, tenant_id: UUID, chat_ids: Sequence[UUID], *, beyond: UUID | None, limit: int, columns: Columns | None = None
) -> list[Row]:
    """Read the same page of many chats' participants at once, who came first of each chat first."""
    return await scope.rows(_PAGES_OF_CHATS.text(columns), tenant_id, list(chat_ids), beyond or FIRST_ID, limit)


async def put(scope: Writing, chat: Row, participant: ChatParticipant) -> Row:
    """Add somebody to a chat, or give them another role in it."""
    row = await scope.row(
        """
        INSERT INTO penny.chat_participants
            (tenant_id, id, chat_id, user_id, role, chat_updated_at, chat_archived, chat_shared)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (tenant_id, chat_id, user_id) DO UPDATE SET role = excluded.role
        RETURNING *
        """,
        participant.tenant_id,
        participant.id,
        participant.chat_id,
        participant.user_id,
        participant.role,
        chat["updated_at"],
        chat["archived_at"] is not None,
        chat["visibility"] == "SHARED",
    )
    assert row is not None
    return row


async def remove(scope: Writing, tenant_id: UUID, chat_id: UUID, user_id: UUID) -> bool:
    """Take somebody out of a chat; False when they were not in it."""
    statement = "DELETE FROM penny.chat_participants WHERE tenant_id = $1 AND chat_id = $2 AND user_id = $3"
    return await scope.run(statement, tenant_id, chat_id, user_id) == 1


async def lock_chats_of(scope: Writing, tenant_id: UUID, user_id: UUID) -> list[UUID]:
    """Keep the chats that are shared with somebody from other writers: whoever changes both a chat and who is in it locks it first."""
    rows = await scope.rows(
        """
        SELECT id FROM penny.chats WHERE tenant_id = $1 AND id IN (
            SELECT chat_id FROM penny.chat_participants WHERE tenant_id = $1 AND user_id = $2
        ) ORDER BY id FOR UPDATE
        """,
        tenant_id,
        user_id,
    )
    return [row["id"] for row in rows]
