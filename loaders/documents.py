"""Questions about manifests and documents."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from db.scopes import Reading, Row
from db.statements import documents
from db.statements.projections import Columns

COUNTED_DAYS: Final = 30


class DocumentsPage(NamedTuple):
    """A page of a manifest's documents; manifests that are asked for the same one share a read."""

    beyond: UUID | None
    limit: int


class DocumentsKey(NamedTuple):
    """A manifest, and the page of its documents."""

    manifest_id: UUID
    page: DocumentsPage


async def manifest_by_id(scope: Reading, tenant_id: UUID, ids: list[UUID], columns: Columns | None = None) -> Mapping[UUID, Row]:
    return {row["id"]: row for row in await documents.manifests_by_ids(scope, tenant_id, ids, columns)}


async def document_by_id(scope: Reading, tenant_id: UUID, ids: list[UUID], columns: Columns | None = None) -> Mapping[UUID, Row]:
    return {row["id"]: row for row in await documents.documents_by_ids(scope, tenant_id, ids, columns)}


async def documents_by_manifest(
    scope: Reading, tenant_id: UUID, keys: list[DocumentsKey], columns: Columns | None = None
) -> Mapping[DocumentsKey, list[Row]]:
    """Pages of manifests' documents: one statement for all manifests that are asked for the same page."""
    asked: dict[DocumentsPage, list[UUID]] = {}
    for key in keys:
        asked.setdefault(key.page, []).append(key.manifest_id)
    found: dict[DocumentsKey, list[Row]] = {}
    for page, manifest_ids in asked.items():
        for row in await documents.pages_of_documents(scope, tenant_id, manifest_ids, **page._asdict(), columns=columns):
            found.setdefault(DocumentsKey(row["manifest_id"], page), []).append(row)
    return found


async def last_use_by_manifest(
    scope: Reading,
    tenant_id: UUID,
    manifest_ids: list[UUID],
    columns: Columns | None = None,  # noqa: ARG001 - it is no row
) -> Mapping[UUID, datetime | None]:
    return await documents.last_uses(scope, tenant_id, manifest_ids)


async def calls_by_document(
    scope: Reading,
    tenant_id: UUID,
    document_ids: list[UUID],
    columns: Columns | None = None,  # noqa: ARG001 - it is no row
) -> Mapping[UUID, int]:
    """Count the uses of the last 30 days, today's among them."""
    since = datetime.now(UTC).date() - timedelta(days=COUNTED_DAYS - 1)
    return await documents.calls_since(scope, tenant_id, document_ids, since)
