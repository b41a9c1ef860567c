"""Questions about what members can ask."""

from collections.abc import Mapping
from uuid import UUID

from db.scopes import Reading, Row
from db.statements import models
from db.statements.models import OwnModels
from db.statements.projections import Columns


async def own_models(
    scope: Reading,
    tenant_id: UUID,
    user_ids: list[UUID],
    columns: Columns | None = None,  # noqa: ARG001 - it is no row
) -> Mapping[UUID, OwnModels]:
    return {user_id: await models.all_of_member(scope, tenant_id, user_id) for user_id in user_ids}


async def credential_by_id(
    scope: Reading,
    tenant_id: UUID,
    ids: list[UUID],
    columns: Columns | None = None,  # noqa: ARG001 - they are few and small
) -> Mapping[UUID, Row]:
    return {row["id"]: row for row in await models.credentials(scope, tenant_id, ids)}


async def credentials_by_user(
    scope: Reading,
    tenant_id: UUID,
    user_ids: list[UUID],
    columns: Columns | None = None,  # noqa: ARG001 - they are few and small
) -> Mapping[UUID, list[Row]]:
    """Read each member's own keys, with the tenant's."""
    return {user_id: await models.credentials_of(scope, tenant_id, user_id) for user_id in user_ids}
