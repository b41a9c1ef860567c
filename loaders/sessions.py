"""Questions about sessions."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from db.scopes import Reading, Row
from db.statements.projections import Columns, Projection
from db.tables.credentials import Session

_BY_IDS: Final = Projection(
    "SELECT {columns} FROM penny.sessions WHERE tenant_id = $1 AND id = ANY($2) AND revoked_at IS NULL AND expires_at > now()",
    Session,
    always=("id",),
    without=("token_hash",),
)


async def session_by_id(scope: Reading, tenant_id: UUID, ids: list[UUID], columns: Columns | None = None) -> Mapping[UUID, Row]:
    """Sessions that still count."""
    return {row["id"]: row for row in await scope.rows(_BY_IDS.text(columns), tenant_id, ids)}
