"""Statements over branches, the straight pieces of a chat's tree."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from db.scopes import Reading, Row, Writing
from db.statements.edges import LAST_ID
from db.tables.chats import Branch


async def create(scope: Writing, branch: Branch) -> None:
    await scope.run(Branch.insert(branch))


async def by_id(scope: Reading, tenant_id: UUID, branch_id: UUID) -> Row | None:
    return await scope.row("SELECT * FROM penny.branches WHERE tenant_id = $1 AND id = $2", tenant_id, branch_id)


# A branch's last message is a leaf, and every leaf is the last message of one branch. LIMIT 1 of what is unique keeps PostgreSQL from
# reading a large tenant through for it.
_SEEN: Final = """
    SELECT branch.id, branch.chat_id, leaf.id AS leaf_id, leaf.depth + 1 AS message_count, leaf.created_at AS updated_at,
        fork.id AS fork_point_id, beginning.id AS beginning_id
    FROM {found}
    CROSS JOIN LATERAL (
        SELECT m.id, m.depth, m.created_at FROM penny.messages m
        WHERE m.tenant_id = $1 AND m.branch_id = branch.id ORDER BY m.depth DESC LIMIT 1
    ) leaf
    CROSS JOIN LATERAL (
        SELECT m.id FROM penny.messages m
        WHERE m.tenant_id = $1 AND m.branch_id = branch.id AND m.depth = branch.fork_depth + 1 LIMIT 1
    ) beginning
    LEFT JOIN LATERAL (
        SELECT m.id FROM penny.messages m
        WHERE m.tenant_id = $1 AND m.branch_id = branch.parent_branch_id AND m.depth = branch.fork_depth LIMIT 1
    ) fork ON true
    ORDER BY branch.chat_id, branch.id DESC
"""
_BY_IDS: Final = _SEEN.format(found="(SELECT * FROM penny.branches WHERE tenant_id = $1 AND id = ANY($2::uuid[])) branch")
_PAGES_OF_CHATS: Final = _SEEN.format(
    found="""
        unnest($2::uuid[]) AS asked (chat_id)
        CROSS JOIN LATERAL (
            SELECT * FROM penny.branches b WHERE b.tenant_id = $1 AND b.chat_id = asked.chat_id AND b.id < $3 ORDER BY b.id DESC LIMIT $4
        ) branch
    """
)


async def seen(scope: Reading, tenant_id: UUID, branch_ids: Sequence[UUID]) -> list[Row]:
    """Read branches as they are shown: each with its leaf, where it forked, and what it begins with."""
    return await scope.rows(_BY_IDS, tenant_id, list(branch_ids))


async def pages_of_chats(scope: Reading, tenant_id: UUID, chat_ids: Sequence[UUID], *, beyond: UUID | None, limit: int) -> list[Row]:
    """Read the same page of many chats' branches at once, the newest of each chat first."""
    return await scope.rows(_PAGES_OF_CHATS, tenant_id, list(chat_ids), beyond or LAST_ID, limit)
