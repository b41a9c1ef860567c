"""Messages: whoever sees a chat sees what was said in it."""

from collections.abc import Sequence
from uuid import UUID

from chat.contents import Part, opened
from chat.contexts import BEGINNING, END
from chat.conversations import Draft, Sent
from db.scopes import Row
from loaders.messages import BranchKey, BranchPage
from loaders.pages import Cursors, Page, PageArguments, page_of
from resolvers import chats
from resolvers.operations import Operation


async def by_id(operation: Operation, id: UUID) -> Row | None:
    """Find a message of a chat that the viewer may see."""
    row = await operation.questions.message_by_id.load(id)
    return row if row is not None and await chats.by_id(operation, row["chat_id"]) is not None else None


async def page_of_chat(
    operation: Operation, chat: Row, arguments: PageArguments, *, leaf_id: UUID | None, roles: Sequence[str] | None
) -> Page:
    """Page through the branch that ends with a leaf, or with the chat's head; without such a leaf in the chat there is nothing."""
    cipher = await operation.works.keyring.cipher(operation.tenant_id)
    # The head moves on while somebody reads: a cursor of the head's branch is one of the chat.
    cursors = Cursors(cipher, "messages", chat["id"]) if leaf_id is None else Cursors(cipher, "branch", chat["id"], leaf_id)
    start = arguments.start(cursors)
    leaf_id = leaf_id or chat["head_message_id"]
    if leaf_id is None:
        return page_of([], arguments, str)
    page = BranchPage(
        newest_first=arguments.backwards,
        above=BEGINNING if start is None or arguments.backwards else start[0],
        below=END if start is None or not arguments.backwards else start[0],
        roles=None if roles is None else tuple(roles),
        limit=arguments.limit,
    )
    rows = await operation.questions.messages_by_branch.load(BranchKey(chat["id"], leaf_id, page))
    return page_of(rows or [], arguments, lambda row: cursors.write([row["depth"]]))


async def children(operation: Operation, message: Row, arguments: PageArguments) -> Page:
    """Page through what directly follows a message, the oldest first."""
    cursors = Cursors(await operation.works.keyring.cipher(operation.tenant_id), "children", message["id"])
    start = arguments.start(cursors)
    rows = await operation.questions.children_by_message.load(message["id"]) or []
    beyond = [row for row in rows if start is None or row["id"] > start[0]]
    return page_of(beyond[: arguments.limit], arguments, lambda row: cursors.write([row["id"]]), total=len(rows))


async def siblings(operation: Operation, message: Row) -> list[Row]:
    """Return the messages that share a parent, this one among them, the oldest first. A chat has one first message."""
    if message["parent_id"] is None:
        return [message]
    return await operation.questions.children_by_message.load(message["parent_id"]) or [message]


async def parts(operation: Operation, message: Row) -> list[Part]:
    """Decrypt what a message says."""
    return opened(await operation.works.keyring.cipher(operation.tenant_id), message["id"], message["content"])


async def send(operation: Operation, chat_id: UUID, draft: Draft, *, key: str) -> Sent:
    """Say something in a chat."""
    return await operation.works.conversations.send(operation.viewer, chat_id, draft, key=key)
