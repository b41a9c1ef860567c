"""Jobs: work that goes on without anybody waiting for it."""

from typing import Final
from uuid import UUID

from auth.policies.jobs import can_see_job
from db.scopes import Row
from db.statements.projections import Columns
from errors import NotFound
from resolvers.batches import wider
from resolvers.operations import Operation

POLICY: Final = ("kind", "created_by")


async def by_id(operation: Operation, id: UUID, columns: Columns | None = None) -> Row | None:
    """Find a job that the viewer may see."""
    row = await operation.questions.job_by_id.of(wider(columns, *POLICY)).load(id)
    return row if row is not None and can_see_job(operation.viewer, row) else None


async def cancel(operation: Operation, id: UUID) -> Row:
    """Cancel a job."""
    if await by_id(operation, id, frozenset()) is None:
        raise NotFound("There is no Job with this id.", path=["jobId"])
    return await operation.works.jobs.cancel(operation.tenant_id, id)
