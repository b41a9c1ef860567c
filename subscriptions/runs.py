"""The events of a run, as they come."""

from uuid import UUID

from auth.viewers import Viewer
from chat.logs import RunLogs
from chat.readers import RunReader
from chat.sightings import seen
from chat.views import View
from db.scopes import TenantScopes
from errors import Invalid
from settings import Settings


async def events(  # noqa: PLR0913 - what is asked for, and what answers
    logs: RunLogs,
    scopes: TenantScopes,
    settings: Settings,
    viewer: Viewer,
    run_id: UUID,
    *,
    after: int,
    coalesce_ms: int,
    reasoning: bool,
) -> RunReader:
    """Return a reader of every event after a seq; raises `NotFound`, now or within seconds after the chat goes out of sight."""
    most = settings.run_coalesce_most_ms
    if not 0 <= coalesce_ms <= most:
        raise Invalid(f"`coalesceMs` must be from 0 to {most}.", path=("coalesceMs",), constraint=f"range=0..{most}")
    asked = seen(scopes, viewer, run_id)
    await asked.sight.ask()
    view = View(reasoning, coalesce_ms / 1000)
    return RunReader(logs, viewer.tenant_id, run_id, after=after, seen=asked, settings=settings, view=view)
