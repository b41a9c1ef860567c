"""Questions about jobs."""

from collections.abc import Mapping
from uuid import UUID

from db.scopes import Reading, Row
from db.statements import jobs
from db.statements.projections import Columns


async def job_by_id(scope: Reading, tenant_id: UUID, ids: list[UUID], columns: Columns | None = None) -> Mapping[UUID, Row]:
    return {row["id"]: row for row in await jobs.by_ids(scope, tenant_id, ids, columns)}
