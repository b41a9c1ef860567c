"""Statements over chats and their idempotency keys."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from piccolo.querystring import QueryString

from db.scopes import Reading, Row, Writing
from db.statements.edges import EARLIEST, FIRST_ID, LAST_ID, LATEST
from db.statements.projections import Columns, Projection
from db.tables.chats import Chat

ROW: Final = Chat.all_columns()
# Whose a chat is that is still being made, in several transactions: no person has this id, so nobody sees it.
NOBODY: Final = UUID(int=0)
# What `can_read_chat` says of a row, for statements that look through many chats: the chat's alias, and the parameter of the reader.
# The function penny.nearest_messages says it too.
READABLE: Final = (
    "({chat}.owner_id = {reader} OR {chat}.visibility = 'TENANT'"
    " OR ({chat}.visibility <> 'PRIVATE' AND {reader} = ANY ({chat}.participant_ids)))"
)


async def create(scope: Writing, chat: Chat) -> Row:
    row = await scope.row(Chat.insert(chat).returning(*ROW))
    assert row is not None
    return row


async def by_id(scope: Reading, tenant_id: UUID, chat_id: UUID) -> Row | None:
    return await scope.row("SELECT * FROM penny.chats WHERE tenant_id = $1 AND id = $2", tenant_id, chat_id)


_BY_IDS: Final = Projection("SELECT {columns} FROM penny.chats WHERE tenant_id = $1 AND id = ANY($2::uuid[])", Chat, always=("id",))


async def by_ids(scope: Reading, tenant_id: UUID, chat_ids: Sequence[UUID], columns: Columns | None = None) -> list[Row]:
    return await scope.rows(_BY_IDS.text(columns), tenant_id, list(chat_ids))


async def locked(scope: Writing, tenant_id: UUID, chat_id: UUID) -> Row | None:
    """Read a chat and keep it from other writers until the scope ends."""
    return await scope.row("SELECT * FROM penny.chats WHERE tenant_id = $1 AND id = $2 FOR UPDATE", tenant_id, chat_id)


async def locked_all(scope: Writing, tenant_id: UUID, chat_ids: Collection[UUID]) -> None:
    """Keep chats from other writers until the scope ends, the oldest first, as all do who lock several."""
    await scope.rows(
        "SELECT FROM penny.chats WHERE tenant_id = $1 AND id = ANY($2::uuid[]) ORDER BY id FOR UPDATE", tenant_id, list(chat_ids)
    )


async def kept(scope: Writing, tenant_id: UUID, chat_id: UUID) -> Row | None:
    """Read a chat and let nobody change it until the scope ends, though others may read it in the same way."""
    return await scope.row("SELECT * FROM penny.chats WHERE tenant_id = $1 AND id = $2 FOR SHARE", tenant_id, chat_id)


async def change(scope: Writing, tenant_id: UUID, chat_id: UUID, values: Mapping[Any, Any]) -> Row | None:
    """Change columns of a chat and count its revision up."""
    query = Chat.update({**values, Chat.revision: Chat.revision + 1, Chat.updated_at: QueryString("now()")})
    return await scope.row(query.where(Chat.tenant_id == tenant_id).where(Chat.id == chat_id).returning(*ROW))


async def settle(scope: Writing, tenant_id: UUID, chat_id: UUID, values: Mapping[Any, Any]) -> Row | None:
    """Write the columns that make a chat of nobody somebody's."""
    return await scope.row(Chat.update(dict(values)).where(Chat.tenant_id == tenant_id).where(Chat.id == chat_id).returning(*ROW))


async def move_head(scope: Writing, tenant_id: UUID, chat_id: UUID, message_id: UUID) -> None:
    """Let a chat continue from this message."""
    await scope.run(
        "UPDATE penny.chats SET head_message_id = $3, updated_at = now() WHERE tenant_id = $1 AND id = $2", tenant_id, chat_id, message_id
    )


async def title(scope: Writing, tenant_id: UUID, chat_id: UUID, title: bytes | None, *, question_id: UUID) -> None:
    """Give a chat the title that a model made of a question; unlike what a person changes, it brings the chat to the front of no list."""
    await scope.run(
        """
        UPDATE penny.chats SET title = $3, titled_by = 'MODEL', titled_from_id = $4, revision = revision + 1
        WHERE tenant_id = $1 AND id = $2
        """,
        tenant_id,
        chat_id,
        title,
        question_id,
    )


async def titled_from(scope: Reading, tenant_id: UUID, question_ids: Sequence[UUID]) -> list[UUID]:
    """Find the chats that are called what a model made of these questions."""
    rows = await scope.rows(
        "SELECT id FROM penny.chats WHERE tenant_id = $1 AND titled_from_id = ANY ($2::uuid[])", tenant_id, list(question_ids)
    )
    return [row["id"] for row in rows]


async def forget_titles(scope: Writing, tenant_id: UUID, question_ids: Sequence[UUID]) -> list[Row]:
    """Take away the titles that a model made of these questions; the chats, which may be titled anew, are returned."""
    return await scope.rows(
        """
        UPDATE penny.chats SET title = NULL, titled_by = NULL, titled_from_id = NULL, revision = revision + 1
        WHERE tenant_id = $1 AND titled_from_id = ANY ($2::uuid[]) RETURNING id
        """,
        tenant_id,
        list(question_ids),
    )


async def is_untitled(scope: Reading, tenant_id: UUID, chat_id: UUID) -> bool:
    """Whether nobody has said yet what a chat is called, not even that it has no title."""
    statement = "SELECT EXISTS (SELECT 1 FROM penny.chats WHERE tenant_id = $1 AND id = $2 AND title IS NULL AND titled_by IS NULL)"
    return bool(await scope.value(statement, tenant_id, chat_id))


async def delete(scope: Writing, tenant_id: UUID, chat_id: UUID) -> bool:
    return await scope.run("DELETE FROM penny.chats WHERE tenant_id = $1 AND id = $2", tenant_id, chat_id) == 1


# Each kind of page has a partial index of its own, whose order it is.
_OWN: Final = """
    SELECT {{columns}} FROM penny.chats
    WHERE tenant_id = $1 AND owner_id = $2 AND archived_at IS {archived} {pinned} {assisted}
      AND (updated_at, id) {beyond} ($3, $4) AND updated_at >= $5 AND updated_at < $6
    ORDER BY updated_at {order}, id {order} LIMIT $7
"""
# What is shown to the tenant and what is shared with the user are two indexes: each gives a page, and the two are one.
_SHOWN: Final = """
    SELECT {{columns}} FROM (
        (SELECT * FROM penny.chats
         WHERE tenant_id = $1 AND visibility = 'TENANT' AND owner_id <> $2 AND archived_at IS {archived}
           AND (updated_at, id) {beyond} ($3, $4) AND updated_at >= $5 AND updated_at < $6
         ORDER BY updated_at {order}, id {order} LIMIT $7)
        UNION ALL
        (SELECT c.* FROM penny.chat_participants p JOIN penny.chats c ON c.tenant_id = $1 AND c.id = p.chat_id
         WHERE p.tenant_id = $1 AND p.user_id = $2 AND p.chat_shared AND {participant_archived} p.chat_archived
           AND (p.chat_updated_at, p.chat_id) {beyond} ($3, $4) AND p.chat_updated_at >= $5 AND p.chat_updated_at < $6
         ORDER BY p.chat_updated_at {order}, p.chat_id {order} LIMIT $7)
    ) chat
    ORDER BY updated_at {order}, id {order} LIMIT $7
"""
_WHOSE: Final = {
    "own": (_OWN, ""),
    "pinned": (_OWN, "AND pinned_at IS NOT NULL"),
    "not pinned": (_OWN, "AND pinned_at IS NULL"),
    "shown": (_SHOWN, ""),
}
_ASSISTED: Final = "AND assistant_id = $8"
_KEPT: Final = {
    "here": {"archived": "NULL", "participant_archived": "NOT"},
    "archived": {"archived": "NOT NULL", "participant_archived": ""},
}
_NEWEST: Final = {"beyond": "<", "order": "DESC"}
_OLDEST: Final = {"beyond": ">", "order": "ASC"}
_PAGES: Final = {
    (whose, kept, newest_first, assisted): Projection(
        statement.format(pinned=pinned, assisted=_ASSISTED if assisted else "", **_KEPT[kept], **(_NEWEST if newest_first else _OLDEST)),
        Chat,
        always=("id", "updated_at"),
    )
    for whose, (statement, pinned) in _WHOSE.items()
    for kept in _KEPT
    for newest_first in (True, False)
    for assisted in (True, False)
    if not (assisted and statement is _SHOWN)
}


async def page(  # noqa: PLR0913 - the filters of the list
    scope: Reading,
    tenant_id: UUID,
    user_id: UUID,
    *,
    whose: str,
    archived: bool,
    newest_first: bool,
    beyond: tuple[datetime, UUID] | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    assistant_id: UUID | None = None,
    columns: Columns | None = None,
) -> list[Row]:
    """Read a page of the user's own chats (`own`, or only those that are `pinned` or `not pinned`), by last change.

    `shown` are those that others show to the tenant or share with the user; only one's own are read by their assistant.
    """
    statement = _PAGES[whose, "archived" if archived else "here", newest_first, assistant_id is not None].text(columns)
    at, chat_id = beyond or ((LATEST, LAST_ID) if newest_first else (EARLIEST, FIRST_ID))
    more = () if assistant_id is None else (assistant_id,)
    return await scope.rows(statement, tenant_id, user_id, at, chat_id, since or EARLIEST, until or LATEST, limit, *more)
