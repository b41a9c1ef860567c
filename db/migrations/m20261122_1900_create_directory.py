"""Create the schema `directory`: what belongs to no tenant (people, their mail links, taken slugs, mails to send)."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration

ID = "m20261122_1900_create_directory"
VERSION = "1.38.0"
DESCRIPTION = "create the directory of people and slugs"

FORWARDS = [
    "CREATE SCHEMA directory",
    "CREATE SCHEMA penny",
    "GRANT USAGE ON SCHEMA directory, penny TO penny_app, penny_system",
    """
    CREATE TABLE directory.users (
        id uuid PRIMARY KEY,
        email text NOT NULL,
        name text NOT NULL,
        password_hash text NOT NULL,
        avatar_url text,
        locale text,
        email_verified_at timestamptz,
        created_at timestamptz NOT NULL DEFAULT now(),
        erased_at timestamptz
    )
    """,
    "CREATE UNIQUE INDEX users_email ON directory.users (lower(email))",
    "ALTER TABLE directory.users ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE directory.users FORCE ROW LEVEL SECURITY",
    "CREATE POLICY system_users ON directory.users FOR ALL TO penny_system USING (true) WITH CHECK (true)",
    "GRANT SELECT, INSERT, UPDATE ON directory.users TO penny_system",
    "GRANT SELECT (id, email, name, avatar_url, locale, email_verified_at, created_at, erased_at) ON directory.users TO penny_app",
    """
    CREATE TABLE directory.user_tokens (
        id uuid PRIMARY KEY,
        user_id uuid NOT NULL REFERENCES directory.users (id) ON DELETE CASCADE,
        purpose text NOT NULL CHECK (purpose IN ('VERIFY_EMAIL', 'RESET_PASSWORD')),
        token_hash bytea NOT NULL UNIQUE,
        created_at timestamptz NOT NULL DEFAULT now(),
        expires_at timestamptz NOT NULL,
        used_at timestamptz
    )
    """,
    "CREATE INDEX user_tokens_user ON directory.user_tokens (user_id, purpose)",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON directory.user_tokens TO penny_system",
    "CREATE TABLE directory.tenant_slugs (slug text PRIMARY KEY, tenant_id uuid NOT NULL UNIQUE)",
    "GRANT SELECT, INSERT, DELETE ON directory.tenant_slugs TO penny_system",
    """
    CREATE TABLE directory.platform_keys (
        version int PRIMARY KEY,
        state text NOT NULL CHECK (state IN ('ACTIVE', 'DECRYPT_ONLY', 'SHREDDED')),
        wrapped bytea,
        key_id text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "GRANT SELECT, INSERT, UPDATE ON directory.platform_keys TO penny_system",
    """
    CREATE TABLE directory.mails (
        id uuid PRIMARY KEY,
        content bytea NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        attempts int NOT NULL DEFAULT 0,
        next_attempt_at timestamptz NOT NULL DEFAULT now(),
        sent_at timestamptz,
        failed_at timestamptz
    )
    """,
    "CREATE INDEX mails_to_send ON directory.mails (next_attempt_at, id) WHERE sent_at IS NULL AND failed_at IS NULL",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON directory.mails TO penny_system",
    "GRANT INSERT ON directory.mails TO penny_app",
]
BACKWARDS = ["DROP SCHEMA directory CASCADE", "DROP SCHEMA penny CASCADE"]


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
