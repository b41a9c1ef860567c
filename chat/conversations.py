"""What a person does in a chat: begin one, change it, say something, stop an answer."""

import contextlib
import hashlib
import math
import time
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
import structlog
from uuid_utils.compat import uuid7

from auth.encryption.ciphers import TenantCipher
from auth.encryption.keyring import Keyring
from auth.policies.chats import can_delete_chat, can_read_chat, can_write_chat
from auth.viewers import Viewer
from chat.branches import place_after
from chat.contents import sealed, text_parts
from chat.events import RunFinished, RunQueued
from chat.logs import RunLogs, RunWasTaken
from chat.queues import RunQueue
from db.scopes import Row, TenantScopes, Writing
from db.statements import chats, idempotency, messages, runs
from db.tables.chats import Chat, Message
from db.tables.runs import Run
from errors import Conflict, Invalid, NotFound, PermissionDenied
from events.valkey import OUTAGES, ValkeyIsUnavailable
from settings import Settings

log = structlog.get_logger()

METADATA_LEVELS: Final = 32


class KeyMeansAnotherInput(Conflict):
    """The idempotency key was used with another input."""

    code = "IDEMPOTENCY_MISMATCH"


class RunInProgress(Conflict):
    """The chat is being answered; `run` is the run that does it."""

    code = "RUN_IN_PROGRESS"

    def __init__(self, run: Row) -> None:
        super().__init__("The chat is being answered; wait for it or cancel it.")
        self.run = run


class ChatIsArchived(Conflict):
    """Nothing can be said in an archived chat."""

    def __init__(self) -> None:
        super().__init__("The chat is archived; take it out of the archive first.", path=("chatId",))


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What somebody wants to say."""

    texts: Sequence[str]
    parent_id: UUID | None = None
    max_output_tokens: int | None = None
    background: bool = True


class Sent(NamedTuple):
    """A message and the runs that answer it; `reused` when an earlier request with the same key did it."""

    chat: Row
    message: Row | None
    runs: list[Row]
    reused: bool


@dataclass(frozen=True, kw_only=True)
class ChatDraft:
    """A chat that somebody wants to begin."""

    title: str | None = None
    visibility: str = "PRIVATE"
    metadata: Any = None
    first_message: Draft | None = None


@dataclass(frozen=True, kw_only=True)
class ChatChange:
    """What to change of a chat; `UNSET` leaves a field as it is, None clears it."""

    title: str | msgspec.UnsetType | None = msgspec.UNSET
    visibility: str | msgspec.UnsetType = msgspec.UNSET
    metadata: Any = msgspec.UNSET
    archived: bool | msgspec.UnsetType = msgspec.UNSET
    expected_revision: int | None = None


@dataclass(frozen=True)
class _Claim:
    """An idempotency key with what it stands for."""

    key: str
    operation: str
    content: Any
    result: dict[str, str] = field(default_factory=dict)


class Conversations:
    """Chats and their messages, for viewers. Every method checks what the viewer may do with the chat's row."""

    def __init__(self, *, scopes: TenantScopes, keyring: Keyring, logs: RunLogs, queue: RunQueue, settings: Settings) -> None:
        self._scopes = scopes
        self._keyring = keyring
        self._logs = logs
        self._queue = queue
        self._settings = settings

    async def begin(self, viewer: Viewer, draft: ChatDraft, *, key: str) -> Sent:
        """Create a chat, with a first message and its run where one is given."""
        self._check_title(draft.title)
        if draft.first_message is not None:
            self._check_texts(draft.first_message.texts, path=("firstMessage", "content"))
        cipher = await self._keyring.cipher(viewer.tenant_id)
        chat_id, run_id = uuid7(), uuid7()
        claim = _Claim(key, "chatCreate", msgspec.to_builtins(draft), {"chat": chat_id.hex, "run": run_id.hex})
        async with self._scopes.writing(viewer.tenant_id) as scope:
            if (earlier := await self._claimed(scope, viewer, cipher, claim)) is not None:
                return await _sent_before(scope, viewer.tenant_id, UUID(earlier["chat"]), UUID(earlier["run"]))
            chat = await chats.create(
                scope,
                Chat(
                    tenant_id=viewer.tenant_id,
                    id=chat_id,
                    owner_id=viewer.user_id,
                    title=sealed_title(cipher, chat_id, draft.title),
                    metadata=self._sealed_metadata(cipher, chat_id, draft.metadata),
                    visibility=draft.visibility,
                ),
            )
            if draft.first_message is None:
                return Sent(chat, None, [], reused=False)
            message, run = await self._say(scope, viewer, cipher, chat, draft.first_message, run_id)
            chat = await chats.by_id(scope, viewer.tenant_id, chat_id) or chat
            position = await runs.queued_before(scope, viewer.tenant_id, run_id)
        await self._hand_over(cipher, run, position)
        return Sent(chat, message, [run], reused=False)

    async def change(self, viewer: Viewer, chat_id: UUID, change: ChatChange) -> Row:
        """Change a chat; raises `Conflict` with the current revision when somebody else was faster."""
        if change.title is not msgspec.UNSET:
            self._check_title(change.title)
        cipher = await self._keyring.cipher(viewer.tenant_id)
        values: dict[Any, Any] = {}
        if change.title is not msgspec.UNSET:
            values[Chat.title] = sealed_title(cipher, chat_id, change.title)
        if change.metadata is not msgspec.UNSET:
            values[Chat.metadata] = self._sealed_metadata(cipher, chat_id, change.metadata)
        if change.visibility is not msgspec.UNSET:
            values[Chat.visibility] = change.visibility
        if change.archived is not msgspec.UNSET:
            values[Chat.archived_at] = datetime.now(UTC) if change.archived else None
        async with self._scopes.writing(viewer.tenant_id) as scope:
            chat = await self._writable(scope, viewer, chat_id)
            if change.expected_revision not in (None, chat["revision"]):
                raise Conflict("The chat was changed meanwhile.", path=("expectedRevision",), current_revision=chat["revision"])
            return await chats.change(scope, viewer.tenant_id, chat_id, values) or chat if values else chat

    async def delete(self, viewer: Viewer, chat_id: UUID) -> None:
        """Delete a chat with its messages, runs and their logs; an answer that is being made stops."""
        async with self._scopes.writing(viewer.tenant_id) as scope:
            chat = await self._visible(scope, viewer, chat_id)
            if not can_delete_chat(viewer, chat):
                raise PermissionDenied("Only the chat's owner may delete it.", required_scopes=("chats:delete",))
            run_ids = await runs.ids_of_chat(scope, viewer.tenant_id, chat_id)
            await chats.delete(scope, viewer.tenant_id, chat_id)
        with contextlib.suppress(*OUTAGES):
            await self._logs.forget(viewer.tenant_id, run_ids)
            for run_id in run_ids:
                await self._queue.cancel(run_id)

    async def send(self, viewer: Viewer, chat_id: UUID, draft: Draft, *, key: str) -> Sent:
        """Say something in a chat: the message, the run that answers it and the key's claim are one transaction."""
        self._check_texts(draft.texts, path=("content",))
        self._check_length(draft.max_output_tokens)
        cipher = await self._keyring.cipher(viewer.tenant_id)
        run_id = uuid7()
        content = {"chat": chat_id.hex, **msgspec.to_builtins(draft)}
        claim = _Claim(key, "messageSend", content, {"chat": chat_id.hex, "run": run_id.hex})
        async with self._scopes.writing(viewer.tenant_id) as scope:
            if (earlier := await self._claimed(scope, viewer, cipher, claim)) is not None:
                return await _sent_before(scope, viewer.tenant_id, UUID(earlier["chat"]), UUID(earlier["run"]))
            chat = await self._writable(scope, viewer, chat_id)
            if chat["archived_at"] is not None:
                raise ChatIsArchived
            if busy := await runs.open_by_chats(scope, viewer.tenant_id, [chat_id]):
                raise RunInProgress(busy[0])
            message, run = await self._say(scope, viewer, cipher, chat, draft, run_id)
            position = await runs.queued_before(scope, viewer.tenant_id, run_id)
        await self._hand_over(cipher, run, position)
        return Sent(chat, message, [run], reused=False)

    async def cancel(self, viewer: Viewer, run_id: UUID) -> tuple[Row, bool]:
        """Stop an answer from anywhere; what was said is kept. Returns the run and whether it had ended before."""
        cipher = await self._keyring.cipher(viewer.tenant_id)
        never_began = False
        async with self._scopes.writing(viewer.tenant_id) as scope:
            run = await runs.by_id(scope, viewer.tenant_id, run_id)
            # Somebody else's private run gives the same answer as none.
            missing = NotFound("There is no Run with this id.", path=("runId",))
            if run is None:
                raise missing
            await self._writable(scope, viewer, run["chat_id"], missing)
            asked = await runs.ask_to_cancel(scope, viewer.tenant_id, run_id)
            if asked is None:
                return await runs.by_id(scope, viewer.tenant_id, run_id) or run, True
            if asked["status"] == "QUEUED":
                values = {Run.status: "CANCELLED", Run.stop_reason: "USER_CANCEL", Run.finished_at: datetime.now(UTC), Run.last_seq: 2}
                never_began = await runs.finish(scope, viewer.tenant_id, run_id, epoch=asked["epoch"], values=values)
                await messages.save_answer(
                    scope, viewer.tenant_id, run["output_message_id"],
                    content=sealed(cipher, run["output_message_id"], []), status="INCOMPLETE",
                )  # fmt: skip
            run = await runs.by_id(scope, viewer.tenant_id, run_id) or run
        with contextlib.suppress(*OUTAGES, ValkeyIsUnavailable, RunWasTaken):
            if never_began:
                await self._logs.writer(cipher, run_id, run["epoch"]).append(RunFinished(seq=2, at=time.time(), status="CANCELLED"))
            await self._queue.cancel(run_id)
        return run, False

    async def _say(  # noqa: PLR0913 - one transaction's facts
        self, scope: Writing, viewer: Viewer, cipher: TenantCipher, chat: Row, draft: Draft, run_id: UUID
    ) -> tuple[Row, Row]:
        """Write the message, the empty answer and the run, and let the chat continue from the answer."""
        tenant_id, chat_id = viewer.tenant_id, chat["id"]
        place = await place_after(scope, tenant_id, chat_id, draft.parent_id or chat["head_message_id"])
        question_id, answer_id = uuid7(), uuid7()
        where: dict[str, Any] = {"tenant_id": tenant_id, "chat_id": chat_id, "branch_id": place.branch_id}
        question = Message(
            **where, id=question_id, depth=place.depth, parent_id=place.parent_id, role="USER", author_id=viewer.user_id,
            status="COMPLETE", content=sealed(cipher, question_id, text_parts(list(draft.texts))), run_id=None,
        )  # fmt: skip
        answer = Message(
            **where, id=answer_id, depth=place.depth + 1, parent_id=question_id, role="ASSISTANT",
            status="PENDING", content=sealed(cipher, answer_id, []), run_id=run_id, author_id=None,
        )  # fmt: skip
        message, _ = await messages.create(scope, question, answer)
        run = await runs.create(
            scope,
            Run(
                tenant_id=tenant_id,
                id=run_id,
                chat_id=chat_id,
                input_message_id=question_id,
                output_message_id=answer_id,
                created_by=viewer.user_id,
                max_output_tokens=draft.max_output_tokens,
                background=draft.background,
            ),
        )
        await chats.move_head(scope, tenant_id, chat_id, answer_id)
        return message, run

    async def _hand_over(self, cipher: TenantCipher, run: Row, position: int) -> None:
        """Tell the workers. When Valkey is away the run still waits in PostgreSQL, where a sweep finds it."""
        try:
            await self._logs.writer(cipher, run["id"], 0).append(RunQueued(seq=1, at=time.time(), position=position))
            await self._queue.put(cipher.tenant_id, run["id"])
        except (*OUTAGES, ValkeyIsUnavailable, RunWasTaken) as error:
            log.warning("run_not_announced", run_id=str(run["id"]), error=type(error).__name__)

    async def _claimed(self, scope: Writing, viewer: Viewer, cipher: TenantCipher, claim: _Claim) -> dict[str, str] | None:
        """Claim an idempotency key; returns the earlier result when it was used before for the same input."""
        if not 1 <= len(claim.key) <= 255:
            raise Invalid("The idempotency key must have 1 to 255 characters.", path=("idempotencyKey",), constraint="length=1..255")
        written = msgspec.json.encode([claim.operation, claim.content], order="deterministic")
        earlier = await idempotency.claim(
            scope,
            viewer.tenant_id,
            viewer.principal_id,
            key_hash=hashlib.sha256(claim.key.encode()).digest(),
            input_hash=cipher.hmac("idempotency", written),
            result=claim.result,
            life=timedelta(hours=self._settings.idempotency_hours),
        )
        if earlier is None:
            return None
        if earlier["input_hash"] not in [cipher.hmac("idempotency", written, version=version) for version in cipher.versions]:
            raise KeyMeansAnotherInput("This idempotency key was used with another input.", path=("idempotencyKey",))
        return msgspec.json.decode(earlier["result"], type=dict[str, str])

    async def _visible(self, scope: Writing, viewer: Viewer, chat_id: UUID, missing: NotFound | None = None) -> Row:
        chat = await chats.locked(scope, viewer.tenant_id, chat_id)
        if chat is None or not can_read_chat(viewer, chat):
            raise missing or NotFound("There is no Chat with this id.", path=("chatId",))
        return chat

    async def _writable(self, scope: Writing, viewer: Viewer, chat_id: UUID, missing: NotFound | None = None) -> Row:
        chat = await self._visible(scope, viewer, chat_id, missing)
        if not can_write_chat(viewer, chat):
            raise PermissionDenied("Only the chat's owner may do this.", required_scopes=("chats:write",))
        return chat

    def _check_title(self, title: str | None) -> None:
        most = self._settings.chat_title_max_length
        if title is not None and (not 0 < len(title.strip()) <= most or any(unicodedata.category(letter) == "Cc" for letter in title)):
            raise Invalid(f"A title has 1 to {most} characters and no control characters.", path=("title",), constraint=f"length=1..{most}")

    def _check_texts(self, texts: Sequence[str], *, path: Sequence[str]) -> None:
        parts, most = self._settings.message_max_parts, self._settings.message_max_bytes
        if not 1 <= len(texts) <= parts:
            raise Invalid(f"A message has 1 to {parts} parts.", path=path, constraint=f"parts=1..{parts}")
        if not any(text.strip() for text in texts):
            raise Invalid("The message is empty.", path=path, constraint="not_empty")
        if sum(len(text.encode()) for text in texts) > most:
            raise Invalid(f"The message is longer than {most:,} bytes.", path=path, constraint=f"max_bytes={most}")
        if any("\x00" in text for text in texts):
            raise Invalid("The message contains a NUL character.", path=path, constraint="no_nul")

    def _check_length(self, tokens: int | None) -> None:
        if tokens is not None and tokens < 1:
            raise Invalid("An answer has at least one token.", path=("maxOutputTokens",), constraint="min=1")

    def _sealed_metadata(self, cipher: TenantCipher, chat_id: UUID, metadata: Any) -> bytes | None:
        if metadata is None:
            return None
        if not _is_plain(metadata):
            message = f"Metadata has at most {METADATA_LEVELS} levels, finite numbers, and whole numbers of at most 64 bits."
            raise Invalid(message, path=("metadata",), constraint="plain_json")
        written, most = msgspec.json.encode(metadata), self._settings.metadata_max_bytes
        if len(written) > most:
            raise Invalid(f"The metadata is longer than {most:,} bytes of JSON.", path=("metadata",), constraint=f"max_bytes={most}")
        return cipher.encrypt("chats", "metadata", chat_id, written)


async def _sent_before(scope: Writing, tenant_id: UUID, chat_id: UUID, run_id: UUID) -> Sent:
    """Read again what an earlier request with the same key did."""
    chat = await chats.by_id(scope, tenant_id, chat_id)
    if chat is None:
        raise NotFound("The chat that this idempotency key made was deleted.", path=("idempotencyKey",))
    run = await runs.by_id(scope, tenant_id, run_id)
    message = None if run is None else await messages.by_id(scope, tenant_id, run["input_message_id"])
    return Sent(chat, message, [] if run is None else [run], reused=True)


def sealed_title(cipher: TenantCipher, chat_id: UUID, title: str | None) -> bytes | None:
    """Encrypt a chat's title for its row."""
    return None if title is None else cipher.encrypt("chats", "title", chat_id, title.strip().encode())


def opened_titles(cipher: TenantCipher, chats: Sequence[Row]) -> list[str | Exception | None]:
    """Decrypt the titles of chats; in the place of one that is unreadable stands why."""
    titled = [(chat["id"], chat["title"]) for chat in chats if chat["title"] is not None]
    contents = iter(cipher.decrypt_many("chats", "title", titled))
    found = (None if chat["title"] is None else next(contents) for chat in chats)
    return [content.decode() if isinstance(content, bytes) else content for content in found]


def opened_metadata(cipher: TenantCipher, chat: Row) -> Any:
    """Decrypt a chat's metadata."""
    return None if chat["metadata"] is None else msgspec.json.decode(cipher.decrypt("chats", "metadata", chat["id"], chat["metadata"]))


def _is_plain(value: Any, levels: int = METADATA_LEVELS) -> bool:
    """Whether a JSON value can be written again for every reader: no depth, number or text that some encoder refuses."""
    if isinstance(value, dict):
        return levels > 0 and all(_is_plain(key, levels - 1) and _is_plain(inner, levels - 1) for key, inner in value.items())
    if isinstance(value, list):
        return levels > 0 and all(_is_plain(inner, levels - 1) for inner in value)
    if isinstance(value, str):
        return not any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or -(2**63) <= value < 2**63
