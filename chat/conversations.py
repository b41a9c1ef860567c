"""What a person does in a chat: begin one, change it, say something, stop an answer."""

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from auth.encryption.ciphers import TenantCipher
from auth.encryption.keyring import Keyring
from auth.policies.chats import can_delete_chat, can_read_chat
from auth.viewers import Viewer
from chat import records
from chat.branches import Place, place_after
from chat.claims import Claim, claimed
from chat.contents import text_parts
from chat.dispatch import LAST_SEQ_UNBEGUN, Dispatch
from chat.drafts import ChatChange, ChatDraft, Draft, check_length, check_texts, check_title
from chat.headings import sealed_metadata, sealed_title
from chat.locks import manageable, speakable, visible, writable
from chat.logs import RunLogs
from chat.queues import RunQueue
from chat.records import Said
from db.scopes import Row, TenantScopes, Writing
from db.statements import chats, messages, runs
from db.tables.chats import Chat
from db.tables.runs import Run
from errors import Conflict, NotFound, PermissionDenied
from events.valkey import OUTAGES
from settings import Settings


class RunInProgress(Conflict):
    """The chat is being answered; `run` is the run that does it."""

    code = "RUN_IN_PROGRESS"

    def __init__(self, run: Row) -> None:
        super().__init__("The chat is being answered; wait for it or cancel it.")
        self.run = run


class Sent(NamedTuple):
    """A message and the runs that answer it; `reused` when an earlier request with the same key did it."""

    chat: Row
    message: Row | None
    runs: list[Row]
    reused: bool


class Conversations:
    """Chats and their messages, for viewers. Every method checks what the viewer may do with the chat's row."""

    def __init__(self, *, scopes: TenantScopes, keyring: Keyring, logs: RunLogs, queue: RunQueue, settings: Settings) -> None:
        self._scopes = scopes
        self._keyring = keyring
        self._logs = logs
        self._queue = queue
        self._dispatch = Dispatch(logs, queue)
        self._key_life = timedelta(hours=settings.idempotency_hours)
        self._settings = settings

    async def begin(self, viewer: Viewer, draft: ChatDraft, *, key: str) -> Sent:
        """Create a chat, with a first message and its run where one is given."""
        check_title(draft.title, self._settings)
        if draft.first_message is not None:
            check_texts(draft.first_message.texts, self._settings, path=("firstMessage", "content"))
        cipher = await self._keyring.cipher(viewer.tenant_id)
        chat_id, run_id = uuid7(), uuid7()
        claim = Claim(key, "chatCreate", msgspec.to_builtins(draft), {"chat": chat_id.hex, "run": run_id.hex})
        async with self._scopes.writing(viewer.tenant_id) as scope:
            if (earlier := await claimed(scope, viewer, cipher, claim, life=self._key_life)) is not None:
                return await _sent_before(scope, viewer, UUID(earlier["chat"]), UUID(earlier["run"]))
            chat = await chats.create(
                scope,
                Chat(
                    tenant_id=viewer.tenant_id,
                    id=chat_id,
                    owner_id=viewer.user_id,
                    title=sealed_title(cipher, chat_id, draft.title),
                    metadata=sealed_metadata(cipher, chat_id, draft.metadata, self._settings),
                    visibility=draft.visibility,
                ),
            )
            if draft.first_message is None:
                return Sent(chat, None, [], reused=False)
            message, run = await self._say(scope, viewer, cipher, chat, draft.first_message, run_id)
            chat = await chats.by_id(scope, viewer.tenant_id, chat_id) or chat
            position = await runs.queued_before(scope, viewer.tenant_id, run_id)
        await self._dispatch.waits(cipher, run, position)
        return Sent(chat, message, [run], reused=False)

    async def change(self, viewer: Viewer, chat_id: UUID, change: ChatChange) -> Row:
        """Change a chat; raises `Conflict` with the current revision when somebody else was faster."""
        if change.title is not msgspec.UNSET:
            check_title(change.title, self._settings)
        cipher = await self._keyring.cipher(viewer.tenant_id)
        values: dict[Any, Any] = {}
        if change.title is not msgspec.UNSET:
            values[Chat.title] = sealed_title(cipher, chat_id, change.title)
        if change.metadata is not msgspec.UNSET:
            values[Chat.metadata] = sealed_metadata(cipher, chat_id, change.metadata, self._settings)
        if change.visibility is not msgspec.UNSET:
            values[Chat.visibility] = change.visibility
        if change.archived is not msgspec.UNSET:
            values[Chat.archived_at] = datetime.now(UTC) if change.archived else None
        async with self._scopes.writing(viewer.tenant_id) as scope:
            chat = await (manageable if change.needs_owner else writable)(scope, viewer, chat_id)
            if change.expected_revision not in (None, chat["revision"]):
                raise Conflict("The chat was changed meanwhile.", path=("expectedRevision",), current_revision=chat["revision"])
            return await chats.change(scope, viewer.tenant_id, chat_id, values) or chat if values else chat

    async def delete(self, viewer: Viewer, chat_id: UUID) -> None:
        """Delete a chat with its messages, runs and their logs; an answer that is being made stops."""
        async with self._scopes.writing(viewer.tenant_id) as scope:
            chat = await visible(scope, viewer, chat_id)
            if not can_delete_chat(viewer, chat):
                raise PermissionDenied("Only the chat's owners may delete it.", required_scopes=("chats:delete",))
            run_ids = await runs.ids_of_chat(scope, viewer.tenant_id, chat_id)
            await chats.delete(scope, viewer.tenant_id, chat_id)
        with contextlib.suppress(*OUTAGES):
            await self._logs.forget(viewer.tenant_id, run_ids)
            for run_id in run_ids:
                await self._queue.cancel(run_id)

    async def send(self, viewer: Viewer, chat_id: UUID, draft: Draft, *, key: str) -> Sent:
        """Say something in a chat: the message, the run that answers it and the key's claim are one transaction."""
        check_texts(draft.texts, self._settings)
        check_length(draft.max_output_tokens)
        cipher = await self._keyring.cipher(viewer.tenant_id)
        run_id = uuid7()
        content = {"chat": chat_id.hex, **msgspec.to_builtins(draft)}
        claim = Claim(key, "messageSend", content, {"chat": chat_id.hex, "run": run_id.hex})
        async with self._scopes.writing(viewer.tenant_id) as scope:
            if (earlier := await claimed(scope, viewer, cipher, claim, life=self._key_life)) is not None:
                return await _sent_before(scope, viewer, UUID(earlier["chat"]), UUID(earlier["run"]))
            chat = await speakable(scope, viewer, chat_id)
            if busy := await runs.open_by_chats(scope, viewer.tenant_id, [chat_id]):
                raise RunInProgress(busy[0])
            message, run = await self._say(scope, viewer, cipher, chat, draft, run_id)
            position = await runs.queued_before(scope, viewer.tenant_id, run_id)
        await self._dispatch.waits(cipher, run, position)
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
            await writable(scope, viewer, run["chat_id"], missing)
            asked = await runs.ask_to_cancel(scope, viewer.tenant_id, run_id)
            if asked is None:
                return await runs.by_id(scope, viewer.tenant_id, run_id) or run, True
            if asked["status"] == "QUEUED":
                values = {
                    Run.status: "CANCELLED", Run.stop_reason: "USER_CANCEL", Run.finished_at: datetime.now(UTC),
                    Run.last_seq: LAST_SEQ_UNBEGUN,
                }  # fmt: skip
                never_began = await runs.finish(scope, viewer.tenant_id, run_id, epoch=asked["epoch"], values=values)
                await records.save(scope, cipher, run["output_message_id"], [], status="INCOMPLETE")
            run = await runs.by_id(scope, viewer.tenant_id, run_id) or run
        await self._dispatch.stops(cipher, run, unbegun=never_began)
        return run, False

    async def _say(  # noqa: PLR0913 - one transaction's facts
        self, scope: Writing, viewer: Viewer, cipher: TenantCipher, chat: Row, draft: Draft, run_id: UUID
    ) -> tuple[Row, Row]:
        """Write the message, the empty answer and the run, and let the chat continue from the answer."""
        tenant_id, chat_id = viewer.tenant_id, chat["id"]
        place = await place_after(scope, tenant_id, chat_id, draft.parent_id or chat["head_message_id"])
        question_id, answer_id = uuid7(), uuid7()
        question = Said(
            id=question_id, place=place, role="USER", status="COMPLETE", parts=text_parts(list(draft.texts)), author_id=viewer.user_id
        )
        after = Place(place.branch_id, place.depth + 1, question_id)
        answer = Said(id=answer_id, place=after, role="ASSISTANT", status="PENDING", run_id=run_id)
        message, _ = await records.write(scope, cipher, chat_id, question, answer)
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


async def _sent_before(scope: Writing, viewer: Viewer, chat_id: UUID, run_id: UUID) -> Sent:
    """Read again what an earlier request with the same key did, as far as the viewer still sees it."""
    tenant_id = viewer.tenant_id
    chat = await chats.by_id(scope, tenant_id, chat_id)
    if chat is None or not can_read_chat(viewer, chat):
        raise NotFound("The chat that this idempotency key was used for is gone.", path=("idempotencyKey",))
    run = await runs.by_id(scope, tenant_id, run_id)
    message = None if run is None else await messages.by_id(scope, tenant_id, run["input_message_id"])
    return Sent(chat, message, [] if run is None else [run], reused=True)
