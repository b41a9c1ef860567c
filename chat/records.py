"""The one place where messages are written: what else must be true of every message is done here, in the same transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, NamedTuple
from uuid import UUID

from uuid_utils.compat import uuid7

from auth.encryption.ciphers import TenantCipher
from chat.branches import Place
from chat.contents import NoticePart, Part, opened, opened_many, plain_text, sealed
from db.scopes import Row, Writing
from db.statements import feedback, messages
from db.tables.chats import Message
from events.facts import ENDS_OF_RUNS, Actor, MessageCompleted, MessageCreated, record
from knowledge import terms

# Messages with more to come: they are found when it has come.
GROWING: Final = frozenset({"PENDING", "STREAMING"})


@dataclass(frozen=True, kw_only=True)
class Said:
    """A message to be written: `author_id` where a person speaks, `run_id` where a run makes it, `edited_at` where it mends another,
    `copied_from_id` where a fork says it again, or an answer begins with another.
    """

    id: UUID
    place: Place
    role: str
    status: str
    parts: list[Part] = field(default_factory=list)
    author_id: UUID | None = None
    run_id: UUID | None = None
    model_id: UUID | None = None
    created_at: datetime | None = None
    edited_at: datetime | None = None
    copied_from_id: UUID | None = None


class Copy(NamedTuple):
    """A message to be said again: its row as it was read, and what is another one in the copy."""

    original: Row
    id: UUID
    parent_id: UUID | None
    status: str
    parts: list[Part]


async def write(scope: Writing, cipher: TenantCipher, chat_id: UUID, *said: Said, by: Actor | None) -> list[Row]:
    """Write new messages of a chat, for whoever says or asked for them; their rows come back in the order given.

    Without anybody they come with a new chat, and are not told one by one.
    """
    now = datetime.now(UTC)
    rows = [
        Message(
            tenant_id=cipher.tenant_id, id=one.id, chat_id=chat_id, branch_id=one.place.branch_id, depth=one.place.depth,
            parent_id=one.place.parent_id, role=one.role, author_id=one.author_id, run_id=one.run_id, status=one.status,
            content=sealed(cipher, one.id, one.parts), model_id=one.model_id, created_at=one.created_at or now,
            edited_at=one.edited_at, copied_from_id=one.copied_from_id,
        )
        for one in said
    ]  # fmt: skip
    written = await messages.create(scope, *rows)
    await terms.keep_messages(scope, cipher, {one.id: plain_text(one.parts) for one in said if one.status not in GROWING})
    if by is not None:
        await record(scope, cipher.tenant_id, *(MessageCreated(chat_id=chat_id, message_id=one.id) for one in said), by=by)
    return written


async def copy(scope: Writing, cipher: TenantCipher, chat_id: UUID, branch_id: UUID, copies: Sequence[Copy]) -> None:
    """Say messages again in a chat that is new: they come with it, and are not told one by one."""
    await messages.copy(
        scope, cipher.tenant_id, chat_id, branch_id, originals=[one.original["id"] for one in copies], ids=[one.id for one in copies],
        parents=[one.parent_id for one in copies], statuses=[one.status for one in copies],
        contents=[sealed(cipher, one.id, one.parts) for one in copies],
    )  # fmt: skip
    # What was still being said has no terms yet.
    await terms.keep_messages(scope, cipher, {one.id: plain_text(one.parts) for one in copies if one.original["status"] in GROWING})
    await terms.copy_messages(scope, cipher, [one.id for one in copies if one.original["status"] not in GROWING])


async def save(scope: Writing, cipher: TenantCipher, message_id: UUID, parts: list[Part], *, status: str) -> None:
    """Write what an answer has said so far; STREAMING while it grows, another status once, when it has ended."""
    await messages.save_answer(scope, cipher.tenant_id, message_id, content=sealed(cipher, message_id, parts), status=status)
    if status not in GROWING:
        await terms.keep_messages(scope, cipher, {message_id: plain_text(parts)})


async def end_unbegun(scope: Writing, cipher: TenantCipher, message_id: UUID) -> None:
    """End an answer that nobody has begun; what it was to go on from is found in it too."""
    content = await messages.mark(scope, cipher.tenant_id, message_id, status="INCOMPLETE")
    await terms.keep_messages(scope, cipher, {message_id: plain_text(opened(cipher, message_id, content))})


async def end_broken(scope: Writing, tenant_id: UUID, cipher: TenantCipher | None, message_id: UUID, *, status: str) -> None:
    """End an answer with what has been saved of it, which is found if it can be read: there may be no cipher, or one that cannot."""
    content = await messages.mark(scope, tenant_id, message_id, status=status)
    if cipher is None or cipher.active_version is None:
        return
    (parts,) = opened_many(cipher, [{"id": message_id, "content": content}])
    if isinstance(parts, list):
        await terms.keep_messages(scope, cipher, {message_id: plain_text(parts)})


async def redact(scope: Writing, cipher: TenantCipher, message_id: UUID, *, by: UUID) -> Row | None:
    """Put a notice in the place of all that a message says, for good; None when that was done before."""
    notice = NoticePart(uuid7(), "redacted", "This message was redacted.")
    row = await messages.redact(scope, cipher.tenant_id, message_id, content=sealed(cipher, message_id, [notice]), by=by)
    await terms.keep_messages(scope, cipher, {message_id: ""})
    await feedback.remove_all(scope, cipher.tenant_id, message_id)
    return row


async def ended(scope: Writing, run: Row, status: str, *, by: Actor | None = None) -> None:
    """Let everybody know that a run has ended in this transaction, and that its message will grow no more."""
    end = ENDS_OF_RUNS[status](chat_id=run["chat_id"], run_id=run["id"])
    completed = MessageCompleted(chat_id=run["chat_id"], message_id=run["output_message_id"])
    await record(scope, run["tenant_id"], end, completed, by=by)
