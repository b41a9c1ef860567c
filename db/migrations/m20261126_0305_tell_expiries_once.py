"""Note when it was told that a link has expired; the jobs that wait for that are no person's, who could cancel them."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration
from db.protection import tenant_by_tenant

ID = "m20261126_0305_tell_expiries_once"
VERSION = "1.38.0"
DESCRIPTION = "tell expiries once"

FORWARDS = [
    "ALTER TABLE penny.chat_shares ADD expiry_told_at timestamptz",
    tenant_by_tenant("UPDATE penny.jobs SET created_by = NULL WHERE tenant_id = tenant AND kind = 'link expiry' AND finished_at IS NULL"),
]
BACKWARDS = ["ALTER TABLE penny.chat_shares DROP expiry_told_at"]


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
