"""Create what clients are known by: manifests of the documents that they send, the documents themselves, and how often they are used."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration
from db.protection import drop, protect

ID = "m20261125_2350_create_documents"
VERSION = "1.38.0"
DESCRIPTION = "create manifests and documents"
TABLES = ["document_manifests", "trusted_documents", "manifest_documents", "document_calls", "manifest_drafts"]

FORWARDS = [
    """
    CREATE TABLE penny.document_manifests (
        tenant_id uuid NOT NULL REFERENCES penny.tenants (tenant_id) ON DELETE CASCADE,
        id uuid NOT NULL,
        client text NOT NULL,
        version text NOT NULL,
        document_count int NOT NULL,
        created_by uuid NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, id),
        UNIQUE (tenant_id, client, version)
    )
    """,
    *protect("document_manifests", app="SELECT, INSERT, DELETE"),
    # A text is kept once for all manifests that have it, byte for byte, under its hash. Whoever has not signed in belongs to no tenant:
    # for them the system looks for a text that asks for nothing but what is public, and whose hash they know anyway.
    """
    CREATE TABLE penny.trusted_documents (
        tenant_id uuid NOT NULL REFERENCES penny.tenants (tenant_id) ON DELETE CASCADE,
        id uuid NOT NULL,
        sha256 bytea NOT NULL,
        body text NOT NULL,
        operation_name text NOT NULL,
        cost int NOT NULL,
        is_public boolean NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        last_used_at timestamptz,
        PRIMARY KEY (tenant_id, id),
        UNIQUE (tenant_id, sha256)
    )
    """,
    "CREATE INDEX trusted_documents_public ON penny.trusted_documents (sha256) WHERE is_public",
    *protect("trusted_documents", app="SELECT, INSERT, UPDATE, DELETE", system_sees="is_public AND (SELECT current_user) = 'penny_system'"),
    "GRANT SELECT (tenant_id, id, sha256, body, is_public) ON penny.trusted_documents TO penny_system",
    # `name` is what the client's tool calls the document: mostly a hash of its text, of whatever kind the tool makes.
    """
    CREATE TABLE penny.manifest_documents (
        tenant_id uuid NOT NULL REFERENCES penny.tenants (tenant_id) ON DELETE CASCADE,
        manifest_id uuid NOT NULL,
        document_id uuid NOT NULL,
        name text NOT NULL,
        added_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, manifest_id, name),
        FOREIGN KEY (tenant_id, manifest_id) REFERENCES penny.document_manifests (tenant_id, id) ON DELETE CASCADE,
        FOREIGN KEY (tenant_id, document_id) REFERENCES penny.trusted_documents (tenant_id, id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX manifest_documents_name ON penny.manifest_documents (tenant_id, name)",
    "CREATE INDEX manifest_documents_document ON penny.manifest_documents (tenant_id, document_id)",
    "CREATE INDEX manifest_documents_page ON penny.manifest_documents (tenant_id, manifest_id, document_id)",
    *protect("manifest_documents", app="SELECT, INSERT, DELETE"),
    """
    CREATE TABLE penny.document_calls (
        tenant_id uuid NOT NULL REFERENCES penny.tenants (tenant_id) ON DELETE CASCADE,
        document_id uuid NOT NULL,
        day date NOT NULL,
        calls bigint NOT NULL DEFAULT 0,
        PRIMARY KEY (tenant_id, document_id, day),
        FOREIGN KEY (tenant_id, document_id) REFERENCES penny.trusted_documents (tenant_id, id) ON DELETE CASCADE
    )
    """,
    *protect("document_calls", app="SELECT, INSERT, UPDATE, DELETE"),
    # The parts of a manifest that came so far: nothing of it can be asked for before the last one has come.
    """
    CREATE TABLE penny.manifest_drafts (
        tenant_id uuid NOT NULL REFERENCES penny.tenants (tenant_id) ON DELETE CASCADE,
        client text NOT NULL,
        version text NOT NULL,
        parts int NOT NULL,
        documents jsonb NOT NULL,
        changed_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, client, version)
    )
    """,
    *protect("manifest_drafts", app="SELECT, INSERT, UPDATE, DELETE"),
]
BACKWARDS = drop(TABLES)


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
