"""Taking the content of a message away for good, wherever PENNY holds it; the message itself stays, so that nothing behind it is lost."""

from uuid import UUID

from auth.viewers import Viewer
from chat import records
from chat.acts import Acts
from chat.locks import writable
from chat.logs import RunLogs
from chat.turns import RunInProgress
from db.scopes import Row
from db.statements import feedback, messages, runs
from errors import NotFound
from events.facts import MessageUpdated, record
from events.valkey import OUTAGES, ValkeyIsUnavailable


class Redactions:
    """Redacts messages: row, run logs, index and opinions. Shares show a chat's own rows, so there is no copy in them."""

    def __init__(self, *, acts: Acts, logs: RunLogs) -> None:
        self._acts = acts
        self._logs = logs

    async def redact(self, viewer: Viewer, message_id: UUID) -> Row:
        """Put a notice in the place of a message's content; again is no mistake, and makes sure of it.

        Neither an answer that is being made nor its question can be redacted: cancel first. Raises `ValkeyIsUnavailable` when
        the log could not be reached; the row is redacted then, and the same request again does the rest.
        """
        missing = NotFound("There is no Message with this id.", path=("messageId",))
        async with self._acts.begun(viewer) as act:
            found = await messages.by_id(act.scope, act.tenant_id, message_id)
            if found is None:
                raise missing
            await writable(act.scope, viewer, found["chat_id"], missing)
            concerned = await runs.of_message(act.scope, act.tenant_id, found["chat_id"], message_id)
            if unfinished := [run for run in concerned if run["finished_at"] is None]:
                raise RunInProgress(unfinished[0])
            if (redacted := await records.redact(act.scope, act.cipher, message_id, by=viewer.user_id)) is not None:
                await record(act.scope, act.tenant_id, MessageUpdated(chat_id=found["chat_id"], message_id=message_id), by=viewer)
            message = redacted or found
            await feedback.remove_all(act.scope, act.tenant_id, message_id)
        told_by = [run["id"] for run in concerned if run["output_message_id"] == message_id]
        try:
            await self._logs.forget(viewer.tenant_id, told_by)
        except OUTAGES as error:
            raise ValkeyIsUnavailable(
                "The message is redacted; its run's log could not be reached. Send the same request again."
            ) from error
        return message
