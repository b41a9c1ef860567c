"""Questions about API keys."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from db.scopes import Reading, Row
from db.statements.projections import Columns, Projection
from db.tables.credentials import ApiKey

_BY_IDS: Final = Projection(
    "SELECT {columns} FROM penny.api_keys WHERE tenant_id = $1 AND id = ANY($2)",
    ApiKey,
    always=("id",),
    without=("secret_hash", "previous_hash"),
)


async def api_key_by_id(scope: Reading, tenant_id: UUID, ids: list[UUID], columns: Columns | None = None) -> Mapping[UUID, Row]:
    return {row["id"]: row for row in await scope.rows(_BY_IDS.text(columns), tenant_id, ids)}
