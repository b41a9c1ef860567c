"""What clients send: documents, the manifests that name them, and how often they are used."""

from piccolo.columns import JSONB, UUID, BigInt, Boolean, Bytea, Date, Integer, Text, Timestamptz
from piccolo.table import Table


class DocumentManifest(Table, tablename="document_manifests", schema="penny"):
    tenant_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    client = Text()
    version = Text()
    document_count = Integer(default=None)
    created_by = UUID(default=None)
    created_at = Timestamptz()


class TrustedDocument(Table, tablename="trusted_documents", schema="penny"):
    tenant_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    sha256 = Bytea()
    body = Text()
    operation_name = Text()
    cost = Integer(default=None)
    is_public = Boolean(default=False)
    created_at = Timestamptz()
    last_used_at = Timestamptz(null=True, default=None)


class ManifestDocument(Table, tablename="manifest_documents", schema="penny"):
    tenant_id = UUID(default=None)
    manifest_id = UUID(default=None)
    document_id = UUID(default=None)
    name = Text(primary_key=True, default=None)
    added_at = Timestamptz()


class DocumentCalls(Table, tablename="document_calls", schema="penny"):
    tenant_id = UUID(default=None)
    document_id = UUID(primary_key=True, default=None)
    day = Date(default=None)
    calls = BigInt(default=0)


class ManifestDraft(Table, tablename="manifest_drafts", schema="penny"):
    tenant_id = UUID(default=None)
    client = Text()
    version = Text(primary_key=True, default=None)
    parts = Integer(default=None)
    documents = JSONB(default="null")
    changed_at = Timestamptz()
    document_count = Integer(default=0)
    bytes = BigInt(default=0)


class DraftDocument(Table, tablename="draft_documents", schema="penny"):
    tenant_id = UUID(default=None)
    client = Text()
    version = Text()
    place = Integer(default=None)
    name = Text(primary_key=True, default=None)
    sha256 = Bytea()
    body = Text()
    operation_name = Text()
    cost = Integer(default=None)
    is_public = Boolean(default=False)
    added_at = Timestamptz()
