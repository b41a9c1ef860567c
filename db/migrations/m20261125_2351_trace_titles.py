"""Say which question a model made a title of, so that the title goes when the question is redacted, wherever it was taken along."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration

ID = "m20261125_2351_trace_titles"
VERSION = "1.38.0"
DESCRIPTION = "trace titles"
TABLES = ("chats", "chat_shares")

FORWARDS = [
    # No foreign key: a title that was taken along stays when the chat that it comes from is deleted.
    *(f"ALTER TABLE penny.{table} ADD titled_from_id uuid" for table in TABLES),
    *(
        f"CREATE INDEX {table}_titled_from ON penny.{table} (tenant_id, titled_from_id) WHERE titled_from_id IS NOT NULL"
        for table in TABLES
    ),
]
BACKWARDS = [f"ALTER TABLE penny.{table} DROP titled_from_id" for table in TABLES]


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
