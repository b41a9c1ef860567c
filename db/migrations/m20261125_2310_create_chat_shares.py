"""Create the links by which chats are shown to people who take no part in them."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration
from db.protection import drop, protect

ID = "m20261125_2310_create_chat_shares"
VERSION = "1.38.0"
DESCRIPTION = "create chat shares"

FORWARDS = [
    # Without a leaf it shows what the chat's head is at the time; with one, that branch and the title as they were. Of the link's token
    # only the hash is here: the token itself is made of the id, by the tenant's key of `key_version`.
    """
    CREATE TABLE penny.chat_shares (
        tenant_id uuid NOT NULL,
        id uuid NOT NULL,
        chat_id uuid NOT NULL,
        created_by uuid NOT NULL,
        audience text NOT NULL CHECK (audience IN ('ANYONE', 'TENANT', 'USERS')),
        user_ids uuid[] NOT NULL DEFAULT '{}',
        leaf_id uuid,
        title bytea,
        token_hash bytea NOT NULL,
        key_version int NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz,
        revoked_at timestamptz,
        view_count bigint NOT NULL DEFAULT 0,
        PRIMARY KEY (tenant_id, id),
        UNIQUE (tenant_id, token_hash),
        FOREIGN KEY (tenant_id, chat_id) REFERENCES penny.chats (tenant_id, id) ON DELETE CASCADE,
        FOREIGN KEY (tenant_id, leaf_id) REFERENCES penny.messages (tenant_id, id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX chat_shares_of_chat ON penny.chat_shares (tenant_id, chat_id, id)",
    "CREATE INDEX chat_shares_of_leaf ON penny.chat_shares (tenant_id, leaf_id) WHERE leaf_id IS NOT NULL",
    *protect("chat_shares", app="SELECT, INSERT, UPDATE, DELETE"),
]
BACKWARDS = drop(["chat_shares"])


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
