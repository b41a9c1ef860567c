"""Questions about the links by which chats are shown."""

from collections.abc import Mapping
from uuid import UUID

from db.scopes import Reading, Row
from db.statements import shares
from db.statements.projections import Columns


async def share_by_id(scope: Reading, tenant_id: UUID, ids: list[UUID], columns: Columns | None = None) -> Mapping[UUID, Row]:
    return {row["id"]: row for row in await shares.by_ids(scope, tenant_id, ids, columns)}


async def shares_by_chat(scope: Reading, tenant_id: UUID, chat_ids: list[UUID], columns: Columns | None = None) -> Mapping[UUID, list[Row]]:
    """The links to each chat, the oldest first."""
    found: dict[UUID, list[Row]] = {}
    for row in await shares.by_chats(scope, tenant_id, chat_ids, columns):
        found.setdefault(row["chat_id"], []).append(row)
    return found
