"""The one place where messages are written: what else must be true of every message is done here, in the same transaction."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from uuid_utils.compat import uuid7

from auth.encryption.ciphers import TenantCipher
from chat.branches import Place
from chat.contents import NoticePart, Part, plain_text, sealed
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


async def save(scope: Writing, cipher: TenantCipher, message_id: UUID, parts: list[Part], *, status: str) -> None:
    """Write what an answer has said so far; STREAMING while it grows, another status once, when it has ended."""
    await messages.save_answer(scope, cipher.tenant_id, message_id, content=sealed(cipher, message_id, parts), status=status)
    if status not in GROWING:
        await terms.keep_messages(scope, cipher, {message_id: plain_text(parts)})


async def mark(scope: Writing, tenant_id: UUID, message_id: UUID, *, status: str) -> None:
    """End an answer with what has been saved of it."""
    await messages.mark(scope, tenant_id, message_id, status=status)


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
