"""Find whoever published a public document first: to that tenant the uses count of those who have not signed in."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration

ID = "m20261126_0535_find_first_publishers"
VERSION = "1.38.0"
DESCRIPTION = "find first publishers"

# `trusted_documents_public` goes with the release after: an index that is dropped locks the table out for a moment.
FORWARDS = ["CREATE INDEX trusted_documents_first_public ON penny.trusted_documents (sha256, id) WHERE is_public"]
BACKWARDS = ["DROP INDEX penny.trusted_documents_first_public"]


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
