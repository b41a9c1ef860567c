"""Questions about runs."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from db.scopes import Reading, Row
from db.statements import attempts, runs
from db.statements.projections import Columns


class RunsPage(NamedTuple):
    """A page of a chat's runs; chats that are asked for the same one share a read."""

    statuses: tuple[str, ...] | None
    beyond: tuple[datetime, UUID] | None
    limit: int


class RunsKey(NamedTuple):
    """A chat, and the page of its runs."""

    chat_id: UUID
    page: RunsPage


async def run_by_id(scope: Reading, tenant_id: UUID, ids: list[UUID], columns: Columns | None = None) -> Mapping[UUID, Row]:
    return {row["id"]: row for row in await runs.by_ids(scope, tenant_id, ids, columns)}


async def open_runs_by_chat(
    scope: Reading, tenant_id: UUID, chat_ids: list[UUID], columns: Columns | None = None
) -> Mapping[UUID, list[Row]]:
    """The runs that still answer in each chat, the oldest first."""
    return _by_chat(await runs.open_by_chats(scope, tenant_id, chat_ids, columns))


async def runs_by_chat(scope: Reading, tenant_id: UUID, keys: list[RunsKey], columns: Columns | None = None) -> Mapping[RunsKey, list[Row]]:
    """Pages of chats' runs, the newest first: one statement for all chats that are asked for the same page."""
    asked: dict[RunsPage, list[UUID]] = {}
    for key in keys:
        asked.setdefault(key.page, []).append(key.chat_id)
    found: dict[RunsKey, list[Row]] = {}
    for page, chat_ids in asked.items():
        rows = await runs.pages_of_chats(scope, tenant_id, chat_ids, **page._asdict(), columns=columns)
        found |= {RunsKey(chat_id, page): of_chat for chat_id, of_chat in _by_chat(rows).items()}
    return found


async def attempts_by_run(scope: Reading, tenant_id: UUID, run_ids: list[UUID], columns: Columns | None = None) -> Mapping[UUID, list[Row]]:
    """The calls of models that each run took, in order."""
    found: dict[UUID, list[Row]] = {}
    for row in await attempts.by_works(scope, tenant_id, run_ids, columns):
        found.setdefault(row["work_id"], []).append(row)
    return found


def _by_chat(rows: list[Row]) -> dict[UUID, list[Row]]:
    found: dict[UUID, list[Row]] = {}
    for row in rows:
        found.setdefault(row["chat_id"], []).append(row)
    return found
