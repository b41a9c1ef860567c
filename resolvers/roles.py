"""Roles of the tenant."""

from collections.abc import Sequence
from uuid import UUID

from db.scopes import Row
from db.statements import members
from db.statements.projections import Columns
from resolvers.operations import Operation


async def by_id(operation: Operation, id: UUID, columns: Columns | None = None) -> Row | None:
    """Find a role: one's own always, others for those who may see the members."""
    viewer = operation.viewer
    if id != viewer.role_id and not viewer.may("members:read"):
        return None
    return await operation.questions.role_by_id.of(columns).load(id)


async def of_tenant(operation: Operation) -> list[Row]:
    """Return all roles."""
    async with operation.reads.reading(operation.tenant_id) as scope:
        return await members.roles_of_tenant(scope, operation.tenant_id)


async def upsert(operation: Operation, id: UUID | None, *, name: str, scopes: Sequence[str]) -> Row:
    """Define a role, or define it anew."""
    return await operation.works.members.upsert_role(operation.viewer, id=id, name=name, scopes=scopes)
