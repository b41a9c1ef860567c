"""Create what a tenant is made of: itself, its roles, members, invitations, sessions, API keys and data keys."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration
from db.protection import drop, protect

ID = "m20261122_1910_create_tenants"
VERSION = "1.38.0"
DESCRIPTION = "create tenants, roles, members and credentials"
TABLES = ["tenants", "roles", "memberships", "invitations", "sessions", "api_keys", "tenant_keys"]
SYSTEM = "(SELECT current_user) = 'penny_system'"

FORWARDS = [
    """
    CREATE TABLE penny.tenants (
        tenant_id uuid PRIMARY KEY,
        slug text NOT NULL,
        name text NOT NULL,
        status text NOT NULL DEFAULT 'ACTIVE'
            CHECK (status IN ('PROVISIONING', 'ACTIVE', 'PAST_DUE', 'SUSPENDED', 'DELETING', 'DELETED')),
        region text NOT NULL DEFAULT 'default',
        settings jsonb NOT NULL DEFAULT '{}',
        created_at timestamptz NOT NULL DEFAULT now(),
        revision int NOT NULL DEFAULT 1
    )
    """,
    *protect("tenants", app="SELECT, UPDATE", system="SELECT, INSERT", system_sees=SYSTEM),
    """
    CREATE TABLE penny.roles (
        tenant_id uuid NOT NULL REFERENCES penny.tenants (tenant_id) ON DELETE CASCADE,
        id uuid NOT NULL,
        name text NOT NULL,
        builtin boolean NOT NULL DEFAULT false,
        scopes text[] NOT NULL DEFAULT '{}',
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, id),
        UNIQUE (tenant_id, name)
    )
    """,
    *protect("roles", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT, INSERT", system_sees=SYSTEM),
    """
    CREATE TABLE penny.memberships (
        tenant_id uuid NOT NULL REFERENCES penny.tenants (tenant_id) ON DELETE CASCADE,
        id uuid NOT NULL,
        user_id uuid NOT NULL REFERENCES directory.users (id) ON DELETE CASCADE,
        role_id uuid NOT NULL,
        status text NOT NULL DEFAULT 'ACTIVE' CHECK (status IN ('ACTIVE', 'DISABLED')),
        joined_at timestamptz NOT NULL DEFAULT now(),
        last_active_at timestamptz,
        PRIMARY KEY (tenant_id, id),
        UNIQUE (tenant_id, user_id),
        FOREIGN KEY (tenant_id, role_id) REFERENCES penny.roles (tenant_id, id)
    )
    """,
    "CREATE INDEX memberships_user ON penny.memberships (user_id, tenant_id)",
    "CREATE INDEX memberships_role ON penny.memberships (tenant_id, role_id)",
    *protect("memberships", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT, INSERT", system_sees=SYSTEM),
    # A member sees the people of the tenants that the setting names, and of no other.
    """
    CREATE POLICY fellow_members ON directory.users FOR SELECT TO penny_app
        USING (EXISTS (SELECT 1 FROM penny.memberships m WHERE m.user_id = users.id))
    """,
    """
    CREATE TABLE penny.invitations (
        tenant_id uuid NOT NULL REFERENCES penny.tenants (tenant_id) ON DELETE CASCADE,
        id uuid NOT NULL,
        email text NOT NULL,
        role_id uuid NOT NULL,
        token_hash bytea NOT NULL,
        invited_by uuid NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz NOT NULL,
        accepted_at timestamptz,
        revoked_at timestamptz,
        PRIMARY KEY (tenant_id, id),
        UNIQUE (tenant_id, token_hash),
        FOREIGN KEY (tenant_id, role_id) REFERENCES penny.roles (tenant_id, id)
    )
    """,
    "CREATE INDEX invitations_email ON penny.invitations (tenant_id, lower(email))",
    *protect("invitations", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT, UPDATE"),
    """
    CREATE TABLE penny.sessions (
        tenant_id uuid NOT NULL REFERENCES penny.tenants (tenant_id) ON DELETE CASCADE,
        id uuid NOT NULL,
        user_id uuid NOT NULL,
        token_hash bytea NOT NULL,
        transport text NOT NULL CHECK (transport IN ('COOKIE', 'BEARER')),
        created_at timestamptz NOT NULL DEFAULT now(),
        last_seen_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz NOT NULL,
        revoked_at timestamptz,
        address text,
        user_agent text,
        PRIMARY KEY (tenant_id, id),
        UNIQUE (tenant_id, token_hash),
        FOREIGN KEY (tenant_id, user_id) REFERENCES penny.memberships (tenant_id, user_id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX sessions_token ON penny.sessions (token_hash)",
    "CREATE INDEX sessions_user ON penny.sessions (user_id, tenant_id)",
    *protect("sessions", app="SELECT, INSERT, UPDATE, DELETE", system="SELECT, INSERT, UPDATE", system_sees=SYSTEM),
    """
    CREATE TABLE penny.api_keys (
        tenant_id uuid NOT NULL REFERENCES penny.tenants (tenant_id) ON DELETE CASCADE,
        id uuid NOT NULL,
        name text NOT NULL,
        prefix text NOT NULL,
        secret_hash bytea NOT NULL,
        previous_hash bytea,
        previous_valid_until timestamptz,
        scopes text[] NOT NULL DEFAULT '{}',
        user_id uuid NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        last_used_at timestamptz,
        expires_at timestamptz,
        revoked_at timestamptz,
        PRIMARY KEY (tenant_id, id),
        FOREIGN KEY (tenant_id, user_id) REFERENCES penny.memberships (tenant_id, user_id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX api_keys_user ON penny.api_keys (tenant_id, user_id, id)",
    *protect("api_keys", app="SELECT, INSERT, UPDATE, DELETE"),
    """
    CREATE TABLE penny.tenant_keys (
        tenant_id uuid NOT NULL REFERENCES penny.tenants (tenant_id) ON DELETE CASCADE,
        id uuid NOT NULL,
        version int NOT NULL,
        state text NOT NULL CHECK (state IN ('ACTIVE', 'DECRYPT_ONLY', 'SHREDDED')),
        wrapped bytea,
        key_id text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        rotated_at timestamptz,
        shredded_at timestamptz,
        PRIMARY KEY (tenant_id, id),
        UNIQUE (tenant_id, version)
    )
    """,
    *protect("tenant_keys", app="SELECT, INSERT, UPDATE", system="SELECT, INSERT"),
]
BACKWARDS = ["DROP POLICY fellow_members ON directory.users", *drop(TABLES)]


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
