"""Keep the documents of a manifest's draft as rows, so that a part which comes touches none of those before it."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration
from db.protection import drop, protect

ID = "m20261126_0530_keep_drafts_by_document"
VERSION = "1.38.0"
DESCRIPTION = "keep drafts by document"
TABLES = ["draft_documents"]

FORWARDS = [
    # `documents` is JSON's null from here on: the version before, which reads a list there, does not go on with such a draft, nor does this
    # one with a list.
    "ALTER TABLE penny.manifest_drafts ADD document_count int NOT NULL DEFAULT 0, ADD bytes bigint NOT NULL DEFAULT 0",
    """
    CREATE TABLE penny.draft_documents (
        tenant_id uuid NOT NULL REFERENCES penny.tenants (tenant_id) ON DELETE CASCADE,
        client text NOT NULL,
        version text NOT NULL,
        place int NOT NULL,
        name text NOT NULL,
        sha256 bytea NOT NULL,
        body text NOT NULL,
        operation_name text NOT NULL,
        cost int NOT NULL,
        is_public boolean NOT NULL,
        added_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, client, version, name),
        FOREIGN KEY (tenant_id, client, version) REFERENCES penny.manifest_drafts (tenant_id, client, version) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX draft_documents_place ON penny.draft_documents (tenant_id, client, version, place)",
    *protect("draft_documents", app="SELECT, INSERT"),
]
BACKWARDS = [*drop(TABLES), "ALTER TABLE penny.manifest_drafts DROP document_count, DROP bytes"]


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
