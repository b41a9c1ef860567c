"""Statements over jobs: what a worker writes is guarded by the attempt, so that only the latest one counts."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from db.scopes import Reading, Row, Writing
from db.statements.projections import Columns, Projection
from db.tables.jobs import Job

OPEN: Final = "status IN ('QUEUED', 'RUNNING')"


async def create(  # noqa: PLR0913 - what a job is
    scope: Writing, tenant_id: UUID, job_id: UUID, *, kind: str, key: str, arguments: str, created_by: UUID | None, due_at: datetime | None
) -> Row | None:
    """Add a job that is due from some moment on, or at once; None when an open one of this kind has the key."""
    return await scope.row(
        f"""
        INSERT INTO penny.jobs (tenant_id, id, kind, key, arguments, created_by, due_at)
        VALUES ($1, $2, $3, $4, $5::jsonb, $6, coalesce($7, now()))
        ON CONFLICT (tenant_id, kind, key) WHERE {OPEN} DO NOTHING RETURNING *
        """,  # noqa: S608 - a constant
        tenant_id,
        job_id,
        kind,
        key,
        arguments,
        created_by,
        due_at,
    )


async def open_with_key(scope: Reading, tenant_id: UUID, kind: str, key: str) -> Row | None:
    statement = f"SELECT * FROM penny.jobs WHERE tenant_id = $1 AND kind = $2 AND key = $3 AND {OPEN}"  # noqa: S608 - a constant
    return await scope.row(statement, tenant_id, kind, key)


async def by_id(scope: Reading, tenant_id: UUID, job_id: UUID) -> Row | None:
    return await scope.row("SELECT * FROM penny.jobs WHERE tenant_id = $1 AND id = $2", tenant_id, job_id)


_BY_IDS: Final = Projection("SELECT {columns} FROM penny.jobs WHERE tenant_id = $1 AND id = ANY($2::uuid[])", Job, always=("id",))


async def by_ids(scope: Reading, tenant_id: UUID, job_ids: Sequence[UUID], columns: Columns | None = None) -> list[Row]:
    return await scope.rows(_BY_IDS.text(columns), tenant_id, list(job_ids))


_PAGE: Final = Projection(
    """
    SELECT {columns} FROM penny.jobs
    WHERE tenant_id = $1 AND created_by = $2 AND ($3::text[] IS NULL OR status = ANY($3)) AND ($4::uuid IS NULL OR id < $4)
    ORDER BY id DESC LIMIT $5
    """,
    Job,
    always=("id", "kind"),
)


async def page(  # noqa: PLR0913 - the filters of the list
    scope: Reading,
    tenant_id: UUID,
    user_id: UUID,
    *,
    statuses: Sequence[str] | None,
    beyond: UUID | None,
    limit: int,
    columns: Columns | None = None,
) -> list[Row]:
    """Read a page of the jobs that a user began, the newest first."""
    return await scope.rows(_PAGE.text(columns), tenant_id, user_id, statuses, beyond, limit)


async def due(scope: Reading, kinds: Sequence[str], limit: int) -> list[Row]:
    """Find jobs of any tenant that nobody works on (as `penny_system`), those that are due longest first."""
    return await scope.rows(
        f"SELECT tenant_id, id FROM penny.jobs WHERE {OPEN} AND kind = ANY($1) AND due_at <= now() ORDER BY due_at LIMIT $2",  # noqa: S608 - a constant
        list(kinds),
        limit,
    )


async def claim(scope: Writing, tenant_id: UUID, job_id: UUID, *, worker: str, lease: timedelta) -> Row | None:
    """Take a job that is due; None when another worker has it, or is just taking it. `begun_before`: it was taken before."""
    return await scope.row(
        f"""
        UPDATE penny.jobs SET status = 'RUNNING', attempt = attempt + 1, worker = $3, due_at = now() + $4::interval,
            started_at = coalesce(started_at, now())
        WHERE tenant_id = $1 AND id = (
            SELECT id FROM penny.jobs WHERE tenant_id = $1 AND id = $2 AND {OPEN} AND due_at <= now() FOR UPDATE SKIP LOCKED
        )
        RETURNING *, old.started_at IS NOT NULL AS begun_before
        """,  # noqa: S608 - a constant
        tenant_id,
        job_id,
        worker,
        lease,
    )


async def save(  # noqa: PLR0913 - what a sign of life says
    scope: Writing, tenant_id: UUID, job_id: UUID, *, attempt: int, lease: timedelta, progress: float | None, state: str | None
) -> Row | None:
    """Stay the owner and note how far the job is; None values leave what is there. None when another worker took over.

    `moved` says whether the progress is another one than before.
    """
    return await scope.row(
        """
        UPDATE penny.jobs SET due_at = now() + $4::interval, progress = coalesce($5, progress), state = coalesce($6::jsonb, state)
        WHERE tenant_id = $1 AND id = $2 AND status = 'RUNNING' AND attempt = $3
        RETURNING cancel_requested_at, old.progress IS DISTINCT FROM new.progress AS moved
        """,
        tenant_id,
        job_id,
        attempt,
        lease,
        progress,
        state,
    )


async def hold(scope: Writing, tenant_id: UUID, job_id: UUID, *, attempt: int) -> bool:
    """Keep others from taking a job until the scope ends; False when another worker took over."""
    statement = "SELECT 1 FROM penny.jobs WHERE tenant_id = $1 AND id = $2 AND status = 'RUNNING' AND attempt = $3 FOR UPDATE"
    return await scope.row(statement, tenant_id, job_id, attempt) is not None


async def finish(  # noqa: PLR0913 - how a job ends
    scope: Writing,
    tenant_id: UUID,
    job_id: UUID,
    *,
    attempt: int,
    status: str,
    result: str | None = None,
    error_code: str | None = None,
    error_message: str | None = None,
) -> Row | None:
    """End a job, once; None when another worker took over."""
    return await scope.row(
        """
        UPDATE penny.jobs SET status = $4, result = $5::jsonb, error_code = $6, error_message = $7, finished_at = now(),
            progress = CASE WHEN $4 = 'SUCCEEDED' THEN 1 ELSE progress END
        WHERE tenant_id = $1 AND id = $2 AND status = 'RUNNING' AND attempt = $3 RETURNING *
        """,
        tenant_id,
        job_id,
        attempt,
        status,
        result,
        error_code,
        error_message,
    )


async def put_back(scope: Writing, tenant_id: UUID, job_id: UUID, *, attempt: int, pause: timedelta, counts: bool) -> bool:  # noqa: PLR0913 - how a job waits
    """Let a job wait for another attempt; one that does not count may be made as often as if it had not been."""
    changed = await scope.run(
        """
        UPDATE penny.jobs SET status = 'QUEUED', due_at = now() + $4::interval, attempt = attempt - CASE WHEN $5 THEN 0 ELSE 1 END
        WHERE tenant_id = $1 AND id = $2 AND status = 'RUNNING' AND attempt = $3
        """,
        tenant_id,
        job_id,
        attempt,
        pause,
        counts,
    )
    return changed == 1


async def cancel(scope: Writing, tenant_id: UUID, job_id: UUID) -> Row | None:
    """End a job that nobody has begun; one that was begun is ended by a worker, who tidies up. None when it is over already."""
    return await scope.row(
        f"""
        UPDATE penny.jobs SET cancel_requested_at = coalesce(cancel_requested_at, now()),
            status = CASE WHEN started_at IS NULL THEN 'CANCELLED' ELSE status END,
            finished_at = CASE WHEN started_at IS NULL THEN now() END,
            due_at = CASE status WHEN 'QUEUED' THEN now() ELSE due_at END
        WHERE tenant_id = $1 AND id = $2 AND {OPEN} RETURNING *
        """,  # noqa: S608 - a constant
        tenant_id,
        job_id,
    )


async def tenants_before(scope: Reading, before: datetime, limit: int) -> list[UUID]:
    """Find some tenants that have jobs which ended before this (as `penny_system`)."""
    rows = await scope.rows("SELECT tenant_id FROM penny.jobs WHERE finished_at < $1 ORDER BY finished_at LIMIT $2", before, limit)
    return list({row["tenant_id"]: None for row in rows})


async def delete_before(scope: Writing, tenant_id: UUID, before: datetime, limit: int) -> int:
    """Take away some of a tenant's jobs that ended before this (as `penny_system`)."""
    return await scope.run(
        """
        DELETE FROM penny.jobs WHERE tenant_id = $1 AND id IN (
            SELECT id FROM penny.jobs WHERE tenant_id = $1 AND finished_at < $2 ORDER BY finished_at LIMIT $3
        )
        """,
        tenant_id,
        before,
        limit,
    )
