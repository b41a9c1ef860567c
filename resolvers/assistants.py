"""Assistants, as far as the viewer is given them, and their versions."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from auth.policies.assistants import COLUMNS, can_edit_assistant, can_see_assistant
from chat.assistants import AssistantDraft, opened_content, opened_grants, opened_names
from db.scopes import Row
from db.statements import assistants
from db.statements.projections import Columns
from loaders.assistants import VersionsKey, VersionsPage
from loaders.pages import Cursors, Page, PageArguments, page_of
from resolvers.batches import each, wider
from resolvers.operations import Operation


async def visible_by_ids(operation: Operation, ids: Sequence[UUID | None], columns: Columns | None) -> list[Row | None]:
    """Find assistants that the viewer sees."""
    found = await operation.questions.assistant_by_id.of(wider(columns, *COLUMNS)).load_many(ids)
    rows = [None if row is None else opened_grants(row) for row in found]
    return [row if row is not None and can_see_assistant(operation.viewer, row) else None for row in rows]


async def version_by_id(operation: Operation, id: UUID, columns: Columns | None = None) -> Row | None:
    """Find a version of an assistant that the viewer sees; drafts and withdrawn ones only for its editors."""
    row = await operation.questions.assistant_version_by_id.of(wider(columns, "assistant_id", "state")).load(id)
    if row is None:
        return None
    (assistant,) = await visible_by_ids(operation, [row["assistant_id"]], frozenset())
    if assistant is None or (row["state"] != "RELEASED" and not can_edit_assistant(operation.viewer, assistant)):
        return None
    return row


async def page(operation: Operation, arguments: PageArguments, *, text: str | None) -> Page:
    """Page through the assistants that the viewer sees, by their slugs."""
    cipher = await operation.works.keyring.cipher(operation.tenant_id)
    cursors = Cursors(cipher, "assistants")
    async with operation.reads.reading(operation.tenant_id) as scope:
        all_rows = await assistants.of_tenant(scope, operation.tenant_id, limit=operation.works.settings.assistants_per_tenant)
    rows = [row for row in map(opened_grants, all_rows) if can_see_assistant(operation.viewer, row)]
    if text:
        wanted, called = text.casefold(), opened_names(cipher, rows)
        named = zip(rows, called, strict=True)
        rows = [row for row, name in named if wanted in row["slug"] or (isinstance(name, str) and wanted in name.casefold())]
    start = arguments.start(cursors)
    beyond = [row for row in rows if start is None or row["slug"] > start[0]]
    return page_of(beyond[: arguments.limit], arguments, lambda row: cursors.write([row["slug"]]), total=len(rows))


async def names(operation: Operation, rows: Sequence[Row], needed: object) -> list[str | Exception]:  # noqa: ARG001 - a batch's arguments
    """Decrypt what assistants are called."""
    return opened_names(await operation.works.keyring.cipher(operation.tenant_id), rows)


async def currents(operation: Operation, rows: Sequence[Row], needed: Columns | None) -> list[Row | None]:
    """Find the version of each assistant that chats use now."""
    return await operation.questions.assistant_version_by_id.of(needed).load_many([row["current_version_id"] for row in rows])


async def pages_of_versions(
    operation: Operation, rows: Sequence[Row], arguments: PageArguments, *, columns: Columns | None
) -> list[Page | Exception]:
    """Page through the versions of each assistant for its editors, the newest first; others see the current one alone."""
    cipher = await operation.works.keyring.cipher(operation.tenant_id)
    opened = [opened_grants(row) for row in rows]

    def asked(row: Row) -> tuple[Cursors, VersionsKey | None]:
        cursors = Cursors(cipher, "versions", row["id"])
        start = arguments.start(cursors)
        key = VersionsKey(row["id"], VersionsPage(start[0] if start else None, arguments.limit))
        return cursors, key if can_edit_assistant(operation.viewer, row) else None

    asking = each(asked, opened)
    keys = [None if isinstance(one, Exception) else one[1] for one in asking]
    found = await operation.questions.versions_by_assistant.of(wider(columns, "number")).load_many(keys)
    current = await currents(operation, opened, wider(columns, "number"))
    pages: list[Page | Exception] = []
    for one, versions, only in zip(asking, found, current, strict=True):
        if isinstance(one, Exception):
            pages.append(one)
            continue
        shown = (versions or []) if one[1] is not None else [only] if only is not None else []
        pages.append(page_of(shown, arguments, lambda row, cursors=one[0]: cursors.write([row["number"]])))  # type: ignore[misc] # bound now
    return pages


async def instructions(operation: Operation, rows: Sequence[Row], needed: object) -> list[str | Exception | None]:  # noqa: ARG001 - a batch's arguments
    """Decrypt the instructions of versions for those who edit their assistants; None for others."""
    contents = await _contents(operation, rows)
    found = await visible_by_ids(operation, [row["assistant_id"] for row in rows], frozenset())
    may = [assistant is not None and can_edit_assistant(operation.viewer, assistant) for assistant in found]
    shown = [content if isinstance(content, Exception) else content.instructions for content in contents]
    return [text if permitted else None for text, permitted in zip(shown, may, strict=True)]


async def parameters(operation: Operation, rows: Sequence[Row], needed: object) -> list[Any]:  # noqa: ARG001 - a batch's arguments
    """Decrypt how a version asks its model."""
    return [
        content if isinstance(content, Exception) else msgspec.to_builtins(content.parameters)
        for content in await _contents(operation, rows)
    ]


async def changelogs(operation: Operation, rows: Sequence[Row], needed: object) -> list[Any]:  # noqa: ARG001 - a batch's arguments
    """Decrypt what was said of a version."""
    return [content if isinstance(content, Exception) else content.changelog for content in await _contents(operation, rows)]


async def _contents(operation: Operation, rows: Sequence[Row]) -> list[Any]:
    cipher = await operation.works.keyring.cipher(operation.tenant_id)
    return each(lambda row: opened_content(cipher, row), rows)


def grants_of(operation: Operation, row: Row) -> list[Row]:
    """Whom an assistant is given to, for its editors."""
    opened = opened_grants(row)
    return list(opened["grants"]) if can_edit_assistant(operation.viewer, opened) else []


async def upsert(operation: Operation, draft: AssistantDraft) -> Row:
    """Write a new version."""
    return await operation.works.assistants.write(operation.viewer, draft)


async def publish(operation: Operation, version_id: UUID, state: str) -> Row:
    """Release or withdraw a version."""
    return opened_grants(await operation.works.assistants.publish(operation.viewer, version_id, state))
