"""The tree of a chat's messages, kept as straight branches: where the next message goes, and when a branch begins."""

from typing import Final, NamedTuple
from uuid import UUID

from uuid_utils.compat import uuid7

from db.scopes import Row, Writing
from db.statements import messages
from db.tables.chats import Branch
from errors import NotFound

ENDLESS: Final = 2_147_483_647


class Place(NamedTuple):
    """Where a message goes: on this branch, at this depth, after this parent."""

    branch_id: UUID
    depth: int
    parent_id: UUID | None


async def place_after(scope: Writing, tenant_id: UUID, chat_id: UUID, parent_id: UUID | None) -> Place:
    """Find the place after a message: straight on where nothing follows it yet, else on a new branch.

    The chat is locked by the caller, so nobody takes the place meanwhile.
    """
    if parent_id is None:
        return Place(await _begin(scope, tenant_id, chat_id, None), 0, None)
    parent = await messages.by_id(scope, tenant_id, parent_id)
    if parent is None or parent["chat_id"] != chat_id:
        raise NotFound("There is no message with this id in the chat.", path=("parentMessageId",))
    branch_id: UUID = parent["branch_id"]
    depth: int = parent["depth"] + 1
    if await messages.taken(scope, tenant_id, branch_id, depth):
        branch_id = await _begin(scope, tenant_id, chat_id, parent)
    return Place(branch_id, depth, parent_id)


async def _begin(scope: Writing, tenant_id: UUID, chat_id: UUID, parent: Row | None) -> UUID:
    """Begin a branch after a message, or a first one."""
    branch_id = uuid7()
    ids, ends, fork_depth, parent_branch_id = [branch_id], [ENDLESS], -1, None
    if parent is not None:
        parent_branch_id, fork_depth = parent["branch_id"], parent["depth"]
        trunk = await messages.branch_by_id(scope, tenant_id, parent_branch_id)
        assert trunk is not None, "a message's foreign key holds its branch"
        ids = [*trunk["segment_ids"], branch_id]
        ends = [*trunk["segment_ends"][:-1], fork_depth, ENDLESS]
    branch = Branch(
        tenant_id=tenant_id, id=branch_id, chat_id=chat_id, parent_branch_id=parent_branch_id,
        fork_depth=fork_depth, segment_ids=ids, segment_ends=ends,
    )  # fmt: skip
    await messages.create_branch(scope, branch)
    return branch_id
