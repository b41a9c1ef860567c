"""Questions about sessions."""

from collections.abc import Mapping
from uuid import UUID

from db.scopes import Reading, Row


async def session_by_id(scope: Reading, tenant_id: UUID, ids: list[UUID]) -> Mapping[UUID, Row]:
    """Sessions that still count."""
    rows = await scope.rows(
        "SELECT * FROM penny.sessions WHERE tenant_id = $1 AND id = ANY($2) AND revoked_at IS NULL AND expires_at > now()", tenant_id, ids
    )
    return {row["id"]: row for row in rows}
