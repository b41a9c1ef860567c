"""Let the built-in roles of tenants that are there already see models, bring their own keys, and administer them."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration
from db.protection import grant, revoke

ID = "m20261125_2230_grant_models_scopes"
VERSION = "1.38.0"
DESCRIPTION = "grant the scopes of models to the built-in roles"
CHANGES_ROWS_ONLY = True
GRANTED = {
    "owner": ("models:read", "models:write", "models:admin"),
    "admin": ("models:read", "models:write", "models:admin"),
    "manager": ("models:read", "models:write"),
    "creator": ("models:read", "models:write"),
    "viewer": ("models:read",),
}

FORWARDS = grant(GRANTED)
BACKWARDS = revoke(*GRANTED["owner"])


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
