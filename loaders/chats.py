"""Questions about chats."""

from collections.abc import Mapping
from uuid import UUID

from db.scopes import Reading, Row
from db.statements import attempts, chats
from db.statements.projections import Columns


async def chat_by_id(scope: Reading, tenant_id: UUID, ids: list[UUID], columns: Columns | None = None) -> Mapping[UUID, Row]:
    return {row["id"]: row for row in await chats.by_ids(scope, tenant_id, ids, columns)}


async def used_by_chat(scope: Reading, tenant_id: UUID, ids: list[UUID], columns: Columns | None = None) -> Mapping[UUID, Row]:  # noqa: ARG001 - a question's
    """What was used in each chat: by its answers, its titles and its summaries."""
    return {row["chat_id"]: row for row in await attempts.used_in_chats(scope, tenant_id, ids)}
