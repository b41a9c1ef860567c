"""Statements over chats and their idempotency keys."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from piccolo.querystring import QueryString

from db.scopes import Reading, Row, Writing
from db.tables.chats import Chat

ROW: Final = Chat.all_columns()


async def create(scope: Writing, chat: Chat) -> Row:
    row = await scope.row(Chat.insert(chat).returning(*ROW))
    assert row is not None
    return row


async def by_id(scope: Reading, tenant_id: UUID, chat_id: UUID) -> Row | None:
    return await scope.row("SELECT * FROM penny.chats WHERE tenant_id = $1 AND id = $2", tenant_id, chat_id)


async def by_ids(scope: Reading, tenant_id: UUID, chat_ids: Sequence[UUID]) -> list[Row]:
    return await scope.rows("SELECT * FROM penny.chats WHERE tenant_id = $1 AND id = ANY($2::uuid[])", tenant_id, list(chat_ids))


async def locked(scope: Writing, tenant_id: UUID, chat_id: UUID) -> Row | None:
    """Read a chat and keep it from other writers until the scope ends."""
    return await scope.row("SELECT * FROM penny.chats WHERE tenant_id = $1 AND id = $2 FOR UPDATE", tenant_id, chat_id)


async def change(scope: Writing, tenant_id: UUID, chat_id: UUID, values: Mapping[Any, Any]) -> Row | None:
    """Change columns of a chat and count its revision up."""
    query = Chat.update({**values, Chat.revision: Chat.revision + 1, Chat.updated_at: QueryString("now()")})
    return await scope.row(query.where(Chat.tenant_id == tenant_id).where(Chat.id == chat_id).returning(*ROW))


async def move_head(scope: Writing, tenant_id: UUID, chat_id: UUID, message_id: UUID) -> None:
    """Let a chat continue from this message."""
    await scope.run(
        "UPDATE penny.chats SET head_message_id = $3, updated_at = now() WHERE tenant_id = $1 AND id = $2", tenant_id, chat_id, message_id
    )


async def delete(scope: Writing, tenant_id: UUID, chat_id: UUID) -> bool:
    return await scope.run("DELETE FROM penny.chats WHERE tenant_id = $1 AND id = $2", tenant_id, chat_id) == 1


_PAGE: Final = """
    SELECT * FROM penny.chats
    WHERE tenant_id = $1 AND {whose} AND (archived_at IS NOT NULL) = $3
      AND ($4::timestamptz IS NULL OR (updated_at, id) {beyond} ($4, $5))
      AND ($6::timestamptz IS NULL OR updated_at >= $6) AND ($7::timestamptz IS NULL OR updated_at < $7)
    ORDER BY updated_at {order}, id {order} LIMIT $8
"""
_OWN: Final = "owner_id = $2"
_SHOWN: Final = "visibility = 'TENANT' AND owner_id <> $2"
OWN_NEWEST: Final = _PAGE.format(whose=_OWN, beyond="<", order="DESC")
OWN_OLDEST: Final = _PAGE.format(whose=_OWN, beyond=">", order="ASC")
SHOWN_NEWEST: Final = _PAGE.format(whose=_SHOWN, beyond="<", order="DESC")
SHOWN_OLDEST: Final = _PAGE.format(whose=_SHOWN, beyond=">", order="ASC")


async def page(  # noqa: PLR0913 - the filters of the list
    scope: Reading,
    tenant_id: UUID,
    user_id: UUID,
    *,
    shown_by_others: bool,
    archived: bool,
    newest_first: bool,
    beyond: tuple[datetime, UUID] | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
) -> list[Row]:
    """Read a page of the user's own chats, or of those that others show to the tenant, by last change."""
    newest, oldest = (SHOWN_NEWEST, SHOWN_OLDEST) if shown_by_others else (OWN_NEWEST, OWN_OLDEST)
    at, after_id = beyond or (None, None)
    return await scope.rows(newest if newest_first else oldest, tenant_id, user_id, archived, at, after_id, since, until, limit)
