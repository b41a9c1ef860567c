"""Let an API key be a client's, which then sends nothing but that client's documents; let administrators keep what clients send."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration
from db.protection import grant, revoke

ID = "m20261125_2351_bind_keys_to_clients"
VERSION = "1.38.0"
DESCRIPTION = "bind API keys to clients and grant api:admin"

FORWARDS = ["ALTER TABLE penny.api_keys ADD document_client text", *grant({"owner": ("api:admin",), "admin": ("api:admin",)})]
BACKWARDS = [*revoke("api:admin"), "ALTER TABLE penny.api_keys DROP document_client"]


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
