"""Say which question a model made a title of, so that the title goes when the question is redacted, wherever it was taken along."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration
from db.protection import over_all_tenants

ID = "m20261125_2351_trace_titles"
VERSION = "1.38.0"
DESCRIPTION = "trace titles"
TABLES = ("chats", "chat_shares")
# Until now titles were made of the first question, and the titles of links and forks were their chats'.
_OLD = """
    UPDATE penny.chats c SET titled_from_id = (
        SELECT m.id FROM penny.messages m
        WHERE m.tenant_id = c.tenant_id AND m.chat_id = c.id AND m.parent_id IS NULL ORDER BY m.id LIMIT 1
    ) WHERE c.titled_by = 'MODEL'
"""
_OLD_LINKS = """
    UPDATE penny.chat_shares s SET titled_from_id = c.titled_from_id FROM penny.chats c
    WHERE c.tenant_id = s.tenant_id AND c.id = s.chat_id AND s.title IS NOT NULL
"""

FORWARDS = [
    # No foreign key: a title that was taken along stays when the chat that it comes from is deleted.
    *(f"ALTER TABLE penny.{table} ADD titled_from_id uuid" for table in TABLES),
    *(
        f"CREATE INDEX {table}_titled_from ON penny.{table} (tenant_id, titled_from_id) WHERE titled_from_id IS NOT NULL"
        for table in TABLES
    ),
    *over_all_tenants("messages", *over_all_tenants("chats", _OLD, *over_all_tenants("chat_shares", _OLD_LINKS))),
]
BACKWARDS = [f"ALTER TABLE penny.{table} DROP titled_from_id" for table in TABLES]


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
