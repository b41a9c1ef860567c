"""Questions about invitations."""

from collections.abc import Mapping
from uuid import UUID

from db.scopes import Reading, Row


async def invitation_by_id(scope: Reading, tenant_id: UUID, ids: list[UUID]) -> Mapping[UUID, Row]:
    rows = await scope.rows("SELECT * FROM penny.invitations WHERE tenant_id = $1 AND id = ANY($2)", tenant_id, ids)
    return {row["id"]: row for row in rows}
