"""Questions about the participants of chats."""

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from db.scopes import Reading, Row
from db.statements import participants
from db.statements.projections import Columns


class ParticipantsPage(NamedTuple):
    """A page of a chat's participants; chats that are asked for the same one share a read."""

    beyond: UUID | None
    limit: int


class ParticipantsKey(NamedTuple):
    """A chat, and the page of its participants."""

    chat_id: UUID
    page: ParticipantsPage


async def participant_by_id(scope: Reading, tenant_id: UUID, ids: list[UUID], columns: Columns | None = None) -> Mapping[UUID, Row]:
    return {row["id"]: row for row in await participants.by_ids(scope, tenant_id, ids, columns)}


async def participants_by_chat(
    scope: Reading, tenant_id: UUID, keys: list[ParticipantsKey], columns: Columns | None = None
) -> Mapping[ParticipantsKey, list[Row]]:
    """Pages of chats' participants: one statement for all chats that are asked for the same page."""
    asked: dict[ParticipantsPage, list[UUID]] = {}
    for key in keys:
        asked.setdefault(key.page, []).append(key.chat_id)
    found: dict[ParticipantsKey, list[Row]] = {}
    for page, chat_ids in asked.items():
        for row in await participants.pages_of_chats(scope, tenant_id, chat_ids, **page._asdict(), columns=columns):
            found.setdefault(ParticipantsKey(row["chat_id"], page), []).append(row)
    return found
