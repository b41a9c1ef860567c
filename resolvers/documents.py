"""What documents cost, for anybody; manifests and their documents, for those who administer the tenant's API."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from math import ceil
from typing import Any
from uuid import UUID

from auth.policies.documents import can_administer_documents
from db.scopes import Row
from db.statements import documents
from db.statements.projections import Columns
from gateway.judging import Appraised
from gateway.manifests import ManifestDraft, Published
from loaders.documents import DocumentsKey, DocumentsPage
from loaders.pages import Cursors, Page, PageArguments, page_of
from resolvers.batches import each
from resolvers.operations import Operation
from settings import Settings


async def cost(operation: Operation, text: str, operation_name: str | None, variables: Mapping[str, Any]) -> Appraised:
    """Say what a document would cost; reading it is paid for as if it had been sent."""
    works = operation.works
    assert works.judge is not None, "a process that serves knows the schema"
    if works.judge.reads(text):
        await operation.pay(reading_points(text, works.settings))
    # An operation may ask after several: others get their turn in between.
    await asyncio.sleep(0)
    return works.judge.appraise(text, operation_name, variables)


def reading_points(text: str, settings: Settings) -> int:
    """What it costs to read a document that the process does not know: as much for each thousand characters as a short one costs."""
    return settings.graphql_unknown_points * max(1, ceil(len(text) / 1000))


async def _pay_each(operation: Operation, count: int) -> None:
    """Pay for so many documents that are read anew."""
    await operation.pay(count * operation.works.settings.graphql_unknown_points)


async def manifest_by_id(operation: Operation, id: UUID, columns: Columns | None = None) -> Row | None:
    """Find a manifest."""
    return await operation.questions.manifest_by_id.of(columns).load(id) if can_administer_documents(operation.viewer) else None


async def document_by_id(operation: Operation, id: UUID, columns: Columns | None = None) -> Row | None:
    """Find a document."""
    return await operation.questions.document_by_id.of(columns).load(id) if can_administer_documents(operation.viewer) else None


async def page(operation: Operation, arguments: PageArguments) -> Page:
    """Page through the tenant's manifests, the newest first."""
    cursors = Cursors(await operation.works.keyring.cipher(operation.tenant_id), "manifests")
    start = arguments.start(cursors)
    async with operation.reads.reading(operation.tenant_id) as scope:
        rows = await documents.page_of_manifests(scope, operation.tenant_id, beyond=start[0] if start else None, limit=arguments.limit)
    return page_of(rows, arguments, lambda row: cursors.write([row["id"]]))


async def pages_of_documents(
    operation: Operation, manifests: Sequence[Row], arguments: PageArguments, *, columns: Columns | None
) -> list[Page | Exception]:
    """Page through the documents of manifests, in the order in which they were first published."""
    cipher = await operation.works.keyring.cipher(operation.tenant_id)

    def asked(manifest: Row) -> tuple[Cursors, DocumentsKey]:
        cursors = Cursors(cipher, "manifest documents", manifest["id"])
        start = arguments.start(cursors)
        return cursors, DocumentsKey(manifest["id"], DocumentsPage(start[0] if start else None, arguments.limit))

    asking = each(asked, manifests)
    keys = [None if isinstance(one, Exception) else one[1] for one in asking]
    found = await operation.questions.documents_by_manifest.of(columns).load_many(keys)
    pages: list[Page | Exception] = []
    for one, rows in zip(asking, found, strict=True):
        if isinstance(one, Exception):
            pages.append(one)
            continue
        pages.append(page_of(rows or [], arguments, lambda row, cursors=one[0]: cursors.write([row["id"]])))  # type: ignore[misc] # bound now
    return pages


async def last_uses(operation: Operation, manifests: Sequence[Row], needed: object) -> list[datetime | None]:  # noqa: ARG001 - a batch's arguments
    """Say when each manifest's documents were last used."""
    return await operation.questions.last_use_by_manifest.load_many([row["id"] for row in manifests])


async def calls(operation: Operation, rows: Sequence[Row], needed: object) -> list[int]:  # noqa: ARG001 - a batch's arguments
    """Count the calls of the last 30 days."""
    found = await operation.questions.calls_by_document.load_many([row["id"] for row in rows])
    return [count or 0 for count in found]


async def faults(operation: Operation, manifests: Sequence[Row], needed: object) -> list[list[str]]:  # noqa: ARG001 - a batch's arguments
    """Say what of each manifest the schema does not answer any more; what the process does not know is paid for as if it had been sent."""
    ids = [row["id"] for row in manifests]
    return await operation.works.manifests.faults(operation.tenant_id, ids, pay=partial(_pay_each, operation))


async def publish(operation: Operation, draft: ManifestDraft) -> Published:
    """Publish a manifest; its documents that the process does not know are paid for as if they had been sent."""
    return await operation.works.manifests.publish(operation.viewer, draft, pay=partial(_pay_each, operation))


async def delete(operation: Operation, id: UUID) -> None:
    """Take a manifest back."""
    await operation.works.manifests.delete(operation.viewer, id)
