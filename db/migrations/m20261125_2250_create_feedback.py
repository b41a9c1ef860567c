"""Create what people think of answers, and note on messages who took their content away, and when."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration
from db.protection import drop, protect

ID = "m20261125_2250_create_feedback"
VERSION = "1.38.0"
DESCRIPTION = "create feedback and let messages be redacted"
PARTITIONS = 8

FORWARDS = [
    # `content` are the tags and the comment, encrypted; the rating can be counted.
    """
    CREATE TABLE penny.feedback (
        tenant_id uuid NOT NULL,
        message_id uuid NOT NULL,
        user_id uuid NOT NULL,
        rating smallint NOT NULL DEFAULT 0 CHECK (rating BETWEEN -1 AND 1),
        content bytea NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, message_id, user_id),
        FOREIGN KEY (tenant_id, message_id) REFERENCES penny.messages (tenant_id, id) ON DELETE CASCADE
    ) PARTITION BY HASH (tenant_id)
    """,
    *protect("feedback", app="SELECT, INSERT, UPDATE, DELETE", partitions=PARTITIONS),
    "ALTER TABLE penny.messages ADD redacted_at timestamptz, ADD redacted_by uuid",
]
BACKWARDS = ["ALTER TABLE penny.messages DROP redacted_at, DROP redacted_by", *drop(["feedback"])]


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
