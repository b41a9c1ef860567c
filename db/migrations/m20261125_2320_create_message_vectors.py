"""Create the vectors of messages, and the list of those whose vectors are to be made."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration
from db.protection import drop, protect

ID = "m20261125_2320_create_message_vectors"
VERSION = "1.38.0"
DESCRIPTION = "create the vectors of messages"
TABLES = ["message_vectors", "vectors_due"]
PARTITIONS = 8

FORWARDS = [
    """
    CREATE TABLE penny.message_vectors (
        tenant_id uuid NOT NULL,
        message_id uuid NOT NULL,
        chunk int NOT NULL,
        chat_id uuid NOT NULL,
        author_id uuid,
        created_at timestamptz NOT NULL,
        key_version int NOT NULL,
        embedding halfvec(256) NOT NULL,
        PRIMARY KEY (tenant_id, message_id, chunk),
        FOREIGN KEY (tenant_id, message_id) REFERENCES penny.messages (tenant_id, id) ON DELETE CASCADE
    ) PARTITION BY HASH (tenant_id)
    """,
    "CREATE INDEX message_vectors_embedding ON penny.message_vectors USING hnsw (embedding halfvec_ip_ops)",
    *protect("message_vectors", app="SELECT, INSERT, UPDATE, DELETE", partitions=PARTITIONS),
    # `due_at` is when a worker may take a message, or when the lease of the one that did ends.
    """
    CREATE TABLE penny.vectors_due (
        tenant_id uuid NOT NULL,
        message_id uuid NOT NULL,
        due_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, message_id),
        FOREIGN KEY (tenant_id, message_id) REFERENCES penny.messages (tenant_id, id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX vectors_due_at ON penny.vectors_due (due_at)",
    *protect("vectors_due", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT", system_sees="(SELECT current_user) = 'penny_system'"),
]
BACKWARDS = drop(TABLES)


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
