"""Chats, as far as the viewer may see them."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final
from uuid import UUID

from auth.policies.chats import COLUMNS, actions_on_chat, can_read_chat
from chat.drafts import ChatChange, ChatDraft
from chat.exchanges import Sent
from chat.headings import opened_metadata, opened_titles
from db.scopes import Row
from db.statements import chats
from db.statements.projections import Columns
from errors import Invalid
from loaders.pages import Cursors, Page, PageArguments, page_of
from resolvers.batches import each, wider
from resolvers.operations import Operation

# The columns that these fields read.
TITLE: Final = ("id", "title")
METADATA: Final = ("id", "metadata")
ACTIONS: Final = COLUMNS
_OWN: Final = {None: "own", True: "pinned", False: "not pinned"}


async def by_id(operation: Operation, id: UUID, columns: Columns | None = None) -> Row | None:
    """Find a chat: one's own, or one that is shared with the viewer or shown to the tenant."""
    row = await operation.questions.chat_by_id.of(wider(columns, *ACTIONS)).load(id)
    return row if row is not None and can_read_chat(operation.viewer, row) else None


async def page(  # noqa: PLR0913 - the filters of the list
    operation: Operation,
    arguments: PageArguments,
    *,
    archived: bool,
    pinned: bool | None,
    shown_by_others: bool,
    assistant_id: UUID | None,
    since: datetime | None,
    until: datetime | None,
    columns: Columns | None = None,
) -> Page:
    """Page through the viewer's own chats, or those that others share with them, the last changed first."""
    if shown_by_others and pinned is not None:
        raise Invalid("Only your own chats are pinned.", path=["pinned"], constraint="without=sharedWithMe")
    if shown_by_others and assistant_id is not None:
        raise Invalid("Only your own chats are listed by their assistant.", path=["assistantId"], constraint="without=sharedWithMe")
    whose = "shown" if shown_by_others else _OWN[pinned]
    cursors = Cursors(await operation.works.keyring.cipher(operation.tenant_id), "shown chats" if shown_by_others else "own chats")
    start = arguments.start(cursors)
    async with operation.reads.reading(operation.tenant_id) as scope:
        rows = await chats.page(
            scope,
            operation.tenant_id,
            operation.viewer.user_id,
            whose=whose,
            archived=archived,
            newest_first=not arguments.backwards,
            beyond=start and (start[0], start[1]),
            since=since,
            until=until,
            limit=arguments.limit,
            assistant_id=assistant_id,
            columns=columns,
        )
    return page_of(rows, arguments, lambda row: cursors.write([row["updated_at"], row["id"]]))


async def titles(operation: Operation, rows: Sequence[Row], needed: object) -> list[str | Exception | None]:  # noqa: ARG001 - a batch's arguments
    """Decrypt the titles of chats."""
    return opened_titles(await operation.works.keyring.cipher(operation.tenant_id), rows)


async def metadata(operation: Operation, rows: Sequence[Row], needed: object) -> list[Any]:  # noqa: ARG001 - a batch's arguments
    """Decrypt the metadata of chats."""
    return each(partial(opened_metadata, await operation.works.keyring.cipher(operation.tenant_id)), rows)


def actions(operation: Operation, rows: Sequence[Row], needed: object) -> list[list[str]]:  # noqa: ARG001 - a batch's arguments
    """Name what the viewer may do with each chat."""
    return [actions_on_chat(operation.viewer, row) for row in rows]


async def create(operation: Operation, draft: ChatDraft, *, key: str) -> Sent:
    """Begin a chat, with a first message where one is given."""
    return await operation.works.conversations.begin(operation.viewer, draft, key=key)


async def change(operation: Operation, id: UUID, change: ChatChange) -> Row:
    """Change a chat."""
    return await operation.works.conversations.change(operation.viewer, id, change)


async def delete(operation: Operation, id: UUID) -> None:
    """Delete a chat with all that was said in it."""
    await operation.works.conversations.delete(operation.viewer, id)


async def fork(operation: Operation, message_id: UUID, title: str | None, *, key: str) -> Sent:
    """Begin a chat with what was said in another one."""
    return await operation.works.forks.fork(operation.viewer, message_id, title, key=key)


async def go_to(operation: Operation, id: UUID, message_id: UUID, expected_revision: int | None) -> Row:
    """Let a chat go on from another message."""
    return await operation.works.trees.go_to(operation.viewer, id, message_id, expected_revision)
