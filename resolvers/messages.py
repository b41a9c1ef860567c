"""Messages: whoever sees a chat sees what was said in it."""

from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import UUID

from chat.contents import Part, opened_many, plain_text
from chat.contexts import BEGINNING, END, tokens_of
from chat.drafts import Draft
from chat.exchanges import Sent
from db.scopes import Row
from db.statements.projections import Columns
from loaders.messages import BranchKey, BranchPage
from loaders.pages import Cursors, Page, PageArguments, page_of
from resolvers import chats
from resolvers.batches import each, wider
from resolvers.operations import Operation


async def by_id(operation: Operation, id: UUID, columns: Columns | None = None) -> Row | None:
    """Find a message of a chat that the viewer may see."""
    row = await operation.questions.message_by_id.of(wider(columns, "chat_id")).load(id)
    return row if row is not None and await chats.by_id(operation, row["chat_id"], frozenset()) is not None else None


async def pages_of_chats(  # noqa: PLR0913 - the arguments of the field
    operation: Operation,
    chats: Sequence[Row],
    arguments: PageArguments,
    *,
    leaf_id: UUID | None,
    roles: Sequence[str] | None,
    columns: Columns | None,
) -> list[Page | Exception]:
    """Page through the branch of each chat that ends with a leaf, or with its head; without such a leaf there is nothing."""
    cipher = await operation.works.keyring.cipher(operation.tenant_id)
    speaking = None if roles is None else tuple(roles)
    from_end = _page_beyond(arguments, None, speaking)

    def asked(chat: Row) -> tuple[Cursors, BranchKey | None]:
        # The head moves on while somebody reads: a cursor of the head's branch is one of the chat.
        cursors = Cursors(cipher, "messages", chat["id"]) if leaf_id is None else Cursors(cipher, "branch", chat["id"], leaf_id)
        start = arguments.start(cursors)
        page = from_end if start is None else _page_beyond(arguments, start, speaking)
        leaf = leaf_id or chat["head_message_id"]
        return cursors, None if leaf is None else BranchKey(chat["id"], leaf, page)

    asking = each(asked, chats)
    keys = [None if isinstance(one, Exception) else one[1] for one in asking]
    found = await operation.questions.messages_by_branch.of(columns).load_many(keys)
    return [
        one if isinstance(one, Exception) else page_of(rows or [], arguments, partial(_branch_cursor, one[0]))
        for one, rows in zip(asking, found, strict=True)
    ]


def _page_beyond(arguments: PageArguments, start: tuple[Any, ...] | None, roles: tuple[str, ...] | None) -> BranchPage:
    return BranchPage(
        newest_first=arguments.backwards,
        above=BEGINNING if start is None or arguments.backwards else start[0],
        below=END if start is None or not arguments.backwards else start[0],
        roles=roles,
        limit=arguments.limit,
    )


def _branch_cursor(cursors: Cursors, row: Row) -> str:
    return cursors.write([row["depth"]])


async def children(
    operation: Operation, messages: Sequence[Row], arguments: PageArguments, *, columns: Columns | None
) -> list[Page | Exception]:
    """Page through what directly follows each message, the oldest first."""
    cipher = await operation.works.keyring.cipher(operation.tenant_id)
    found = await operation.questions.children_by_message.of(columns).load_many([message["id"] for message in messages])
    following = {message["id"]: rows or [] for message, rows in zip(messages, found, strict=True)}

    def page(message: Row) -> Page:
        cursors, rows = Cursors(cipher, "children", message["id"]), following[message["id"]]
        start = arguments.start(cursors)
        beyond = [row for row in rows if start is None or row["id"] > start[0]]
        return page_of(beyond[: arguments.limit], arguments, lambda row: cursors.write([row["id"]]), total=len(rows))

    return each(page, messages)


async def siblings(operation: Operation, messages: Sequence[Row], needed: Columns | None) -> list[list[Row]]:
    """Return the messages that share a parent with each, or begin its chat as it does, itself among them, the oldest first."""
    columns = None if needed is None else needed | {"id"}
    after = await operation.questions.children_by_message.of(columns).load_many([message["parent_id"] for message in messages])
    begun = [message["chat_id"] if message["parent_id"] is None else None for message in messages]
    first = await operation.questions.first_messages_by_chat.of(columns).load_many(begun) if any(begun) else after
    return [rows or alike or [] for rows, alike in zip(after, first, strict=True)]


async def sibling_indexes(operation: Operation, messages: Sequence[Row], needed: object) -> list[int]:  # noqa: ARG001 - a batch's arguments
    """Say where each message stands among its siblings, from 0."""
    found = await siblings(operation, messages, frozenset(["id"]))
    return [[row["id"] for row in rows].index(message["id"]) for message, rows in zip(messages, found, strict=True)]


async def visible_by_ids(operation: Operation, ids: Sequence[UUID | None], needed: Columns | None) -> list[Row | None]:
    """Find messages of chats that the viewer may see."""
    found = await operation.questions.message_by_id.of(wider(needed, "chat_id")).load_many(ids)
    chat_ids = {row["chat_id"]: None for row in found if row is not None}
    shown = {chat_id for chat_id in chat_ids if await chats.by_id(operation, chat_id, frozenset()) is not None}
    return [row if row is not None and row["chat_id"] in shown else None for row in found]


async def parts(operation: Operation, messages: Sequence[Row], needed: object) -> list[list[Part] | Exception]:  # noqa: ARG001 - a batch's arguments
    """Decrypt what each message says."""
    cipher = await operation.works.keyring.cipher(operation.tenant_id)
    return opened_many(cipher, messages)


async def token_counts(operation: Operation, messages: Sequence[Row], needed: object) -> list[int | Exception | None]:
    """Say how much of a context each message takes."""

    def count(parts: list[Part]) -> int | None:
        return tokens_of(text) if (text := plain_text(parts)) else None

    return [one if isinstance(one, Exception) else count(one) for one in await parts(operation, messages, needed)]


async def send(operation: Operation, chat_id: UUID, draft: Draft, *, key: str) -> Sent:
    """Say something in a chat."""
    return await operation.works.conversations.send(operation.viewer, chat_id, draft, key=key)


async def edit(  # noqa: PLR0913 - what an edit is
    operation: Operation, id: UUID, texts: Sequence[str], *, rerun: bool, expected_revision: int | None, key: str
) -> Sent:
    """Say something in another way."""
    return await operation.works.trees.edit(operation.viewer, id, texts, rerun=rerun, expected_revision=expected_revision, key=key)


async def regenerate(operation: Operation, id: UUID, model_ids: Sequence[UUID], *, policy_id: UUID | None, key: str) -> Sent:
    """Have something answered again."""
    return await operation.works.trees.regenerate(operation.viewer, id, model_ids, policy_id=policy_id, key=key)


async def prefer(operation: Operation, id: UUID) -> tuple[Row, Row]:
    """Prefer an answer; returns it and its chat."""
    return await operation.works.trees.prefer(operation.viewer, id)
