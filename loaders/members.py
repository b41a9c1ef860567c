"""Questions about members, and the pages of their list in the order in which they joined."""

from collections.abc import Mapping
from uuid import UUID

from db.scopes import Reading, Row

_MATCHING = """
    FROM penny.memberships m
    JOIN directory.users u ON u.id = m.user_id
    JOIN penny.roles r ON r.tenant_id = m.tenant_id AND r.id = m.role_id
    WHERE m.tenant_id = $1
        AND ($2::text IS NULL OR r.name = $2)
        AND ($3::text IS NULL OR strpos(lower(u.name), lower($3)) > 0 OR strpos(lower(u.email), lower($3)) > 0)
"""
_PAGE = f"SELECT m.* {_MATCHING} AND ($4::uuid IS NULL OR m.id > $4) ORDER BY m.id LIMIT $5"  # noqa: S608 - constant text
_COUNT = f"SELECT count(*) {_MATCHING}"


async def membership_by_id(scope: Reading, tenant_id: UUID, ids: list[UUID]) -> Mapping[UUID, Row]:
    rows = await scope.rows("SELECT * FROM penny.memberships WHERE tenant_id = $1 AND id = ANY($2)", tenant_id, ids)
    return {row["id"]: row for row in rows}


async def membership_by_user(scope: Reading, tenant_id: UUID, user_ids: list[UUID]) -> Mapping[UUID, Row]:
    rows = await scope.rows("SELECT * FROM penny.memberships WHERE tenant_id = $1 AND user_id = ANY($2)", tenant_id, user_ids)
    return {row["user_id"]: row for row in rows}


async def page_of_tenant(  # noqa: PLR0913 - the filters and the place of a page
    scope: Reading, tenant_id: UUID, *, role: str | None, text: str | None, after: UUID | None, limit: int
) -> list[Row]:
    """Members with the role of this name, whose name or e-mail address contains the text."""
    return await scope.rows(_PAGE, tenant_id, role, text, after, limit)


async def count_of_tenant(scope: Reading, tenant_id: UUID, *, role: str | None, text: str | None) -> int:
    return int(str(await scope.value(_COUNT, tenant_id, role, text)))
