"""Chats as texts to take away: whoever sees a chat may."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from chat.exports import Export, Wish
from db.scopes import Row
from loaders.pages import Cursors
from resolvers.operations import Operation


class Part(NamedTuple):
    """An export or a part of one, and the cursor of the next part."""

    export: Export
    next: str | None


async def of_chats(  # noqa: PLR0913 - the arguments of the field
    operation: Operation, chats: Sequence[Row], *, as_json: bool, leaf_id: UUID | None, in_parts: bool, after: str | None
) -> list[Part | Exception]:
    """Write each chat out, one after the other."""
    cipher = await operation.works.keyring.cipher(operation.tenant_id)
    found: list[Part | Exception] = []
    for chat in chats:
        cursors = Cursors(cipher, f"export {'JSON' if as_json else 'MARKDOWN'}", chat["id"])
        try:
            wish = Wish(as_json=as_json, leaf_id=leaf_id, in_parts=in_parts)
            if after is not None:
                # A branch goes on to the leaf that it began with, wherever the chat's head is now.
                leaf_id, beyond = cursors.read(after, path=["after"])
                wish = Wish(as_json=as_json, leaf_id=leaf_id, in_parts=True, beyond=beyond)
            export = await operation.works.exports.write(operation.reads, operation.viewer, chat["id"], wish)
            rest = export.rest
            found.append(Part(export, None if rest is None else cursors.write([rest.leaf_id, rest.beyond])))
        except Exception as error:  # noqa: BLE001 - it is this chat's answer
            found.append(error)
    return found
