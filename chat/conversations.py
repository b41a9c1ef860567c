"""What a person does with a chat as a whole, and saying something in it."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from auth.policies.chats import can_delete_chat
from auth.viewers import Viewer
from chat.acts import Act, Acts
from chat.assistants import usable_version
from chat.branches import place_after
from chat.choices import Choice, Choices
from chat.claims import Made
from chat.dispatch import Dispatch, Stopped
from chat.drafts import ChatChange, ChatDraft, Draft, check_length, check_texts, check_title
from chat.exchanges import Exchange, Order, Sent, person_says, say, sent_before
from chat.headings import sealed_metadata, sealed_title
from chat.leavings import account_later
from chat.locks import manageable, speakable, visible, writable
from chat.titles import PERSON
from chat.turns import take_turn
from db.scopes import Row
from db.statements import chats, runs
from db.tables.chats import Chat
from errors import Conflict, PermissionDenied
from events.facts import ChatCreated, ChatDeleted, ChatUpdated, audience_of, record
from events.jobs import Jobs
from knowledge import terms
from settings import Settings


class Conversations:
    """Begins, changes and deletes chats, and says things in them, for viewers who may."""

    def __init__(self, *, acts: Acts, dispatch: Dispatch, choices: Choices, jobs: Jobs, settings: Settings) -> None:
        self._acts = acts
        self._dispatch = dispatch
        self._choices = choices
        self._jobs = jobs
        self._settings = settings

    async def begin(self, viewer: Viewer, draft: ChatDraft, *, key: str) -> Sent:
        """Create a chat, with a first message and its run where one is given."""
        check_title(draft.title, self._settings)
        if (first := draft.first_message) is not None:
            check_texts(first.texts, self._settings, path=("firstMessage", "content"))
        choice = await self._choices.of(viewer, () if first is None else first.model_ids)
        made = Made(uuid7()) if first is None else Made(uuid7(), uuid7(), tuple(uuid7() for _ in choice.models))
        async with self._acts.begun(viewer) as act:
            if (earlier := await act.claimed("chatCreate", key, msgspec.to_builtins(draft), made)) is not None:
                return await sent_before(act, earlier)
            if draft.assistant_id is not None:
                version = await usable_version(act.scope, viewer, draft.assistant_id)
                choice.check([model_id or version["model_id"] for model_id in choice.models], None)
            chat = await chats.create(
                act.scope,
                Chat(
                    tenant_id=act.tenant_id,
                    id=made.chat,
                    owner_id=viewer.user_id,
                    title=sealed_title(act.cipher, made.chat, draft.title),
                    titled_by=None if draft.title is None else PERSON,
                    metadata=sealed_metadata(act.cipher, made.chat, draft.metadata, self._settings),
                    visibility=draft.visibility,
                    assistant_id=draft.assistant_id,
                ),
            )
            if draft.title is not None:
                await terms.keep_titles(act.scope, act.cipher, {made.chat: draft.title})
            await record(act.scope, act.tenant_id, ChatCreated(chat_id=made.chat), by=viewer)
            if first is None:
                return Sent(chat, None, [], reused=False)
            said, _ = await _said(act, chat, first, made, choice)
            chat = await chats.by_id(act.scope, act.tenant_id, made.chat) or chat
            position = await runs.queued_before(act.scope, act.tenant_id, made.runs[0])
        await self._dispatch.waits(act.cipher, said.runs, position)
        return Sent(chat, said.question, said.runs, reused=False)

    async def change(self, viewer: Viewer, chat_id: UUID, change: ChatChange) -> Row:
        """Change a chat; raises `Conflict` with the current revision when somebody else was faster."""
        if change.title is not msgspec.UNSET:
            check_title(change.title, self._settings)
        async with self._acts.begun(viewer) as act:
            values: dict[Any, Any] = {}
            if change.title is not msgspec.UNSET:
                values[Chat.title] = sealed_title(act.cipher, chat_id, change.title)
                values[Chat.titled_by], values[Chat.titled_from_id] = PERSON, None
            if change.metadata is not msgspec.UNSET:
                values[Chat.metadata] = sealed_metadata(act.cipher, chat_id, change.metadata, self._settings)
            if change.visibility is not msgspec.UNSET:
                values[Chat.visibility] = change.visibility
            if change.archived is not msgspec.UNSET:
                values[Chat.archived_at] = datetime.now(UTC) if change.archived else None
            if change.pinned is not msgspec.UNSET:
                values[Chat.pinned_at] = datetime.now(UTC) if change.pinned else None
            chat = await (manageable if change.needs_owner else writable)(act.scope, viewer, chat_id)
            if change.expected_revision not in (None, chat["revision"]):
                raise Conflict("The chat was changed meanwhile.", path=("expectedRevision",), current_revision=chat["revision"])
            if change.title is not msgspec.UNSET:
                await terms.keep_titles(act.scope, act.cipher, {chat_id: change.title})
            if not values:
                return chat
            await record(act.scope, act.tenant_id, ChatUpdated(chat_id=chat_id, before=audience_of(chat)), by=viewer)
            return await chats.change(act.scope, act.tenant_id, chat_id, values) or chat

    async def delete(self, viewer: Viewer, chat_id: UUID) -> None:
        """Delete a chat with its messages, runs and their logs; an answer that is being made stops."""
        async with self._acts.begun(viewer) as act:
            chat = await visible(act.scope, viewer, chat_id)
            if not can_delete_chat(viewer, chat):
                raise PermissionDenied("Only the chat's owners may delete it.", required_scopes=("chats:delete",))
            run_ids = await runs.ids_of_chat(act.scope, act.tenant_id, chat_id)
            await account_later(self._jobs, act.scope, await runs.held_in_chat(act.scope, act.tenant_id, chat_id))
            await chats.delete(act.scope, act.tenant_id, chat_id)
            await record(act.scope, act.tenant_id, ChatDeleted(chat_id=chat_id, before=audience_of(chat)), by=viewer)
        await self._dispatch.gone(act.tenant_id, run_ids)

    async def send(self, viewer: Viewer, chat_id: UUID, draft: Draft, *, key: str) -> Sent:
        """Say something in a chat: the message, the run that answers it and the key's claim are one transaction."""
        check_texts(draft.texts, self._settings)
        check_length(draft.max_output_tokens)
        choice = await self._choices.of(viewer, draft.model_ids, draft.routing_policy_id)
        made = Made(chat_id, uuid7(), tuple(uuid7() for _ in choice.models))
        async with self._acts.begun(viewer) as act:
            if (earlier := await act.claimed("messageSend", key, {"chat": chat_id.hex, **msgspec.to_builtins(draft)}, made)) is not None:
                return await sent_before(act, earlier)
            chat = await speakable(act.scope, viewer, chat_id)
            said, stopped = await _said(act, chat, draft, made, choice)
            position = await runs.queued_before(act.scope, act.tenant_id, made.runs[0])
        await self._dispatch.stops(act.cipher, stopped)
        await self._dispatch.waits(act.cipher, said.runs, position)
        return Sent(chat, said.question, said.runs, reused=False)


async def _said(act: Act, chat: Row, draft: Draft, made: Made, choice: Choice) -> tuple[Exchange, list[Stopped]]:
    """Write the message, the empty answer and its run, for when it is their turn."""
    turn = await take_turn(act, chat["id"], draft.if_busy)
    place = await place_after(act.scope, act.tenant_id, chat["id"], draft.parent_id or chat["head_message_id"])
    question = person_says(act, made.message, place, draft.texts)
    order = Order(
        run_ids=made.runs, models=choice.models, choice=choice, turn=turn.number, assistant_version_id=draft.assistant_version_id,
        routing_policy_id=draft.routing_policy_id, max_output_tokens=draft.max_output_tokens, background=draft.background,
    )  # fmt: skip
    return await say(act, chat["id"], question, order), turn.stopped
