"""Say who gave a chat its title: a person, whose word stands, or a model."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration
from db.protection import over_all_tenants

ID = "m20261125_2330_say_who_titled_chats"
VERSION = "1.38.0"
DESCRIPTION = "say who titled chats"

FORWARDS = [
    "ALTER TABLE penny.chats ADD titled_by text CHECK (titled_by IN ('PERSON', 'MODEL'))",
    *over_all_tenants("chats", "UPDATE penny.chats SET titled_by = 'PERSON' WHERE title IS NOT NULL"),
]
BACKWARDS = ["ALTER TABLE penny.chats DROP titled_by"]


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
