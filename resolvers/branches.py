"""Branches: whoever sees a chat sees all of its tree."""

from collections.abc import Sequence
from functools import partial
from typing import Final
from uuid import UUID

from chat.contents import opened_many, plain_text
from db.scopes import Row
from loaders.branches import BranchesKey, BranchesPage
from loaders.pages import Cursors, Page, PageArguments, page_of
from resolvers import chats
from resolvers.batches import each
from resolvers.operations import Operation

LONGEST_NAME: Final = 80


async def by_id(operation: Operation, id: UUID) -> Row | None:
    """Find a branch of a chat that the viewer may see."""
    row = await operation.questions.branch_by_id.load(id)
    return row if row is not None and await chats.by_id(operation, row["chat_id"], frozenset()) is not None else None


async def pages_of_chats(operation: Operation, chats: Sequence[Row], arguments: PageArguments) -> list[Page | Exception]:
    """Page through the branches of each chat, the newest first."""
    cipher = await operation.works.keyring.cipher(operation.tenant_id)

    def asked(chat: Row) -> tuple[Cursors, BranchesKey]:
        cursors = Cursors(cipher, "branches", chat["id"])
        start = arguments.start(cursors)
        return cursors, BranchesKey(chat["id"], BranchesPage(None if start is None else start[0], arguments.limit))

    asking = each(asked, chats)
    found = await operation.questions.branches_by_chat.load_many([None if isinstance(one, Exception) else one[1] for one in asking])
    return [
        one if isinstance(one, Exception) else page_of(rows or [], arguments, partial(_cursor, one[0]))
        for one, rows in zip(asking, found, strict=True)
    ]


def _cursor(cursors: Cursors, row: Row) -> str:
    return cursors.write([row["id"]])


async def names(operation: Operation, branches: Sequence[Row], needed: object) -> list[str | Exception | None]:  # noqa: ARG001 - a batch's arguments
    """Name each branch by the words that it begins with."""
    question = operation.questions.message_by_id.of(frozenset(["id", "content"]))
    found = await question.load_many([branch["beginning_id"] for branch in branches])
    read = iter(opened_many(await operation.works.keyring.cipher(operation.tenant_id), [row for row in found if row is not None]))
    opened = [None if row is None else next(read) for row in found]
    return [one if one is None or isinstance(one, Exception) else _shortened(plain_text(one)) for one in opened]


def _shortened(text: str) -> str | None:
    words = " ".join(text[: 4 * LONGEST_NAME].split())
    return f"{words[: LONGEST_NAME - 1].rstrip()}…" if len(words) > LONGEST_NAME else words or None
