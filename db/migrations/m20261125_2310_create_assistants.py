"""Create assistants and their versions, which chats and runs name, and let the built-in roles use and make them."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration
from db.protection import drop, grant, protect, revoke

ID = "m20261125_2310_create_assistants"
VERSION = "1.38.0"
DESCRIPTION = "create assistants"
GRANTED = {
    "owner": ("assistants:read", "assistants:write", "assistants:admin"),
    "admin": ("assistants:read", "assistants:write", "assistants:admin"),
    "manager": ("assistants:read", "assistants:write"),
    "creator": ("assistants:read", "assistants:write"),
    "viewer": ("assistants:read",),
}

FORWARDS = [
    """
    CREATE TABLE penny.assistants (
        tenant_id uuid NOT NULL REFERENCES penny.tenants (tenant_id) ON DELETE CASCADE,
        id uuid NOT NULL,
        slug text NOT NULL,
        name bytea NOT NULL,
        owner_id uuid NOT NULL,
        current_version_id uuid,
        last_number int NOT NULL DEFAULT 0,
        grants jsonb NOT NULL DEFAULT '[]',
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, id),
        UNIQUE (tenant_id, slug)
    )
    """,
    *protect("assistants", app="SELECT, INSERT, UPDATE, DELETE"),
    """
    CREATE TABLE penny.assistant_versions (
        tenant_id uuid NOT NULL,
        id uuid NOT NULL,
        assistant_id uuid NOT NULL,
        number int NOT NULL,
        state text NOT NULL DEFAULT 'DRAFT' CHECK (state IN ('DRAFT', 'RELEASED', 'WITHDRAWN')),
        content bytea NOT NULL,
        model_id uuid,
        created_by uuid NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, id),
        UNIQUE (tenant_id, assistant_id, number),
        FOREIGN KEY (tenant_id, assistant_id) REFERENCES penny.assistants (tenant_id, id) ON DELETE CASCADE
    )
    """,
    *protect("assistant_versions", app="SELECT, INSERT, UPDATE, DELETE"),
    "ALTER TABLE penny.chats ADD assistant_id uuid",
    "ALTER TABLE penny.runs ADD assistant_version_id uuid",
    *grant(GRANTED),
]
BACKWARDS = [
    *revoke(*GRANTED["owner"]),
    "ALTER TABLE penny.runs DROP assistant_version_id",
    "ALTER TABLE penny.chats DROP assistant_id",
    *drop(["assistants", "assistant_versions"]),
]


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
