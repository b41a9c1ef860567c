"""Keep assistants with members of their tenant: those of people who left go to whoever has been its owner longest."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration
from db.protection import over_all_tenants

ID = "m20261125_2350_keep_assistants_with_members"
VERSION = "1.38.0"
DESCRIPTION = "keep assistants with members"

# Memberships and roles are read beside, so they too are open to the owner of the tables for this moment.
PASSED_ON = """
    UPDATE penny.assistants a SET owner_id = (
        SELECT m.user_id FROM penny.memberships m JOIN penny.roles r ON r.tenant_id = m.tenant_id AND r.id = m.role_id
        WHERE m.tenant_id = a.tenant_id AND r.builtin AND r.name = 'owner' ORDER BY (m.status = 'ACTIVE') DESC, m.joined_at, m.id LIMIT 1
    ) WHERE NOT EXISTS (SELECT 1 FROM penny.memberships m WHERE m.tenant_id = a.tenant_id AND m.user_id = a.owner_id)
"""
FORWARDS = [
    *over_all_tenants("memberships", *over_all_tenants("roles", *over_all_tenants("assistants", PASSED_ON))),
    "CREATE INDEX assistants_owner ON penny.assistants (tenant_id, owner_id)",
    """
    ALTER TABLE penny.assistants ADD CONSTRAINT assistants_owner_fkey
        FOREIGN KEY (tenant_id, owner_id) REFERENCES penny.memberships (tenant_id, user_id)
    """,
]
BACKWARDS = ["ALTER TABLE penny.assistants DROP CONSTRAINT assistants_owner_fkey", "DROP INDEX penny.assistants_owner"]


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
