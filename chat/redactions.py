"""Taking the content of a message away for good, wherever PENNY holds it; the message itself stays, so that nothing behind it is lost."""

from collections.abc import Sequence
from uuid import UUID

from auth.viewers import Viewer
from chat import records
from chat.acts import Act, Acts
from chat.locks import writable
from chat.logs import RunLogs
from chat.turns import RunInProgress
from db.scopes import Row
from db.statements import chats, messages, runs, shares
from errors import NotFound
from events.facts import ChatUpdated, MessageUpdated, record
from events.valkey import OUTAGES, ValkeyIsUnavailable
from knowledge import terms


class Redactions:
    """Redacts messages: rows, those of forks, continuations and summaries among them, run logs, index and opinions.

    Links show a chat's own rows.
    """

    def __init__(self, *, acts: Acts, logs: RunLogs) -> None:
        self._acts = acts
        self._logs = logs

    async def redact(self, viewer: Viewer, message_id: UUID) -> Row:
        """Put a notice in the place of a message's content; again is no mistake, and makes sure of it.

        Neither an answer that is being made, nor what it begins with, nor its question can be redacted: cancel first. Raises
        `ValkeyIsUnavailable` when a log could not be reached; the rows are redacted then, and the same request again does the rest.
        """
        missing = NotFound("There is no Message with this id.", path=("messageId",))
        async with self._acts.begun(viewer) as act:
            found = await messages.by_id(act.scope, act.tenant_id, message_id)
            if found is None:
                raise missing
            await writable(act.scope, viewer, found["chat_id"], missing)
            concerned = await runs.of_message(act.scope, act.tenant_id, found["chat_id"], message_id)
            copies = await _copies_of(act, message_id)
            told_by = [one["run_id"] for one in (found, *copies) if one["run_id"] is not None]
            concerned += await runs.by_ids(act.scope, act.tenant_id, told_by)
            if unfinished := [run for run in concerned if run["finished_at"] is None]:
                raise RunInProgress(unfinished[0])
            message = await _redacted(act, found) or found
            for copy in copies:
                await _redacted(act, copy)
            await _forget_titles(act, [message_id, *(copy["id"] for copy in copies)])
            for chat_id in {found["chat_id"], *(copy["chat_id"] for copy in copies)}:  # a copy lies as deep as its original
                for summary in await messages.summaries_after(act.scope, act.tenant_id, chat_id, found["depth"]):
                    await _redacted(act, summary)
        try:
            await self._logs.forget(viewer.tenant_id, told_by)
        except OUTAGES as error:
            raise ValkeyIsUnavailable("The message is redacted; a run's log could not be reached. Send the same request again.") from error
        return message


async def _redacted(act: Act, message: Row) -> Row | None:
    """Redact one message, and let everybody know; None where that was done before."""
    row = await records.redact(act.scope, act.cipher, message["id"], by=act.viewer.user_id)
    if row is not None:
        await record(act.scope, act.tenant_id, MessageUpdated(chat_id=message["chat_id"], message_id=message["id"]), by=act.viewer)
    return row


async def _copies_of(act: Act, message_id: UUID) -> list[Row]:
    """Find the copies of a message in forks and continuations.

    Their chats, and those that are called what it says, are locked together, so that none is copied meanwhile.
    """
    locked: set[UUID] = set()
    while True:
        copies = await messages.copies_of(act.scope, act.tenant_id, message_id)
        titled = await chats.titled_from(act.scope, act.tenant_id, [message_id, *(copy["id"] for copy in copies)])
        chat_ids = {*titled, *(copy["chat_id"] for copy in copies)}
        if chat_ids <= locked:
            return copies
        await chats.locked_all(act.scope, act.tenant_id, chat_ids)
        locked |= chat_ids


async def _forget_titles(act: Act, question_ids: Sequence[UUID]) -> None:
    """Take away the titles that a model made of messages, of locked chats and of links; what a person called a chat stays.

    One that a model is just making is not kept: it looks at the message again.
    """
    untitled = await chats.forget_titles(act.scope, act.tenant_id, question_ids)
    await shares.forget_titles(act.scope, act.tenant_id, question_ids)
    await terms.keep_titles(act.scope, act.cipher, {chat["id"]: None for chat in untitled})
    await record(act.scope, act.tenant_id, *(ChatUpdated(chat_id=chat["id"]) for chat in untitled), by=act.viewer)
