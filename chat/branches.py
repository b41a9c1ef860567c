"""The tree of a chat's messages, kept as straight branches: where the next message goes, and when a branch begins."""

from typing import NamedTuple, Self
from uuid import UUID

from uuid_utils.compat import uuid7

from db.scopes import Row, Writing
from db.statements import branches, messages
from db.tables.chats import Branch
from errors import NotFound


class Place(NamedTuple):
    """Where a message goes: on this branch, at this depth, after this parent."""

    branch_id: UUID
    depth: int
    parent_id: UUID | None


class Joint(NamedTuple):
    """A message that others may follow, and where it is."""

    message_id: UUID
    branch_id: UUID
    depth: int

    @classmethod
    def of(cls, message: Row) -> Self:
        """Take a message's row for what others follow."""
        return cls(message["id"], message["branch_id"], message["depth"])


async def place_after(scope: Writing, tenant_id: UUID, chat_id: UUID, parent_id: UUID | None) -> Place:
    """Find the place after a message: straight on where nothing follows it yet, else on a new branch; None begins the tree, or another.

    The chat is locked by the caller, so nobody takes the place meanwhile.
    """
    if parent_id is None:
        return Place(await _begin(scope, tenant_id, chat_id, None), 0, None)
    parent = await messages.by_id(scope, tenant_id, parent_id)
    if parent is None or parent["chat_id"] != chat_id:
        raise NotFound("There is no message with this id in the chat.", path=("parentMessageId",))
    (place,) = await places_after(scope, tenant_id, chat_id, Joint.of(parent), 1)
    return place


async def places_after(  # noqa: PLR0913 - where, and how many
    scope: Writing, tenant_id: UUID, chat_id: UUID, joint: Joint, count: int, *, is_new: bool = False
) -> list[Place]:
    """Find places for several messages that follow one, as siblings; nothing can follow one that `is_new`."""
    taken = not is_new and await messages.taken(scope, tenant_id, joint.branch_id, joint.depth + 1)
    ids = [] if taken else [joint.branch_id]
    while len(ids) < count:
        ids.append(await _begin(scope, tenant_id, chat_id, joint))
    return [Place(branch_id, joint.depth + 1, joint.message_id) for branch_id in ids]


async def _begin(scope: Writing, tenant_id: UUID, chat_id: UUID, joint: Joint | None) -> UUID:
    """Begin a branch after a message, or a first one."""
    branch_id = uuid7()
    branch = Branch(tenant_id=tenant_id, id=branch_id, chat_id=chat_id, jump_branch_id=branch_id)
    if joint is not None:
        trunk = await _found(scope, tenant_id, joint.branch_id)
        jump = await _jump_after(scope, tenant_id, trunk)
        branch.parent_branch_id, branch.fork_depth, branch.level = joint.branch_id, joint.depth, trunk["level"] + 1
        branch.jump_branch_id, branch.jump_fork_depth, branch.jump_level = jump["id"], jump["fork_depth"], jump["level"]
    await branches.create(scope, branch)
    return branch_id


async def _jump_after(scope: Writing, tenant_id: UUID, trunk: Row) -> Row:
    """Find the ancestor that a branch after `trunk` jumps to, so that any ancestor is a few jumps and steps away.

    These are the jump pointers of E. W. Myers, "An applicative random-access stack" (1983): where the last two jumps were equally
    long, the next one spans both.
    """
    near = await _found(scope, tenant_id, trunk["jump_branch_id"])
    if trunk["level"] - near["level"] == near["level"] - near["jump_level"]:
        return await _found(scope, tenant_id, near["jump_branch_id"])
    return trunk


async def _found(scope: Writing, tenant_id: UUID, branch_id: UUID) -> Row:
    branch = await branches.by_id(scope, tenant_id, branch_id)
    assert branch is not None, "a message's foreign key holds its branch, and a branch is deleted with its chat only"
    return branch
