"""Questions about members."""

from collections.abc import Mapping
from uuid import UUID

from db.scopes import Reading, Row


async def membership_by_id(scope: Reading, tenant_id: UUID, ids: list[UUID]) -> Mapping[UUID, Row]:
    rows = await scope.rows("SELECT * FROM penny.memberships WHERE tenant_id = $1 AND id = ANY($2)", tenant_id, ids)
    return {row["id"]: row for row in rows}


async def membership_by_user(scope: Reading, tenant_id: UUID, user_ids: list[UUID]) -> Mapping[UUID, Row]:
    rows = await scope.rows("SELECT * FROM penny.memberships WHERE tenant_id = $1 AND user_id = ANY($2)", tenant_id, user_ids)
    return {row["user_id"]: row for row in rows}
