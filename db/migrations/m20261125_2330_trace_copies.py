"""Remember of a message from which one it was copied, so that what is redacted is redacted in every fork."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration

ID = "m20261125_2330_trace_copies"
VERSION = "1.38.0"
DESCRIPTION = "trace copies of messages"

FORWARDS = [
    # No foreign key: what a message was copied from may be deleted, and the copy stays.
    "ALTER TABLE penny.messages ADD copied_from_id uuid",
    "CREATE INDEX messages_copied ON penny.messages (tenant_id, copied_from_id) WHERE copied_from_id IS NOT NULL",
]
BACKWARDS = ["ALTER TABLE penny.messages DROP copied_from_id"]


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
