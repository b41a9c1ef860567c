"""A run as one viewer sees it: what PostgreSQL knows of it, as long as they may see its chat."""

from uuid import UUID

from auth.policies.chats import can_read_chat
from auth.viewers import Viewer
from chat.readers import RunState, Saved, Seen
from chat.sights import Sight
from db.scopes import Reading, Row, TenantScopes
from db.statements import chats, runs
from errors import NotFound


def seen(scopes: TenantScopes, viewer: Viewer, run_id: UUID) -> Seen:
    """Return what can be asked of a run; both questions raise `NotFound` where the viewer may not see it."""

    async def state() -> RunState:
        async with scopes.reading(viewer.tenant_id) as scope:
            return await _state(scope, viewer, run_id)

    async def saved() -> Saved:
        async with scopes.reading(viewer.tenant_id) as scope:
            await _state(scope, viewer, run_id)
            row = await runs.saved(scope, viewer.tenant_id, run_id)
        if row is None:
            raise _missing()
        return Saved(row["run_status"], row["last_seq"], _seconds(row, "finished_at"), [row])

    return Seen(Sight(viewer, state), saved)


async def _state(scope: Reading, viewer: Viewer, run_id: UUID) -> RunState:
    run = await runs.by_id(scope, viewer.tenant_id, run_id)
    chat = None if run is None else await chats.by_id(scope, viewer.tenant_id, run["chat_id"])
    if run is None or chat is None or not can_read_chat(viewer, chat):
        raise _missing()
    position = await runs.queued_before(scope, viewer.tenant_id, run_id) if run["status"] == "QUEUED" else None
    return RunState(run["status"], run["last_seq"], _seconds(run, "finished_at"), run["created_at"].timestamp(), position)


def _seconds(row: Row, column: str) -> float | None:
    return None if row[column] is None else float(row[column].timestamp())


def _missing() -> NotFound:
    return NotFound("There is no Run with this id.", path=("runId",))
