"""Questions about branches."""

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from db.scopes import Reading, Row
from db.statements import branches
from db.statements.projections import Columns


class BranchesPage(NamedTuple):
    """A page of a chat's branches; chats that are asked for the same one share a read."""

    beyond: UUID | None
    limit: int


class BranchesKey(NamedTuple):
    """A chat, and the page of its branches."""

    chat_id: UUID
    page: BranchesPage


async def branch_by_id(scope: Reading, tenant_id: UUID, ids: list[UUID], columns: Columns | None = None) -> Mapping[UUID, Row]:  # noqa: ARG001 - a row has all
    return {row["id"]: row for row in await branches.seen(scope, tenant_id, ids)}


async def branches_by_chat(
    scope: Reading,
    tenant_id: UUID,
    keys: list[BranchesKey],
    columns: Columns | None = None,  # noqa: ARG001 - a row has all
) -> Mapping[BranchesKey, list[Row]]:
    """Pages of chats' branches, the newest first: one statement for all chats that are asked for the same page."""
    asked: dict[BranchesPage, list[UUID]] = {}
    for key in keys:
        asked.setdefault(key.page, []).append(key.chat_id)
    found: dict[BranchesKey, list[Row]] = {}
    for page, chat_ids in asked.items():
        for row in await branches.pages_of_chats(scope, tenant_id, chat_ids, **page._asdict()):
            found.setdefault(BranchesKey(row["chat_id"], page), []).append(row)
    return found
