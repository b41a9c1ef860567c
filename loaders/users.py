"""Questions about people, as the members of a tenant may see them."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from db.scopes import Reading, Row
from db.statements.projections import Columns, Projection
from db.tables.users import User

_BY_IDS: Final = Projection(
    """
    SELECT {columns}
    FROM penny.memberships m
    JOIN directory.users u ON u.id = m.user_id
    WHERE m.tenant_id = $1 AND m.user_id = ANY($2)
    """,
    User,
    of="u",
    always=("id",),
    without=("password_hash",),
)


async def user_by_id(scope: Reading, tenant_id: UUID, ids: list[UUID], columns: Columns | None = None) -> Mapping[UUID, Row]:
    """Members only: someone who left is nobody here any more."""
    return {row["id"]: row for row in await scope.rows(_BY_IDS.text(columns), tenant_id, ids)}
