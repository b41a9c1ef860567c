"""Let the worker that prunes find the jobs that ended long ago, and take them away."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration

ID = "m20261125_2355_prune_jobs"
VERSION = "1.38.0"
DESCRIPTION = "prune jobs"
OPEN = "status IN ('QUEUED', 'RUNNING')"
SYSTEM = "(SELECT current_user) = 'penny_system'"

FORWARDS = [
    f"ALTER POLICY system_look_up ON penny.jobs USING (({OPEN} OR finished_at IS NOT NULL) AND {SYSTEM})",
    "CREATE INDEX jobs_ended ON penny.jobs (finished_at) WHERE finished_at IS NOT NULL",
    "GRANT SELECT (finished_at) ON penny.jobs TO penny_system",
    "GRANT DELETE ON penny.jobs TO penny_system",
]
BACKWARDS = [
    "REVOKE DELETE ON penny.jobs FROM penny_system",
    "REVOKE SELECT (finished_at) ON penny.jobs FROM penny_system",
    "DROP INDEX penny.jobs_ended",
    f"ALTER POLICY system_look_up ON penny.jobs USING ({OPEN} AND {SYSTEM})",
]


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
