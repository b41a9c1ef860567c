"""Statements over manifests and their documents: published and taken back as a whole, looked up by id, counted in batches."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID

import msgspec

from db.scopes import Reading, Row, Writing
from db.statements.projections import Columns, Projection
from db.tables.documents import DocumentManifest, TrustedDocument


class NewDocument(msgspec.Struct, frozen=True):
    """A document of a manifest, as its client calls it; its hash is that of its text."""

    name: str
    sha256: bytes
    body: str
    operation_name: str
    cost: int
    is_public: bool


_MANIFESTS_BY_IDS: Final = Projection(
    "SELECT {columns} FROM penny.document_manifests WHERE tenant_id = $1 AND id = ANY($2::uuid[])", DocumentManifest, always=("id",)
)
_DOCUMENTS_BY_IDS: Final = Projection(
    "SELECT {columns} FROM penny.trusted_documents WHERE tenant_id = $1 AND id = ANY($2::uuid[])", TrustedDocument, always=("id",)
)
_DOCUMENTS: Final = Projection(
    """
    SELECT asked.manifest_id, {columns} FROM unnest($2::uuid[]) AS asked (manifest_id)
    CROSS JOIN LATERAL (
        SELECT d.* FROM penny.trusted_documents d
        WHERE d.tenant_id = $1 AND ($3::uuid IS NULL OR d.id > $3) AND EXISTS (
            SELECT 1 FROM penny.manifest_documents n
            WHERE n.tenant_id = d.tenant_id AND n.manifest_id = asked.manifest_id AND n.document_id = d.id
        )
        ORDER BY d.id LIMIT $4
    ) document
    ORDER BY asked.manifest_id, document.id
    """,
    TrustedDocument,
    of="document",
    always=("id",),
)
# Sub-selects, so that whatever a tenant has of each, it is looked up by key.
BY_SHA256: Final = """
    SELECT d.id, d.body, ARRAY (
        SELECT DISTINCT (SELECT m.client FROM penny.document_manifests m WHERE m.tenant_id = n.tenant_id AND m.id = n.manifest_id)
        FROM penny.manifest_documents n WHERE n.tenant_id = d.tenant_id AND n.document_id = d.id
    ) AS clients
    FROM penny.trusted_documents d WHERE d.tenant_id = $1 AND d.sha256 = $2
"""
BY_NAME: Final = """
    SELECT d.id, d.body, ARRAY (
        SELECT DISTINCT (SELECT m.client FROM penny.document_manifests m WHERE m.tenant_id = n.tenant_id AND m.id = n.manifest_id)
        FROM penny.manifest_documents n WHERE n.tenant_id = d.tenant_id AND n.name = $2
    ) AS clients
    FROM penny.trusted_documents d WHERE d.tenant_id = $1 AND d.id = ANY (ARRAY (
        SELECT DISTINCT n.document_id FROM penny.manifest_documents n WHERE n.tenant_id = $1 AND n.name = $2
    ))
"""


async def by_sha256(scope: Reading, tenant_id: UUID, sha256: bytes) -> Row | None:
    """Read a document with the clients whose manifests have it."""
    return await scope.row(BY_SHA256, tenant_id, sha256)


async def by_name(scope: Reading, tenant_id: UUID, name: str) -> Row | None:
    """Read the document that clients call by this name, with the clients that do."""
    return await scope.row(BY_NAME, tenant_id, name)


async def public_body(scope: Reading, sha256: bytes) -> str | None:
    """Read a text that asks for nothing but what is public, whoever published it; needs a system scope."""
    body = await scope.value("SELECT body FROM penny.trusted_documents WHERE is_public AND sha256 = $1 LIMIT 1", sha256)
    return None if body is None else str(body)


async def manifests_by_ids(scope: Reading, tenant_id: UUID, ids: Sequence[UUID], columns: Columns | None = None) -> list[Row]:
    return await scope.rows(_MANIFESTS_BY_IDS.text(columns), tenant_id, list(ids))


async def documents_by_ids(scope: Reading, tenant_id: UUID, ids: Sequence[UUID], columns: Columns | None = None) -> list[Row]:
    return await scope.rows(_DOCUMENTS_BY_IDS.text(columns), tenant_id, list(ids))


async def page_of_manifests(scope: Reading, tenant_id: UUID, *, beyond: UUID | None, limit: int) -> list[Row]:
    """Read a page of the tenant's manifests, the newest first."""
    return await scope.rows(
        "SELECT * FROM penny.document_manifests WHERE tenant_id = $1 AND ($2::uuid IS NULL OR id < $2) ORDER BY id DESC LIMIT $3",
        tenant_id,
        beyond,
        limit,
    )


async def pages_of_documents(  # noqa: PLR0913 - the arguments of a page
    scope: Reading, tenant_id: UUID, manifest_ids: Sequence[UUID], *, beyond: UUID | None, limit: int, columns: Columns | None = None
) -> list[Row]:
    """Read the same page of many manifests' documents at once, each document of a manifest once; `manifest_id` says whose it is."""
    return await scope.rows(_DOCUMENTS.text(columns), tenant_id, list(manifest_ids), beyond, limit)


async def unread_documents(scope: Reading, tenant_id: UUID, manifest_ids: Sequence[UUID]) -> list[Row]:
    """Read which documents manifests have, without their texts; one that several have comes once."""
    return await scope.rows(
        """
        SELECT d.id, d.sha256, d.operation_name FROM penny.trusted_documents d WHERE d.tenant_id = $1 AND d.id = ANY (ARRAY (
            SELECT DISTINCT n.document_id FROM penny.manifest_documents n WHERE n.tenant_id = $1 AND n.manifest_id = ANY($2::uuid[])
        ))
        """,
        tenant_id,
        list(manifest_ids),
    )


async def manifests_with(scope: Reading, tenant_id: UUID, manifest_ids: Sequence[UUID], document_ids: Sequence[UUID]) -> list[Row]:
    """Read which of these manifests have which of these documents, in the order in which those were first published."""
    return await scope.rows(
        """
        SELECT DISTINCT document_id, manifest_id FROM penny.manifest_documents
        WHERE tenant_id = $1 AND manifest_id = ANY($2::uuid[]) AND document_id = ANY($3::uuid[]) ORDER BY document_id
        """,
        tenant_id,
        list(manifest_ids),
        list(document_ids),
    )


async def last_uses(scope: Reading, tenant_id: UUID, manifest_ids: Sequence[UUID]) -> Mapping[UUID, datetime | None]:
    """Read when a document of each manifest was last used."""
    rows = await scope.rows(
        """
        SELECT n.manifest_id, max(d.last_used_at) AS last_used_at
        FROM penny.manifest_documents n JOIN penny.trusted_documents d ON d.tenant_id = n.tenant_id AND d.id = n.document_id
        WHERE n.tenant_id = $1 AND n.manifest_id = ANY($2::uuid[]) GROUP BY n.manifest_id
        """,
        tenant_id,
        list(manifest_ids),
    )
    return {row["manifest_id"]: row["last_used_at"] for row in rows}


async def calls_since(scope: Reading, tenant_id: UUID, document_ids: Sequence[UUID], since: date) -> Mapping[UUID, int]:
    """Count the uses of documents on this day and after it."""
    rows = await scope.rows(
        """
        SELECT document_id, sum(calls)::bigint AS calls FROM penny.document_calls
        WHERE tenant_id = $1 AND document_id = ANY($2::uuid[]) AND day >= $3 GROUP BY document_id
        """,
        tenant_id,
        list(document_ids),
        since,
    )
    return {row["document_id"]: row["calls"] for row in rows}


async def manifest_of(scope: Reading, tenant_id: UUID, client: str, version: str) -> Row | None:
    return await scope.row(
        "SELECT * FROM penny.document_manifests WHERE tenant_id = $1 AND client = $2 AND version = $3", tenant_id, client, version
    )


async def hashes_by_name(scope: Reading, tenant_id: UUID, manifest_id: UUID) -> Mapping[str, bytes]:
    """Read what a manifest calls its documents."""
    rows = await scope.rows(
        """
        SELECT n.name, d.sha256
        FROM penny.manifest_documents n JOIN penny.trusted_documents d ON d.tenant_id = n.tenant_id AND d.id = n.document_id
        WHERE n.tenant_id = $1 AND n.manifest_id = $2
        """,
        tenant_id,
        manifest_id,
    )
    return {row["name"]: row["sha256"] for row in rows}


async def taken_names(scope: Reading, tenant_id: UUID, documents: Sequence[NewDocument]) -> list[str]:
    """Name those documents whose names mean another text already."""
    rows = await scope.rows(
        """
        SELECT DISTINCT n.name FROM unnest($2::text[], $3::bytea[]) AS given (name, sha256)
        JOIN penny.manifest_documents n ON n.tenant_id = $1 AND n.name = given.name
        JOIN penny.trusted_documents d ON d.tenant_id = n.tenant_id AND d.id = n.document_id
        WHERE d.sha256 <> given.sha256 ORDER BY n.name
        """,
        tenant_id,
        [one.name for one in documents],
        [one.sha256 for one in documents],
    )
    return [row["name"] for row in rows]


async def sizes(scope: Reading, tenant_id: UUID) -> tuple[int, int]:
    """Count a tenant's manifests, and the bytes of all its documents, those of drafts among them."""
    row = await scope.row(
        """
        SELECT (SELECT count(*) FROM penny.document_manifests WHERE tenant_id = $1) AS manifests,
            (SELECT coalesce(sum(octet_length(body)), 0)::bigint FROM penny.trusted_documents WHERE tenant_id = $1)
            + (SELECT coalesce(sum(octet_length(documents::text)), 0)::bigint FROM penny.manifest_drafts WHERE tenant_id = $1) AS bytes
        """,
        tenant_id,
    )
    assert row is not None
    return row["manifests"], row["bytes"]


async def publish(scope: Writing, manifest: DocumentManifest, documents: Sequence[NewDocument]) -> None:
    """Write a manifest and those of its documents that are new to the tenant."""
    unique = {one.sha256: one for one in documents}.values()
    rows = await scope.rows(
        """
        INSERT INTO penny.trusted_documents (tenant_id, id, sha256, body, operation_name, cost, is_public)
        SELECT $1, uuidv7(), one.* FROM unnest($2::bytea[], $3::text[], $4::text[], $5::int[], $6::bool[]) AS one
        ON CONFLICT (tenant_id, sha256) DO UPDATE SET cost = excluded.cost, is_public = excluded.is_public
        RETURNING id, sha256
        """,
        manifest.tenant_id,
        [one.sha256 for one in unique],
        [one.body for one in unique],
        [one.operation_name for one in unique],
        [one.cost for one in unique],
        [one.is_public for one in unique],
    )
    ids = {row["sha256"]: row["id"] for row in rows}
    await scope.run(DocumentManifest.insert(manifest))
    await scope.run(
        """
        INSERT INTO penny.manifest_documents (tenant_id, manifest_id, document_id, name)
        SELECT $1, $2, one.document_id, one.name FROM unnest($3::uuid[], $4::text[]) AS one (document_id, name)
        """,
        manifest.tenant_id,
        manifest.id,
        [ids[one.sha256] for one in documents],
        [one.name for one in documents],
    )


async def delete_manifest(scope: Writing, tenant_id: UUID, manifest_id: UUID) -> bool:
    """Take a manifest back, and the documents that no other one has; False when there is none."""
    gone = await scope.run("DELETE FROM penny.document_manifests WHERE tenant_id = $1 AND id = $2", tenant_id, manifest_id)
    await scope.run(
        """
        DELETE FROM penny.trusted_documents d WHERE d.tenant_id = $1
        AND NOT EXISTS (SELECT 1 FROM penny.manifest_documents n WHERE n.tenant_id = d.tenant_id AND n.document_id = d.id)
        """,
        tenant_id,
    )
    return gone == 1


async def draft_of(scope: Reading, tenant_id: UUID, client: str, version: str) -> tuple[int, list[NewDocument]]:
    """Read how many parts of a manifest have come, and what was in them."""
    row = await scope.row(
        "SELECT parts, documents FROM penny.manifest_drafts WHERE tenant_id = $1 AND client = $2 AND version = $3",
        tenant_id,
        client,
        version,
    )
    return (0, []) if row is None else (row["parts"], msgspec.json.decode(row["documents"], type=list[NewDocument]))


async def keep_draft(  # noqa: PLR0913 - a draft's key and what is in it
    scope: Writing, tenant_id: UUID, client: str, version: str, *, parts: int, documents: Sequence[NewDocument]
) -> None:
    """Keep the parts of a manifest that came so far."""
    await scope.run(
        """
        INSERT INTO penny.manifest_drafts (tenant_id, client, version, parts, documents) VALUES ($1, $2, $3, $4, $5::jsonb)
        ON CONFLICT (tenant_id, client, version) DO UPDATE SET parts = excluded.parts, documents = excluded.documents, changed_at = now()
        """,
        tenant_id,
        client,
        version,
        parts,
        msgspec.json.encode(documents).decode(),
    )


async def delete_drafts(scope: Writing, tenant_id: UUID, client: str, version: str, *, before: datetime) -> None:
    """Forget the draft of a manifest, and those that nobody has gone on with since a moment."""
    await scope.run(
        "DELETE FROM penny.manifest_drafts WHERE tenant_id = $1 AND ((client = $2 AND version = $3) OR changed_at < $4)",
        tenant_id,
        client,
        version,
        before,
    )


async def add_calls(scope: Writing, tenant_id: UUID, calls: Mapping[UUID, int], at: datetime, *, keep_from: date) -> None:
    """Count uses of documents; those that are gone are left out, and counts of days before `keep_from` are dropped."""
    there = await scope.rows(
        "SELECT id FROM penny.trusted_documents WHERE tenant_id = $1 AND id = ANY($2::uuid[]) ORDER BY id FOR NO KEY UPDATE",
        tenant_id,
        list(calls),
    )
    ids = [row["id"] for row in there]
    await scope.run(
        """
        INSERT INTO penny.document_calls (tenant_id, document_id, day, calls)
        SELECT $1, one.id, $4, one.calls FROM unnest($2::uuid[], $3::bigint[]) AS one (id, calls)
        ON CONFLICT (tenant_id, document_id, day) DO UPDATE SET calls = document_calls.calls + excluded.calls
        """,
        tenant_id,
        ids,
        [calls[one] for one in ids],
        at.date(),
    )
    await scope.run(
        "UPDATE penny.trusted_documents SET last_used_at = $3 WHERE tenant_id = $1 AND id = ANY($2::uuid[])", tenant_id, ids, at
    )
    await scope.run(
        "DELETE FROM penny.document_calls WHERE tenant_id = $1 AND document_id = ANY($2::uuid[]) AND day < $3", tenant_id, ids, keep_from
    )
