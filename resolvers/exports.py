"""Chats as texts to take away: whoever sees a chat may."""

from collections.abc import Sequence
from uuid import UUID

from chat.exports import Export
from db.scopes import Row
from resolvers.operations import Operation


async def of_chats(operation: Operation, chats: Sequence[Row], *, as_json: bool, leaf_id: UUID | None) -> list[Export | Exception]:
    """Write each chat out, one after the other."""
    exports, viewer = operation.works.exports, operation.viewer
    write = exports.as_json if as_json else exports.as_markdown
    found: list[Export | Exception] = []
    for chat in chats:
        try:
            found.append(await write(operation.reads, viewer, chat["id"], leaf_id))
        except Exception as error:  # noqa: BLE001 - it is this chat's answer
            found.append(error)
    return found
