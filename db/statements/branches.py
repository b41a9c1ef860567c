"""Statements over branches, the straight pieces of a chat's tree."""

from uuid import UUID

from db.scopes import Reading, Row, Writing
from db.tables.chats import Branch


async def create(scope: Writing, branch: Branch) -> None:
    await scope.run(Branch.insert(branch))


async def by_id(scope: Reading, tenant_id: UUID, branch_id: UUID) -> Row | None:
    return await scope.row("SELECT * FROM penny.branches WHERE tenant_id = $1 AND id = $2", tenant_id, branch_id)
