"""The versions of the tenant's key, for those who may see its settings."""

from collections.abc import Sequence
from uuid import UUID

from auth.policies.tenants import can_see_settings
from db.scopes import Row
from db.statements.projections import Columns
from resolvers.operations import Operation


async def by_id(operation: Operation, id: UUID, columns: Columns | None = None) -> Row | None:
    """Find a version by its id."""
    return await operation.questions.tenant_key_by_id.of(columns).load(id) if can_see_settings(operation.viewer) else None


async def by_versions(operation: Operation, versions: Sequence[int], columns: Columns | None = None) -> list[Row | None]:
    """Find versions by their numbers."""
    if not can_see_settings(operation.viewer):
        return [None] * len(versions)
    return await operation.questions.tenant_key_by_version.of(columns).load_many(versions)
