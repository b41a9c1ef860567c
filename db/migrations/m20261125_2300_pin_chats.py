"""Let chats be pinned, and read the messages of a whole chat in order."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration

ID = "m20261125_2300_pin_chats"
VERSION = "1.38.0"
DESCRIPTION = "pin chats and order the messages of a chat"

FORWARDS = [
    "ALTER TABLE penny.chats ADD pinned_at timestamptz",
    """
    CREATE INDEX chats_pinned_of_owner ON penny.chats (tenant_id, owner_id, updated_at, id)
        WHERE pinned_at IS NOT NULL AND archived_at IS NULL
    """,
    # An export goes through all branches at once.
    "DROP INDEX penny.messages_of_chat",
    "CREATE INDEX messages_of_chat ON penny.messages (tenant_id, chat_id, id)",
]
BACKWARDS = [
    "DROP INDEX penny.messages_of_chat",
    "CREATE INDEX messages_of_chat ON penny.messages (tenant_id, chat_id)",
    "ALTER TABLE penny.chats DROP pinned_at",
]


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
