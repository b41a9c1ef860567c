"""Create facts: what happened in a tenant, in the order of transactions; and let owners and administrators follow them."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration
from db.protection import drop, protect

ID = "m20261125_2300_create_facts"
VERSION = "1.38.0"
DESCRIPTION = "create facts and eras"
PARTITIONS = 8
SYSTEM = "(SELECT current_user) = 'penny_system'"

FORWARDS = [
    # The numbers of transactions begin anew in another cluster: an era is the time that a database lived in one.
    """
    CREATE TABLE directory.eras (
        number int PRIMARY KEY,
        cluster bigint NOT NULL,
        began_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "INSERT INTO directory.eras (number, cluster) SELECT 1, system_identifier FROM pg_control_system()",
    "GRANT SELECT ON directory.eras TO penny_app, penny_system",
    # (era, xact, id) is the order in which facts are told; `xact` is the number of the transaction that wrote the fact, and `id`
    # counts up within one. `details` holds ids and words, never content. No foreign keys: facts outlive what they are about.
    """
    CREATE TABLE penny.facts (
        tenant_id uuid NOT NULL,
        id uuid NOT NULL,
        era int NOT NULL,
        xact bigint NOT NULL,
        at timestamptz NOT NULL DEFAULT now(),
        type text NOT NULL,
        subject_id uuid NOT NULL,
        chat_id uuid,
        user_id uuid,
        actor_id uuid,
        actor_key_id uuid,
        details jsonb NOT NULL,
        PRIMARY KEY (tenant_id, id)
    ) PARTITION BY HASH (tenant_id)
    """,
    "CREATE INDEX facts_of_tenant ON penny.facts (tenant_id, era, xact, id)",
    # For those who look whether there is anything new in any tenant, and for the one who takes away what is old.
    "CREATE INDEX facts_in_order ON penny.facts (era, xact, tenant_id)",
    "CREATE INDEX facts_by_age ON penny.facts USING brin (at)",
    *protect("facts", app="SELECT, INSERT", system="INSERT, DELETE", system_sees=SYSTEM, partitions=PARTITIONS),
    "GRANT SELECT (tenant_id, id, era, xact, at) ON penny.facts TO penny_system",
    # Roles have a tenant, and a migration has none: for a moment the owner may pass.
    "ALTER TABLE penny.roles NO FORCE ROW LEVEL SECURITY",
    """
    UPDATE penny.roles SET scopes = array_append(scopes, 'events:read')
    WHERE builtin AND name IN ('owner', 'admin') AND NOT 'events:read' = ANY(scopes)
    """,
    "ALTER TABLE penny.roles FORCE ROW LEVEL SECURITY",
]
BACKWARDS = [
    "ALTER TABLE penny.roles NO FORCE ROW LEVEL SECURITY",
    "UPDATE penny.roles SET scopes = array_remove(scopes, 'events:read') WHERE 'events:read' = ANY(scopes)",
    "ALTER TABLE penny.roles FORCE ROW LEVEL SECURITY",
    *drop(["facts"]),
    "DROP TABLE directory.eras",
]


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
