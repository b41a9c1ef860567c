"""Questions about people, as the members of a tenant may see them."""

from collections.abc import Mapping
from uuid import UUID

from db.scopes import Reading, Row

_USERS = """
    SELECT u.id, u.email, u.name, u.avatar_url, u.locale, u.email_verified_at, u.created_at, u.erased_at
    FROM penny.memberships m
    JOIN directory.users u ON u.id = m.user_id
    WHERE m.tenant_id = $1 AND m.user_id = ANY($2)
"""


async def user_by_id(scope: Reading, tenant_id: UUID, ids: list[UUID]) -> Mapping[UUID, Row]:
    """Members only: someone who left is nobody here any more."""
    return {row["id"]: row for row in await scope.rows(_USERS, tenant_id, ids)}
