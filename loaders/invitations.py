"""Questions about invitations, and the pages of their list, the newest first."""

from collections.abc import Mapping
from uuid import UUID

from db.scopes import Reading, Row

_OPEN = "FROM penny.invitations WHERE tenant_id = $1 AND accepted_at IS NULL AND revoked_at IS NULL"
_PAGE = f"SELECT * {_OPEN} AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3"  # noqa: S608 - constant text
_COUNT = f"SELECT count(*) {_OPEN}"


async def invitation_by_id(scope: Reading, tenant_id: UUID, ids: list[UUID]) -> Mapping[UUID, Row]:
    rows = await scope.rows("SELECT * FROM penny.invitations WHERE tenant_id = $1 AND id = ANY($2)", tenant_id, ids)
    return {row["id"]: row for row in rows}


async def page_of_open(scope: Reading, tenant_id: UUID, *, after: UUID | None, limit: int) -> list[Row]:
    """Invitations that were neither accepted nor revoked; expired ones are among them."""
    return await scope.rows(_PAGE, tenant_id, after, limit)


async def count_of_open(scope: Reading, tenant_id: UUID) -> int:
    return int(str(await scope.value(_COUNT, tenant_id)))
