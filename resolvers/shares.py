"""Links that show chats: their owners see and make them; whoever has one reads by it."""

from collections.abc import Sequence
from functools import partial
from uuid import UUID

from auth.policies.chats import can_manage_chat
from chat.guests import Showing
from chat.shares import ShareDraft, url_of
from db.scopes import Row
from db.statements.projections import Columns
from loaders.pages import Cursors, Page, PageArguments, page_of
from resolvers import chats, users
from resolvers.batches import each, wider
from resolvers.operations import Operation


async def by_id(operation: Operation, id: UUID, columns: Columns | None = None) -> Row | None:
    """Find a link to a chat that is the viewer's to share."""
    row = await operation.questions.share_by_id.of(wider(columns, "chat_id")).load(id)
    chat = None if row is None else await chats.by_id(operation, row["chat_id"], frozenset())
    return row if chat is not None and can_manage_chat(operation.viewer, chat) else None


async def of_chats(operation: Operation, chats: Sequence[Row], needed: Columns | None) -> list[list[Row]]:
    """Find the links to each chat, for those whose it is."""
    keys = [chat["id"] if can_manage_chat(operation.viewer, chat) else None for chat in chats]
    found = await operation.questions.shares_by_chat.of(needed).load_many(keys)
    return [rows or [] for rows in found]


async def urls(operation: Operation, shares: Sequence[Row], needed: object) -> list[str | Exception | None]:  # noqa: ARG001 - a batch's arguments
    """Write the links themselves."""
    cipher = await operation.works.keyring.cipher(operation.tenant_id)
    return each(lambda share: url_of(cipher, share, operation.works.settings), shares)


async def people(operation: Operation, shares: Sequence[Row], needed: Columns | None) -> list[list[Row]]:
    """Find whom each link is for, as far as the viewer may see them."""
    everybody = list({user_id for share in shares for user_id in share["user_ids"]})
    found = dict(zip(everybody, await users.visible_by_ids(operation, everybody, needed), strict=True))
    return [[row for user_id in share["user_ids"] if (row := found[user_id]) is not None] for share in shares]


async def create(operation: Operation, chat_id: UUID, draft: ShareDraft, *, key: str) -> Row:
    """Make a link to a chat."""
    return await operation.works.shares.create(operation.viewer, chat_id, draft, key=key)


async def revoke(operation: Operation, share_id: UUID) -> Row:
    """End a link."""
    return await operation.works.shares.revoke(operation.viewer, share_id)


async def opened(operation: Operation, token: str) -> Showing:
    """Follow a link, as whoever signed in or as nobody."""
    return await operation.works.guests.opened(token, operation.credential, operation.caller.address)


async def page(operation: Operation, showing: Showing, arguments: PageArguments) -> Page:
    """Page through what a link shows."""
    cursors = Cursors(showing.cipher, "shared messages", showing.share_id)
    start = arguments.start(cursors)
    rows = await operation.works.guests.page(
        showing, newest_first=arguments.backwards, beyond=None if start is None else start[0], limit=arguments.limit
    )
    return page_of(rows, arguments, partial(_cursor, cursors))


def _cursor(cursors: Cursors, row: Row) -> str:
    return cursors.write([row["depth"]])
