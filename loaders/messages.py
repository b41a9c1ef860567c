"""Questions about messages."""

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from db.scopes import Reading, Row
from db.statements import messages
from db.statements.projections import Columns


class BranchPage(NamedTuple):
    """A page of a branch: depths between `above` and `below`, both left out; branches that are asked for the same one share a read."""

    newest_first: bool
    above: int
    below: int
    roles: tuple[str, ...] | None
    limit: int


class BranchKey(NamedTuple):
    """The branch that ends with a leaf of a chat, and the page of it."""

    chat_id: UUID
    leaf_id: UUID
    page: BranchPage


async def message_by_id(scope: Reading, tenant_id: UUID, ids: list[UUID], columns: Columns | None = None) -> Mapping[UUID, Row]:
    return {row["id"]: row for row in await messages.by_ids(scope, tenant_id, ids, columns)}


async def children_by_message(
    scope: Reading, tenant_id: UUID, parent_ids: list[UUID], columns: Columns | None = None
) -> Mapping[UUID, list[Row]]:
    """What directly follows each message, the oldest first."""
    found: dict[UUID, list[Row]] = {}
    for row in await messages.by_parents(scope, tenant_id, parent_ids, columns):
        found.setdefault(row["parent_id"], []).append(row)
    return found


async def first_messages_by_chat(
    scope: Reading, tenant_id: UUID, chat_ids: list[UUID], columns: Columns | None = None
) -> Mapping[UUID, list[Row]]:
    """What each chat begins with: its first message and the edits of it, the oldest first."""
    found: dict[UUID, list[Row]] = {}
    for row in await messages.first_of_chats(scope, tenant_id, chat_ids, columns):
        found.setdefault(row["chat_id"], []).append(row)
    return found


async def messages_by_branch(
    scope: Reading, tenant_id: UUID, keys: list[BranchKey], columns: Columns | None = None
) -> Mapping[BranchKey, list[Row]]:
    """Pages of branches: one statement for all branches that are asked for the same page."""
    asked: dict[BranchPage, list[BranchKey]] = {}
    for key in keys:
        asked.setdefault(key.page, []).append(key)
    found: dict[BranchKey, list[Row]] = {}
    for page, of_page in asked.items():
        branches = [(key.chat_id, key.leaf_id) for key in of_page]
        pages = await messages.pages_of_branches(scope, tenant_id, branches, **page._asdict(), columns=columns)
        found |= {key: pages[branch] for key, branch in zip(of_page, branches, strict=True) if branch in pages}
    return found
