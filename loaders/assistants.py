"""Questions about assistants and their versions."""

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from db.scopes import Reading, Row
from db.statements import assistants
from db.statements.projections import Columns


class VersionsPage(NamedTuple):
    """A page of an assistant's versions; assistants that are asked for the same one share a read."""

    below: int | None
    limit: int


class VersionsKey(NamedTuple):
    """An assistant, and the page of its versions."""

    assistant_id: UUID
    page: VersionsPage


async def assistant_by_id(scope: Reading, tenant_id: UUID, ids: list[UUID], columns: Columns | None = None) -> Mapping[UUID, Row]:
    return {row["id"]: row for row in await assistants.by_ids(scope, tenant_id, ids, columns)}


async def assistant_version_by_id(scope: Reading, tenant_id: UUID, ids: list[UUID], columns: Columns | None = None) -> Mapping[UUID, Row]:
    return {row["id"]: row for row in await assistants.versions_by_ids(scope, tenant_id, ids, columns)}


async def versions_by_assistant(
    scope: Reading, tenant_id: UUID, keys: list[VersionsKey], columns: Columns | None = None
) -> Mapping[VersionsKey, list[Row]]:
    """Pages of assistants' versions: one statement for all assistants that are asked for the same page."""
    asked: dict[VersionsPage, list[UUID]] = {}
    for key in keys:
        asked.setdefault(key.page, []).append(key.assistant_id)
    found: dict[VersionsKey, list[Row]] = {}
    for page, assistant_ids in asked.items():
        for row in await assistants.pages_of_versions(scope, tenant_id, assistant_ids, **page._asdict(), columns=columns):
            found.setdefault(VersionsKey(row["assistant_id"], page), []).append(row)
    return found
