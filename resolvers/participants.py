"""Participants of chats: whoever sees a chat sees who takes part."""

from collections.abc import Sequence
from functools import partial
from uuid import UUID

from db.scopes import Row
from db.statements.projections import Columns
from loaders.pages import Cursors, Page, PageArguments, page_of
from loaders.participants import ParticipantsKey, ParticipantsPage
from resolvers import chats
from resolvers.batches import each, wider
from resolvers.operations import Operation


async def by_id(operation: Operation, id: UUID, columns: Columns | None = None) -> Row | None:
    """Find a participant of a chat that the viewer may see."""
    row = await operation.questions.participant_by_id.of(wider(columns, "chat_id")).load(id)
    return row if row is not None and await chats.by_id(operation, row["chat_id"], frozenset()) is not None else None


async def pages_of_chats(
    operation: Operation, chats: Sequence[Row], arguments: PageArguments, *, columns: Columns | None
) -> list[Page | Exception]:
    """Page through the participants of each chat, who came first of all first."""
    cipher = await operation.works.keyring.cipher(operation.tenant_id)

    def asked(chat: Row) -> tuple[Cursors, ParticipantsKey]:
        cursors = Cursors(cipher, "participants", chat["id"])
        start = arguments.start(cursors)
        return cursors, ParticipantsKey(chat["id"], ParticipantsPage(start[0] if start else None, arguments.limit))

    asking = each(asked, chats)
    keys = [None if isinstance(one, Exception) else one[1] for one in asking]
    found = await operation.questions.participants_by_chat.of(columns).load_many(keys)
    return [
        one if isinstance(one, Exception) else page_of(rows or [], arguments, partial(_cursor, one[0]))
        for one, rows in zip(asking, found, strict=True)
    ]


def _cursor(cursors: Cursors, row: Row) -> str:
    return cursors.write([row["id"]])


async def put(operation: Operation, chat_id: UUID, user_id: UUID, role: str | None) -> Row | None:
    """Give somebody a role in a chat, or none any more."""
    return await operation.works.participants.put(operation.viewer, chat_id, user_id, role)
