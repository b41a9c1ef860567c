"""Create jobs: work that outlives a request, done by whichever worker takes it."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration
from db.protection import drop, protect

ID = "m20261125_2240_create_jobs"
VERSION = "1.38.0"
DESCRIPTION = "create jobs"
OPEN = "status IN ('QUEUED', 'RUNNING')"

FORWARDS = [
    # `due_at` is when a job may be taken next: at once, after the pause before another attempt, or when its worker's lease ends.
    # `arguments`, `state` and `result` hold ids and words, never content.
    """
    CREATE TABLE penny.jobs (
        tenant_id uuid NOT NULL REFERENCES penny.tenants (tenant_id) ON DELETE CASCADE,
        id uuid NOT NULL,
        kind text NOT NULL,
        key text NOT NULL,
        status text NOT NULL DEFAULT 'QUEUED' CHECK (status IN ('QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED')),
        progress real CHECK (progress BETWEEN 0 AND 1),
        arguments jsonb NOT NULL DEFAULT '{}',
        state jsonb,
        result jsonb,
        error_code text,
        error_message text,
        created_by uuid,
        created_at timestamptz NOT NULL DEFAULT now(),
        started_at timestamptz,
        finished_at timestamptz,
        cancel_requested_at timestamptz,
        attempt int NOT NULL DEFAULT 0,
        worker text,
        due_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, id)
    )
    """,
    f"CREATE UNIQUE INDEX jobs_open_once ON penny.jobs (tenant_id, kind, key) WHERE {OPEN}",
    f"CREATE INDEX jobs_due ON penny.jobs (due_at) WHERE {OPEN}",
    *protect("jobs", app="SELECT, INSERT, UPDATE", system_sees=f"{OPEN} AND (SELECT current_user) = 'penny_system'"),
    "GRANT SELECT (tenant_id, id, kind, status, due_at) ON penny.jobs TO penny_system",
]
BACKWARDS = drop(["jobs"])


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
