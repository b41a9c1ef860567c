"""Statements over messages. A page of a branch costs what the page holds, however long the chat is and however often it forked."""

from collections.abc import Sequence
from typing import Final, cast
from uuid import UUID

from db.scopes import Reading, Row, Writing
from db.statements.edges import FIRST_ID
from db.statements.projections import Columns, Projection
from db.tables.chats import Message

ROW: Final = Message.all_columns()


async def create(scope: Writing, *messages: Message) -> list[Row]:
    """Write messages; they come back in the order given."""
    return await scope.rows(Message.insert(*messages).returning(*ROW))


async def by_id(scope: Reading, tenant_id: UUID, message_id: UUID) -> Row | None:
    return await scope.row("SELECT * FROM penny.messages WHERE tenant_id = $1 AND id = $2", tenant_id, message_id)


_BY_IDS: Final = Projection("SELECT {columns} FROM penny.messages WHERE tenant_id = $1 AND id = ANY($2::uuid[])", Message, always=("id",))


async def by_ids(scope: Reading, tenant_id: UUID, message_ids: Sequence[UUID], columns: Columns | None = None) -> list[Row]:
    return await scope.rows(_BY_IDS.text(columns), tenant_id, list(message_ids))


async def taken(scope: Reading, tenant_id: UUID, branch_id: UUID, depth: int) -> bool:
    """Whether a branch has a message at this depth."""
    statement = "SELECT EXISTS (SELECT 1 FROM penny.messages WHERE tenant_id = $1 AND branch_id = $2 AND depth = $3)"
    return bool(await scope.value(statement, tenant_id, branch_id, depth))


_BY_PARENTS: Final = Projection(
    "SELECT {columns} FROM penny.messages WHERE tenant_id = $1 AND parent_id = ANY($2::uuid[]) ORDER BY parent_id, id",
    Message,
    always=("id", "parent_id"),
)


async def by_parents(scope: Reading, tenant_id: UUID, parent_ids: Sequence[UUID], columns: Columns | None = None) -> list[Row]:
    """Read the direct answers to messages, oldest first."""
    return await scope.rows(_BY_PARENTS.text(columns), tenant_id, list(parent_ids))


# From the leaf upwards: depths on a path have no gaps, so the page's own are known beforehand, jumps lead to the piece that holds the
# lowest of them, and the walk ends at the piece that holds the topmost. Roles leave gaps: then the walk goes to the path's other end.
# PostgreSQL carries no column of the inner SELECTs up that the outermost does not name.
_PAGES: Final = """
    SELECT asked.ordinal, {{columns}}
    FROM unnest($2::uuid[], $3::uuid[]) WITH ORDINALITY AS asked (chat_id, leaf_id, ordinal)
    JOIN penny.messages leaf ON leaf.tenant_id = $1 AND leaf.id = asked.leaf_id AND leaf.chat_id = asked.chat_id
    CROSS JOIN LATERAL (SELECT {bounds}) AS page (first, last)
    CROSS JOIN LATERAL (
        WITH RECURSIVE piece AS (
            SELECT b.id, b.parent_branch_id, b.fork_depth, b.jump_branch_id, b.jump_fork_depth, page.last
            FROM penny.branches b WHERE b.tenant_id = $1 AND b.id = leaf.branch_id
            UNION ALL
            SELECT b.id, b.parent_branch_id, b.fork_depth, b.jump_branch_id, b.jump_fork_depth, least(piece.last, piece.fork_depth)
            FROM piece
            JOIN penny.branches b ON b.tenant_id = $1
                AND b.id = CASE WHEN piece.jump_fork_depth >= piece.last THEN piece.jump_branch_id ELSE piece.parent_branch_id END
            WHERE least(piece.last, piece.fork_depth) >= page.first
        )
        SELECT found.* FROM piece
        CROSS JOIN LATERAL (
            SELECT * FROM penny.messages m
            WHERE m.tenant_id = $1 AND m.branch_id = piece.id AND m.depth > piece.fork_depth
              AND m.depth >= page.first AND m.depth <= piece.last AND ($6::text[] IS NULL OR m.role = ANY($6))
            ORDER BY m.depth {order} LIMIT $7
        ) found
        WHERE piece.fork_depth < piece.last
        ORDER BY found.depth {order} LIMIT $7
    ) message
    ORDER BY asked.ordinal, message.depth {order}
"""
_OLDEST_FIRST: Final = """
    $4::int + 1, least(leaf.depth, $5::int - 1, CASE WHEN $6::text[] IS NULL THEN $4::int + $7::int ELSE leaf.depth END)
"""
_NEWEST_FIRST: Final = """
    greatest($4::int + 1, CASE WHEN $6::text[] IS NULL THEN least(leaf.depth, $5::int - 1) - $7::int + 1 ELSE 0 END),
    least(leaf.depth, $5::int - 1)
"""
_FIRST, _LAST = (
    Projection(_PAGES.format(order=order, bounds=bounds), Message, of="message", always=("depth",))
    for order, bounds in (("ASC", _OLDEST_FIRST), ("DESC", _NEWEST_FIRST))
)


async def pages_of_branches(  # noqa: PLR0913 - the arguments of a page
    scope: Reading,
    tenant_id: UUID,
    chats_and_leaves: Sequence[tuple[UUID, UUID]],
    *,
    newest_first: bool,
    above: int,
    below: int,
    roles: Sequence[str] | None,
    limit: int,
    columns: Columns | None = None,
) -> dict[tuple[UUID, UUID], list[Row]]:
    """Read the same page of many branches at once: from each leaf towards the root, depths in (`above`, `below`)."""
    rows = await scope.rows(
        (_LAST if newest_first else _FIRST).text(columns),
        tenant_id,
        [chat_id for chat_id, _ in chats_and_leaves],
        [leaf_id for _, leaf_id in chats_and_leaves],
        above,
        below,
        None if roles is None else list(roles),
        limit,
    )
    # By place and not by key: a page of many branches has thousands of rows.
    pages: list[list[Row]] = [[] for _ in chats_and_leaves]
    for row in rows:
        pages[row["ordinal"] - 1].append(row)
    return {branch: page for branch, page in zip(chats_and_leaves, pages, strict=True) if page}


async def page_of_chat(scope: Reading, tenant_id: UUID, chat_id: UUID, *, beyond: UUID | None, limit: int) -> list[Row]:
    """Read a page of all messages of a chat, whatever branch they are on, in the order of their ids."""
    statement = "SELECT * FROM penny.messages WHERE tenant_id = $1 AND chat_id = $2 AND id > $3 ORDER BY id LIMIT $4"
    return await scope.rows(statement, tenant_id, chat_id, beyond or FIRST_ID, limit)


async def save_answer(scope: Writing, tenant_id: UUID, message_id: UUID, *, content: bytes, status: str) -> None:
    """Write what has been said of an answer so far."""
    await scope.run(
        "UPDATE penny.messages SET content = $3, status = $4 WHERE tenant_id = $1 AND id = $2", tenant_id, message_id, content, status
    )


async def mark(scope: Writing, tenant_id: UUID, message_id: UUID, *, status: str) -> bytes:
    """Change a message's status and leave its content alone, which is returned."""
    statement = "UPDATE penny.messages SET status = $3 WHERE tenant_id = $1 AND id = $2 RETURNING content"
    return cast("bytes", await scope.value(statement, tenant_id, message_id, status))


async def redact(scope: Writing, tenant_id: UUID, message_id: UUID, *, content: bytes, by: UUID) -> Row | None:
    """Put something else in the place of a message's content, once; None when that was done before."""
    return await scope.row(
        """
        UPDATE penny.messages SET content = $3, status = 'REDACTED', redacted_at = now(), redacted_by = $4
        WHERE tenant_id = $1 AND id = $2 AND status <> 'REDACTED' RETURNING *
        """,
        tenant_id,
        message_id,
        content,
        by,
    )


async def copy(  # noqa: PLR0913 - from where to where, column by column
    scope: Writing,
    tenant_id: UUID,
    chat_id: UUID,
    branch_id: UUID,
    *,
    originals: Sequence[UUID],
    ids: Sequence[UUID],
    parents: Sequence[UUID | None],
    statuses: Sequence[str],
    contents: Sequence[bytes],
) -> None:
    """Say messages again on a branch of another chat, as deep as they are; their contents are encrypted for the copies."""
    await scope.run(
        """
        INSERT INTO penny.messages (
            tenant_id, id, chat_id, branch_id, depth, parent_id, role, author_id, status, content, model_id, created_at, edited_at,
            redacted_at, redacted_by, copied_from_id
        )
        SELECT m.tenant_id, copy.id, $2, $3, m.depth, copy.parent_id, m.role, m.author_id, copy.status, copy.content, m.model_id,
            m.created_at, m.edited_at, m.redacted_at, m.redacted_by, m.id
        FROM unnest($4::uuid[], $5::uuid[], $6::uuid[], $7::text[], $8::bytea[]) AS copy (original_id, id, parent_id, status, content)
        JOIN penny.messages m ON m.tenant_id = $1 AND m.id = copy.original_id
        """,
        tenant_id,
        chat_id,
        branch_id,
        list(originals),
        list(ids),
        list(parents),
        list(statuses),
        list(contents),
    )


async def copies_to_redact(scope: Reading, tenant_id: UUID, branch_id: UUID) -> list[Row]:
    """Find the copies on a branch that still say what was redacted meanwhile, and who redacted that."""
    return await scope.rows(
        """
        SELECT copy.id, m.redacted_by FROM penny.messages copy
        JOIN penny.messages m ON m.tenant_id = $1 AND m.id = copy.copied_from_id AND m.status = 'REDACTED'
        WHERE copy.tenant_id = $1 AND copy.branch_id = $2 AND copy.status <> 'REDACTED' ORDER BY copy.depth
        """,
        tenant_id,
        branch_id,
    )


async def count_of_branch(scope: Reading, tenant_id: UUID, branch_id: UUID) -> int:
    """Count the messages of a branch."""
    statement = "SELECT count(*) FROM penny.messages WHERE tenant_id = $1 AND branch_id = $2"
    return int(str(await scope.value(statement, tenant_id, branch_id)))


async def delete_newest(scope: Writing, tenant_id: UUID, chat_id: UUID, limit: int) -> int:
    """Take away some messages of a chat, the newest first, and return how many."""
    return await scope.run(
        """
        WITH newest AS (SELECT id FROM penny.messages WHERE tenant_id = $1 AND chat_id = $2 ORDER BY id DESC LIMIT $3)
        DELETE FROM penny.messages WHERE tenant_id = $1 AND id IN (SELECT id FROM newest)
        """,
        tenant_id,
        chat_id,
        limit,
    )


async def summaries_after(scope: Reading, tenant_id: UUID, chat_id: UUID, depth: int) -> list[Row]:
    """Find the summaries of a chat, on whatever branch, that may hold something of a message at this depth."""
    statement = "SELECT * FROM penny.messages WHERE tenant_id = $1 AND chat_id = $2 AND role = 'SUMMARY' AND depth > $3 ORDER BY id"
    return await scope.rows(statement, tenant_id, chat_id, depth)


async def count_up(scope: Writing, tenant_id: UUID, message_id: UUID, expected_revision: int | None) -> int | None:
    """Count a message's revision up; None where it is another one than expected."""
    found = await scope.value(
        """
        UPDATE penny.messages SET revision = revision + 1
        WHERE tenant_id = $1 AND id = $2 AND ($3::int IS NULL OR revision = $3) RETURNING revision
        """,
        tenant_id,
        message_id,
        expected_revision,
    )
    return None if found is None else int(str(found))


async def prefer(scope: Writing, tenant_id: UUID, message_id: UUID, parent_id: UUID | None) -> None:
    """Prefer a message to its siblings."""
    await scope.run(
        """
        UPDATE penny.messages SET preferred = (id = $2)
        WHERE tenant_id = $1 AND (id = $2 OR parent_id = $3) AND preferred IS DISTINCT FROM (id = $2)
        """,
        tenant_id,
        message_id,
        parent_id,
    )


async def last_of_branch(scope: Reading, tenant_id: UUID, branch_id: UUID) -> UUID:
    """Find the end of a branch's line."""
    statement = "SELECT id FROM penny.messages WHERE tenant_id = $1 AND branch_id = $2 ORDER BY depth DESC LIMIT 1"
    found = await scope.row(statement, tenant_id, branch_id)
    assert found is not None, "a branch begins with a message"
    message_id: UUID = found["id"]
    return message_id


_FIRST_OF_CHATS: Final = Projection(
    "SELECT {columns} FROM penny.messages WHERE tenant_id = $1 AND chat_id = ANY($2::uuid[]) AND parent_id IS NULL ORDER BY chat_id, id",
    Message,
    always=("id", "chat_id"),
)


async def first_of_chats(scope: Reading, tenant_id: UUID, chat_ids: Sequence[UUID], columns: Columns | None = None) -> list[Row]:
    """Read the messages that chats begin with, oldest first: an edit of the first one is another."""
    return await scope.rows(_FIRST_OF_CHATS.text(columns), tenant_id, list(chat_ids))


async def copies_of(scope: Reading, tenant_id: UUID, message_id: UUID) -> list[Row]:
    """Find the copies of a message in forks, the answers that begin with it, and what was copied from those, with their chats and runs."""
    return await scope.rows(
        """
        WITH RECURSIVE copy AS (
            SELECT m.id, m.chat_id, m.parent_id, m.run_id FROM penny.messages m WHERE m.tenant_id = $1 AND m.copied_from_id = $2
            UNION ALL
            SELECT m.id, m.chat_id, m.parent_id, m.run_id FROM copy JOIN penny.messages m ON m.tenant_id = $1 AND m.copied_from_id = copy.id
        )
        SELECT id, chat_id, parent_id, run_id FROM copy ORDER BY id
        """,
        tenant_id,
        message_id,
    )
