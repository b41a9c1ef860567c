"""Questions about tenants: in a tenant's scope there is one."""

from collections.abc import Mapping
from uuid import UUID

from db.scopes import Reading, Row


async def tenant_by_id(scope: Reading, tenant_id: UUID, ids: list[UUID]) -> Mapping[UUID, Row]:
    rows = await scope.rows("SELECT * FROM penny.tenants WHERE tenant_id = $1 AND tenant_id = ANY($2)", tenant_id, ids)
    return {row["tenant_id"]: row for row in rows}
