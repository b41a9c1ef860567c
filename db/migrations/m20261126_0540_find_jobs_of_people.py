"""Let whoever began jobs find them again, the newest first."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration

ID = "m20261126_0540_find_jobs_of_people"
VERSION = "1.38.0"
DESCRIPTION = "find jobs of people"

FORWARDS = ["CREATE INDEX jobs_of_person ON penny.jobs (tenant_id, created_by, id) WHERE created_by IS NOT NULL"]
BACKWARDS = ["DROP INDEX penny.jobs_of_person"]


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
