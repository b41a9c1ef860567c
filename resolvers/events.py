"""What happened in the tenant, for those who look after it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from db.scopes import Row
from db.statements import facts
from db.statements.projections import Columns
from events.feeds import NIL, Place
from loaders.events import cursor_of, event_cursors
from loaders.pages import Page, PageArguments, page_of
from resolvers.batches import wider
from resolvers.operations import Operation


async def by_id(operation: Operation, id: UUID, types: Sequence[str], columns: Columns | None = None) -> Row | None:
    """Find an event of one of these types, for those who may read events."""
    if not operation.viewer.may("events:read"):
        return None
    row = await operation.questions.event_by_id.of(wider(columns, "type")).load(id)
    return row if row is not None and row["type"] in types else None


async def page(
    operation: Operation, arguments: PageArguments, *, types: Sequence[str], since: datetime | None, columns: Columns | None = None
) -> Page:
    """Page through the events of these types, the oldest first."""
    cursors = event_cursors(await operation.works.keyring.cipher(operation.tenant_id))
    start = arguments.start(cursors)
    async with operation.reads.reading(operation.tenant_id) as scope:
        rows = await facts.page(
            scope,
            operation.tenant_id,
            (0, 0, NIL) if start is None else (start[0], start[1], start[2]),
            types=types,
            since=since,
            limit=arguments.limit,
            columns=columns,
        )
    return page_of(rows, arguments, lambda row: cursor_of(cursors, Place(row["era"], row["xact"], row["id"]), row["at"]))


async def now(operation: Operation) -> str:
    """Return the cursor that everything which is still to happen lies behind."""
    cursors = event_cursors(await operation.works.keyring.cipher(operation.tenant_id))
    return cursor_of(cursors, await operation.works.feeds.now(operation.tenant_id), datetime.now(UTC))
