"""Jobs: work that goes on without anybody waiting for it."""

from collections.abc import Callable, Sequence
from typing import Any, Final
from uuid import UUID

from auth.policies.jobs import can_cancel_job, can_see_job
from db.scopes import Row
from db.statements import jobs
from db.statements.projections import Columns
from errors import Conflict, NotFound
from loaders.pages import Cursors, Page, PageArguments, page_of
from resolvers.batches import wider
from resolvers.operations import Operation

POLICY: Final = ("kind", "created_by")


class JobIsNobodys(Conflict):
    """PENNY does it for itself."""

    def __init__(self) -> None:
        super().__init__("PENNY does this job for itself; it cannot be cancelled.", path=["jobId"])


async def by_id(operation: Operation, id: UUID, columns: Columns | None = None) -> Row | None:
    """Find a job that the viewer may see."""
    row = await operation.questions.job_by_id.of(wider(columns, *POLICY)).load(id)
    return row if row is not None and can_see_job(operation.viewer, row) else None


async def page(
    operation: Operation,
    arguments: PageArguments,
    *,
    statuses: Sequence[str] | None,
    columns: Columns | None,
    dressed: Callable[[Row], Any],
) -> Page:
    """Page through the jobs that the viewer began, the newest first, each dressed as what it is."""
    cursors = Cursors(await operation.works.keyring.cipher(operation.tenant_id), "jobs", operation.viewer.user_id)
    start = arguments.start(cursors)
    async with operation.reads.reading(operation.tenant_id) as scope:
        rows = await jobs.page(
            scope,
            operation.tenant_id,
            operation.viewer.user_id,
            statuses=statuses,
            beyond=None if start is None else start[0],
            limit=arguments.limit,
            columns=columns,
        )

    def cursor_of(job: Any) -> str:
        return cursors.write([job.row["id"]])

    return page_of([dressed(row) for row in rows], arguments, cursor_of)


async def cancel(operation: Operation, id: UUID) -> Row:
    """Cancel a job."""
    if (job := await by_id(operation, id, frozenset())) is None:
        raise NotFound("There is no Job with this id.", path=["jobId"])
    if not can_cancel_job(operation.viewer, job):
        raise JobIsNobodys
    return await operation.works.jobs.cancel(operation.tenant_id, id)
