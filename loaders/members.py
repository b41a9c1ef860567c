"""Questions about members."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from db.scopes import Reading, Row
from db.statements.projections import Columns, Projection
from db.tables.members import Membership

_BY_IDS: Final = Projection(
    "SELECT {columns} FROM penny.memberships WHERE tenant_id = $1 AND id = ANY($2)",
    Membership,
    always=("id",),
)
_BY_USERS: Final = Projection(
    "SELECT {columns} FROM penny.memberships WHERE tenant_id = $1 AND user_id = ANY($2)",
    Membership,
    always=("user_id",),
)


async def membership_by_id(scope: Reading, tenant_id: UUID, ids: list[UUID], columns: Columns | None = None) -> Mapping[UUID, Row]:
    return {row["id"]: row for row in await scope.rows(_BY_IDS.text(columns), tenant_id, ids)}


async def membership_by_user(scope: Reading, tenant_id: UUID, user_ids: list[UUID], columns: Columns | None = None) -> Mapping[UUID, Row]:
    return {row["user_id"]: row for row in await scope.rows(_BY_USERS.text(columns), tenant_id, user_ids)}
