"""Questions about API keys, and the pages of their list, the newest first."""

from collections.abc import Mapping
from uuid import UUID

from db.scopes import Reading, Row

_MATCHING = "FROM penny.api_keys WHERE tenant_id = $1 AND ($2::uuid IS NULL OR user_id = $2)"
_PAGE = f"SELECT * {_MATCHING} AND ($3::uuid IS NULL OR id < $3) ORDER BY id DESC LIMIT $4"  # noqa: S608 - constant text
_COUNT = f"SELECT count(*) {_MATCHING}"


async def api_key_by_id(scope: Reading, tenant_id: UUID, ids: list[UUID]) -> Mapping[UUID, Row]:
    rows = await scope.rows("SELECT * FROM penny.api_keys WHERE tenant_id = $1 AND id = ANY($2)", tenant_id, ids)
    return {row["id"]: row for row in rows}


async def page_of_owner(scope: Reading, tenant_id: UUID, *, user_id: UUID | None, after: UUID | None, limit: int) -> list[Row]:
    """API keys of this member, or of all without one; revoked and expired ones are among them."""
    return await scope.rows(_PAGE, tenant_id, user_id, after, limit)


async def count_of_owner(scope: Reading, tenant_id: UUID, *, user_id: UUID | None) -> int:
    return int(str(await scope.value(_COUNT, tenant_id, user_id)))
