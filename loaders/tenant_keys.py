"""Questions about the versions of a tenant's key."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from db.scopes import Reading, Row
from db.statements.projections import Columns, Projection
from db.tables.credentials import TenantKey

_BY_IDS: Final = Projection(
    "SELECT {columns} FROM penny.tenant_keys WHERE tenant_id = $1 AND id = ANY($2::uuid[])", TenantKey, always=("id",), without=("wrapped",)
)
_BY_VERSIONS: Final = Projection(
    "SELECT {columns} FROM penny.tenant_keys WHERE tenant_id = $1 AND version = ANY($2::int[])",
    TenantKey,
    always=("id", "version"),
    without=("wrapped",),
)


async def tenant_key_by_id(scope: Reading, tenant_id: UUID, ids: list[UUID], columns: Columns | None = None) -> Mapping[UUID, Row]:
    return {row["id"]: row for row in await scope.rows(_BY_IDS.text(columns), tenant_id, ids)}


async def tenant_key_by_version(scope: Reading, tenant_id: UUID, versions: list[int], columns: Columns | None = None) -> Mapping[int, Row]:
    return {row["version"]: row for row in await scope.rows(_BY_VERSIONS.text(columns), tenant_id, versions)}
