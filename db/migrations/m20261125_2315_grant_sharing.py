"""Let the built-in roles of tenants that are there already show chats to people outside of the tenant."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration
from db.protection import over_all_tenants

ID = "m20261125_2315_grant_sharing"
VERSION = "1.38.0"
DESCRIPTION = "grant the scope of sharing to the built-in roles"
CHANGES_ROWS_ONLY = True

FORWARDS = over_all_tenants(
    "roles",
    """
    UPDATE penny.roles SET scopes = array_append(scopes, 'chats:share')
    WHERE builtin AND name IN ('owner', 'admin', 'manager', 'creator') AND NOT 'chats:share' = ANY (scopes)
    """,
)
BACKWARDS = over_all_tenants("roles", "UPDATE penny.roles SET scopes = array_remove(scopes, 'chats:share')")


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
