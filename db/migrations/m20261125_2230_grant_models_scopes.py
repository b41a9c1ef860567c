"""Let the built-in roles of tenants that are there already see models, bring their own keys, and administer them."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration

ID = "m20261125_2230_grant_models_scopes"
VERSION = "1.38.0"
DESCRIPTION = "grant the scopes of models to the built-in roles"
CHANGES_ROWS_ONLY = True
GRANTED = {
    "owner": "{models:read,models:write,models:admin}",
    "admin": "{models:read,models:write,models:admin}",
    "manager": "{models:read,models:write}",
    "creator": "{models:read,models:write}",
    "viewer": "{models:read}",
}
# The owner of the tables sees no tenant's rows either, but for this moment in this transaction.
OPEN, CLOSED = "ALTER TABLE penny.roles NO FORCE ROW LEVEL SECURITY", "ALTER TABLE penny.roles FORCE ROW LEVEL SECURITY"

FORWARDS = [
    OPEN,
    *(
        f"UPDATE penny.roles SET scopes = scopes || '{scopes}'::text[] WHERE builtin AND name = '{name}' AND NOT scopes && '{scopes}'"  # noqa: S608 - constants
        for name, scopes in GRANTED.items()
    ),
    CLOSED,
]
BACKWARDS = [
    OPEN,
    """
    UPDATE penny.roles SET scopes = ARRAY(SELECT scope FROM unnest(scopes) WITH ORDINALITY AS s (scope, place)
        WHERE scope NOT IN ('models:read', 'models:write', 'models:admin') ORDER BY place)
    """,
    CLOSED,
]


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
