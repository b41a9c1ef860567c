"""Questions about invitations."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from db.scopes import Reading, Row
from db.statements.projections import Columns, Projection
from db.tables.members import Invitation

_BY_IDS: Final = Projection(
    "SELECT {columns} FROM penny.invitations WHERE tenant_id = $1 AND id = ANY($2)",
    Invitation,
    always=("id",),
    without=("token_hash",),
)


async def invitation_by_id(scope: Reading, tenant_id: UUID, ids: list[UUID], columns: Columns | None = None) -> Mapping[UUID, Row]:
    return {row["id"]: row for row in await scope.rows(_BY_IDS.text(columns), tenant_id, ids)}
