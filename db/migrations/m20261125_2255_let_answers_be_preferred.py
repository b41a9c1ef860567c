"""Let one of several answers be preferred, let runs name their model, and let a chat say which message it was forked from."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration

ID = "m20261125_2255_let_answers_be_preferred"
VERSION = "1.38.0"
DESCRIPTION = "let answers be preferred and name their model, and chats be forked"

FORWARDS = [
    "ALTER TABLE penny.messages ADD COLUMN model_id uuid, ADD COLUMN preferred boolean NOT NULL DEFAULT false",
    # An edit of a chat's first message begins another tree.
    "CREATE INDEX messages_first ON penny.messages (tenant_id, chat_id, id) WHERE parent_id IS NULL",
    "ALTER TABLE penny.runs ADD COLUMN model_id uuid",
    "ALTER TABLE penny.chats ADD COLUMN forked_from_id uuid",
]
BACKWARDS = [
    "ALTER TABLE penny.chats DROP COLUMN forked_from_id",
    "ALTER TABLE penny.runs DROP COLUMN model_id",
    "DROP INDEX penny.messages_first",
    "ALTER TABLE penny.messages DROP COLUMN model_id, DROP COLUMN preferred",
]


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
