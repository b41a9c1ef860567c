"""Let a message choose the version of an assistant that answers it, and list chats by their assistant."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration

ID = "m20261126_0145_let_messages_choose_assistants"
VERSION = "1.38.0"
DESCRIPTION = "let messages choose assistants"

FORWARDS = [
    # Whether the run's version was chosen for it: whatever follows its chat's assistant follows it to newer versions, and this does not.
    "ALTER TABLE penny.runs ADD assistant_chosen boolean NOT NULL DEFAULT false",
    """
    CREATE INDEX chats_of_assistant ON penny.chats (tenant_id, owner_id, assistant_id, updated_at, id)
        WHERE archived_at IS NULL AND assistant_id IS NOT NULL
    """,
    """
    CREATE INDEX chats_archived_of_assistant ON penny.chats (tenant_id, owner_id, assistant_id, updated_at, id)
        WHERE archived_at IS NOT NULL AND assistant_id IS NOT NULL
    """,
]
BACKWARDS = [
    "DROP INDEX penny.chats_archived_of_assistant",
    "DROP INDEX penny.chats_of_assistant",
    "ALTER TABLE penny.runs DROP assistant_chosen",
]


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
