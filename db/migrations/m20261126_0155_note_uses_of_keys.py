"""Note when each key at a model provider was last used."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration

ID = "m20261126_0155_note_uses_of_keys"
VERSION = "1.38.0"
DESCRIPTION = "note uses of keys"

FORWARDS = ["ALTER TABLE penny.provider_credentials ADD last_used_at timestamptz"]
BACKWARDS = ["ALTER TABLE penny.provider_credentials DROP last_used_at"]


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
