"""Statements over manifests and their documents: published and taken back as a whole, looked up by id, counted in batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, NamedTuple
from uuid import UUID

from db.scopes import Reading, Row, Writing
from db.statements.projections import Columns, Projection
from db.tables.documents import DocumentManifest, TrustedDocument


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document of a manifest, as its client calls it; its hash is that of its text."""

    name: str
    sha256: bytes
    body: str
    operation_name: str
    cost: int
    is_public: bool


class Release(NamedTuple):
    """A version of a tenant's client."""

    tenant_id: UUID
    client: str
    version: str


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


async def public_by_sha256(scope: Reading, sha256: bytes) -> Row | None:
    """Read a document that asks for nothing but what is public, of the tenant that published it first; needs a system scope."""
    return await scope.row(
        "SELECT tenant_id, id, body FROM penny.trusted_documents WHERE is_public AND sha256 = $1 ORDER BY id LIMIT 1", sha256
    )


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


async def manifest_of(scope: Reading, release: Release) -> Row | None:
    return await scope.row("SELECT * FROM penny.document_manifests WHERE tenant_id = $1 AND client = $2 AND version = $3", *release)


async def parts_of_draft(scope: Reading, release: Release) -> int:
    """Count the parts of a manifest that have come; 0 before the first."""
    # What a version of PENNY before this one began lies in `documents`, and nobody can go on with it.
    parts = await scope.value(
        "SELECT parts FROM penny.manifest_drafts WHERE tenant_id = $1 AND client = $2 AND version = $3 AND documents = 'null'", *release
    )
    return parts if isinstance(parts, int) else 0


async def add_to_draft(scope: Writing, release: Release, *, part: int, documents: Sequence[NewDocument]) -> tuple[int, int]:
    """Put a part of a manifest behind those that came before it; returns how many documents that makes, and how many of these are new.

    One whose name is in the draft already is left out.
    """
    row = await scope.row(
        """
        INSERT INTO penny.manifest_drafts AS draft (tenant_id, client, version, parts, documents, document_count, bytes)
        VALUES ($1, $2, $3, $4, 'null', $5, $6)
        ON CONFLICT (tenant_id, client, version) DO UPDATE SET parts = excluded.parts, changed_at = now(),
            document_count = draft.document_count + excluded.document_count, bytes = draft.bytes + excluded.bytes
        RETURNING document_count
        """,
        *release,
        part,
        len(documents),
        sum(len(one.body.encode()) for one in documents),
    )
    assert row is not None, "one was written"
    added = await scope.run(
        """
        INSERT INTO penny.draft_documents (tenant_id, client, version, place, name, sha256, body, operation_name, cost, is_public)
        SELECT $1, $2, $3, $4 + one.number, one.name, one.sha256, one.body, one.operation_name, one.cost, one.is_public
        FROM unnest($5::text[], $6::bytea[], $7::text[], $8::text[], $9::int[], $10::bool[])
            WITH ORDINALITY AS one (name, sha256, body, operation_name, cost, is_public, number)
        ON CONFLICT DO NOTHING
        """,
        *release,
        row["document_count"] - len(documents),
        [one.name for one in documents],
        [one.sha256 for one in documents],
        [one.body for one in documents],
        [one.operation_name for one in documents],
        [one.cost for one in documents],
        [one.is_public for one in documents],
    )
    return row["document_count"], added


async def taken_names(scope: Reading, release: Release, *, after: int) -> list[str]:
    """Name those documents of a draft behind its first `after` whose names mean another text already."""
    rows = await scope.rows(
        """
        SELECT given.name FROM penny.draft_documents given
        WHERE given.tenant_id = $1 AND given.client = $2 AND given.version = $3 AND given.place > $4 AND given.sha256 <> ANY (ARRAY (
            SELECT (SELECT d.sha256 FROM penny.trusted_documents d WHERE d.tenant_id = n.tenant_id AND d.id = n.document_id)
            FROM penny.manifest_documents n WHERE n.tenant_id = $1 AND n.name = given.name
        )) ORDER BY given.name
        """,
        *release,
        after,
    )
    return [row["name"] for row in rows]


async def is_published(scope: Reading, release: Release, manifest_id: UUID) -> bool:
    """Whether a manifest has the documents of a draft, by the same names, and no others."""
    return bool(
        await scope.value(
            """
            WITH draft AS (
                SELECT name, sha256 FROM penny.draft_documents WHERE tenant_id = $1 AND client = $2 AND version = $3
            ), manifest AS (
                SELECT n.name, d.sha256
                FROM penny.manifest_documents n JOIN penny.trusted_documents d ON d.tenant_id = n.tenant_id AND d.id = n.document_id
                WHERE n.tenant_id = $1 AND n.manifest_id = $4
            )
            SELECT NOT EXISTS (TABLE draft EXCEPT TABLE manifest) AND NOT EXISTS (TABLE manifest EXCEPT TABLE draft)
            """,
            *release,
            manifest_id,
        )
    )


async def sizes(scope: Reading, tenant_id: UUID) -> tuple[int, int]:
    """Count a tenant's manifests, and the bytes of all its documents; drafts count as they are."""
    row = await scope.row(
        """
        SELECT (SELECT count(*) FROM penny.document_manifests WHERE tenant_id = $1) + count(*) AS manifests,
            (SELECT coalesce(sum(octet_length(body)), 0)::bigint FROM penny.trusted_documents WHERE tenant_id = $1)
            + coalesce(sum(bytes), 0)::bigint AS bytes
        FROM penny.manifest_drafts WHERE tenant_id = $1
        """,
        tenant_id,
    )
    assert row is not None
    return row["manifests"], row["bytes"]


async def sizes_of_drafts(scope: Reading, tenant_id: UUID) -> tuple[int, int]:
    """Count a tenant's drafts, and the bytes of their documents."""
    row = await scope.row(
        "SELECT count(*) AS drafts, coalesce(sum(bytes), 0)::bigint AS bytes FROM penny.manifest_drafts WHERE tenant_id = $1", tenant_id
    )
    assert row is not None
    return row["drafts"], row["bytes"]


async def publish(scope: Writing, release: Release, *, manifest_id: UUID, by: UUID, at: datetime) -> None:
    """Make a manifest of a draft, and write down those of its documents that are new to the tenant."""
    count = await scope.run(
        """
        INSERT INTO penny.trusted_documents (tenant_id, id, sha256, body, operation_name, cost, is_public)
        SELECT tenant_id, uuidv7(), sha256, body, operation_name, cost, is_public FROM (
            SELECT DISTINCT ON (sha256) * FROM penny.draft_documents WHERE tenant_id = $1 AND client = $2 AND version = $3
            ORDER BY sha256, place
        ) one ORDER BY place
        ON CONFLICT (tenant_id, sha256) DO UPDATE SET cost = excluded.cost, is_public = excluded.is_public
        """,
        *release,
    )
    manifest = DocumentManifest(**release._asdict(), id=manifest_id, document_count=count, created_by=by, created_at=at)
    await scope.run(DocumentManifest.insert(manifest))
    await scope.run(
        """
        INSERT INTO penny.manifest_documents (tenant_id, manifest_id, document_id, name)
        SELECT d.tenant_id, $4, d.id, n.name
        FROM penny.draft_documents n JOIN penny.trusted_documents d ON d.tenant_id = n.tenant_id AND d.sha256 = n.sha256
        WHERE n.tenant_id = $1 AND n.client = $2 AND n.version = $3
        """,
        *release,
        manifest_id,
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


async def delete_drafts(scope: Writing, release: Release, *, before: datetime) -> None:
    """Forget the draft of a manifest, and those of the tenant that nobody has gone on with since a moment."""
    await scope.run(
        "DELETE FROM penny.manifest_drafts WHERE tenant_id = $1 AND ((client = $2 AND version = $3) OR changed_at < $4)", *release, before
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
