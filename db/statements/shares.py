"""Statements over the links by which chats are shown."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from db.scopes import Reading, Row, Writing
from db.statements.projections import Columns, Projection
from db.tables.shares import ChatShare

ROW: Final = ChatShare.all_columns()


async def create(scope: Writing, share: ChatShare) -> Row:
    row = await scope.row(ChatShare.insert(share).returning(*ROW))
    assert row is not None
    return row


async def by_id(scope: Reading, tenant_id: UUID, share_id: UUID) -> Row | None:
    return await scope.row("SELECT * FROM penny.chat_shares WHERE tenant_id = $1 AND id = $2", tenant_id, share_id)


_BY_IDS: Final = Projection(
    "SELECT {columns} FROM penny.chat_shares WHERE tenant_id = $1 AND id = ANY($2::uuid[])",
    ChatShare,
    always=("id",),
    without=("token_hash",),
)
_BY_CHATS: Final = Projection(
    "SELECT {columns} FROM penny.chat_shares WHERE tenant_id = $1 AND chat_id = ANY($2::uuid[]) ORDER BY chat_id, id",
    ChatShare,
    always=("id", "chat_id"),
    without=("token_hash",),
)


async def by_ids(scope: Reading, tenant_id: UUID, share_ids: Sequence[UUID], columns: Columns | None = None) -> list[Row]:
    return await scope.rows(_BY_IDS.text(columns), tenant_id, list(share_ids))


async def by_chats(scope: Reading, tenant_id: UUID, chat_ids: Sequence[UUID], columns: Columns | None = None) -> list[Row]:
    """Read the links to chats, the oldest of each chat first."""
    return await scope.rows(_BY_CHATS.text(columns), tenant_id, list(chat_ids))


async def count_of_chat(scope: Reading, tenant_id: UUID, chat_id: UUID) -> int:
    """Count the links to a chat, those included that show nothing any more."""
    return int(str(await scope.value("SELECT count(*) FROM penny.chat_shares WHERE tenant_id = $1 AND chat_id = $2", tenant_id, chat_id)))


async def by_token(scope: Reading, tenant_id: UUID, token_hash: bytes) -> Row | None:
    """Find the link that a token belongs to."""
    return await scope.row("SELECT * FROM penny.chat_shares WHERE tenant_id = $1 AND token_hash = $2", tenant_id, token_hash)


async def revoke(scope: Writing, tenant_id: UUID, share_id: UUID) -> Row | None:
    """End a link; one that was ended before stays as it is, and is `revoked_before`."""
    return await scope.row(
        """
        UPDATE penny.chat_shares SET revoked_at = coalesce(revoked_at, now())
        WHERE tenant_id = $1 AND id = $2 RETURNING *, old.revoked_at IS NOT NULL AS revoked_before
        """,
        tenant_id,
        share_id,
    )


async def tell_expiry(scope: Writing, tenant_id: UUID, share_id: UUID) -> Row | None:
    """Note that it is told in this transaction that a link has expired, once; None where it was told, or the link revoked before."""
    return await scope.row(
        """
        UPDATE penny.chat_shares SET expiry_told_at = now()
        WHERE tenant_id = $1 AND id = $2 AND expiry_told_at IS NULL AND revoked_at IS NULL RETURNING *
        """,
        tenant_id,
        share_id,
    )


async def count_view(scope: Writing, tenant_id: UUID, share_id: UUID) -> None:
    """Count one more view."""
    await scope.run("UPDATE penny.chat_shares SET view_count = view_count + 1 WHERE tenant_id = $1 AND id = $2", tenant_id, share_id)


async def forget_titles(scope: Writing, tenant_id: UUID, question_ids: Sequence[UUID]) -> None:
    """Take the titles away that a model made of these questions, and that links keep of the time when they were made."""
    await scope.run(
        """
        UPDATE penny.chat_shares SET title = NULL, titled_from_id = NULL WHERE tenant_id = $1 AND titled_from_id = ANY ($2::uuid[])
        """,
        tenant_id,
        list(question_ids),
    )
