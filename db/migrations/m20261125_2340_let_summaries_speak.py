"""Let summaries speak in chats, beside people, models and tools."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration

ID = "m20261125_2340_let_summaries_speak"
VERSION = "1.38.0"
DESCRIPTION = "let summaries speak"
_ROLES = "ALTER TABLE penny.messages ADD CONSTRAINT messages_role_check CHECK (role IN ({}))"

FORWARDS = [
    "ALTER TABLE penny.messages DROP CONSTRAINT messages_role_check",
    _ROLES.format("'USER', 'ASSISTANT', 'SYSTEM', 'TOOL', 'SUMMARY'"),
    # Who redacts a message looks for the summaries that may tell of it.
    "CREATE INDEX messages_that_summarise ON penny.messages (tenant_id, chat_id, depth) WHERE role = 'SUMMARY'",
]
BACKWARDS = [
    "DROP INDEX penny.messages_that_summarise",
    "ALTER TABLE penny.messages DROP CONSTRAINT messages_role_check",
    _ROLES.format("'USER', 'ASSISTANT', 'SYSTEM', 'TOOL'") + " NOT VALID",
]


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
