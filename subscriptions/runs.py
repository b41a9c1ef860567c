"""The events of a run, as they come."""

from uuid import UUID

from auth.policies.chats import can_read_chat
from auth.viewers import Viewer
from chat.logs import RunLogs
from chat.readers import RunReader, RunState
from chat.sights import Sight
from db.scopes import TenantScopes
from db.statements import chats, runs
from errors import NotFound


async def events(logs: RunLogs, scopes: TenantScopes, viewer: Viewer, run_id: UUID, *, after: int) -> RunReader:
    """Return a reader of every event after a seq; raises `NotFound`, now or within seconds after the chat goes out of sight."""

    async def state() -> RunState:
        return await _state(scopes, viewer, run_id)

    await state()
    return RunReader(logs, viewer.tenant_id, run_id, after=after, sight=Sight(viewer, state))


async def _state(scopes: TenantScopes, viewer: Viewer, run_id: UUID) -> RunState:
    """Read what PostgreSQL knows of a run that the viewer may see."""
    async with scopes.reading(viewer.tenant_id) as scope:
        run = await runs.by_id(scope, viewer.tenant_id, run_id)
        chat = None if run is None else await chats.by_id(scope, viewer.tenant_id, run["chat_id"])
    if run is None or chat is None or not can_read_chat(viewer, chat):
        raise NotFound("There is no Run with this id.", path=("runId",))
    finished_at = run["finished_at"]
    return RunState(
        status=run["status"],
        last_seq=run["last_seq"],
        finished=finished_at is not None,
        message_ids=[run["output_message_id"]],
        finished_at=0.0 if finished_at is None else finished_at.timestamp(),
    )
