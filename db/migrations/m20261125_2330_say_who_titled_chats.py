"""Say who gave a chat its title: a person, whose word stands, or a model."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration

ID = "m20261125_2330_say_who_titled_chats"
VERSION = "1.38.0"
DESCRIPTION = "say who titled chats"
# The owner of the tables sees no tenant's rows either, but for this moment in this transaction.
OPEN, CLOSED = "ALTER TABLE penny.chats NO FORCE ROW LEVEL SECURITY", "ALTER TABLE penny.chats FORCE ROW LEVEL SECURITY"

FORWARDS = [
    "ALTER TABLE penny.chats ADD titled_by text CHECK (titled_by IN ('PERSON', 'MODEL'))",
    OPEN,
    "UPDATE penny.chats SET titled_by = 'PERSON' WHERE title IS NOT NULL",
    CLOSED,
]
BACKWARDS = ["ALTER TABLE penny.chats DROP titled_by"]


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
