"""Questions about tenants: in a tenant's scope there is one."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from db.scopes import Reading, Row
from db.statements.projections import Columns, Projection
from db.tables.tenants import Tenant

_BY_IDS: Final = Projection(
    "SELECT {columns} FROM penny.tenants WHERE tenant_id = $1 AND tenant_id = ANY($2)",
    Tenant,
    always=("tenant_id",),
)


async def tenant_by_id(scope: Reading, tenant_id: UUID, ids: list[UUID], columns: Columns | None = None) -> Mapping[UUID, Row]:
    return {row["tenant_id"]: row for row in await scope.rows(_BY_IDS.text(columns), tenant_id, ids)}
