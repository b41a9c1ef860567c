"""Runs: whoever sees a chat sees how it is answered."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from chat.events import Event
from chat.exchanges import Sent
from chat.readers import RunReader
from chat.sightings import seen
from db.scopes import Row
from db.statements import runs
from db.statements.projections import Columns
from loaders.pages import Cursors, Page, PageArguments, page_of
from loaders.runs import RunsKey, RunsPage
from resolvers import chats
from resolvers.batches import each, wider
from resolvers.operations import Operation


async def by_id(operation: Operation, id: UUID, columns: Columns | None = None) -> Row | None:
    """Find a run of a chat that the viewer may see."""
    row = await operation.questions.run_by_id.of(wider(columns, "chat_id")).load(id)
    return row if row is not None and await chats.by_id(operation, row["chat_id"], frozenset()) is not None else None


async def page(operation: Operation, arguments: PageArguments, *, statuses: Sequence[str] | None, columns: Columns | None = None) -> Page:
    """Page through the runs that the viewer began in chats that they may see still, the newest first."""
    cursors = Cursors(await operation.works.keyring.cipher(operation.tenant_id), "runs")
    start = arguments.start(cursors)
    async with operation.reads.reading(operation.tenant_id) as scope:
        rows = await runs.page(
            scope,
            operation.tenant_id,
            operation.viewer.user_id,
            statuses=statuses,
            beyond=start and (start[0], start[1]),
            limit=arguments.limit,
            columns=columns,
        )
    return page_of(rows, arguments, partial(_cursor, cursors))


async def pages_of_chats(
    operation: Operation,
    chats: Sequence[Row],
    arguments: PageArguments,
    *,
    statuses: Sequence[str] | None,
    columns: Columns | None,
) -> list[Page | Exception]:
    """Page through the runs of each chat, the newest first."""
    cipher = await operation.works.keyring.cipher(operation.tenant_id)
    wanted = None if statuses is None else tuple(statuses)

    def asked(chat: Row) -> tuple[Cursors, RunsKey]:
        cursors = Cursors(cipher, "runs of a chat", chat["id"])
        start = arguments.start(cursors)
        return cursors, RunsKey(chat["id"], RunsPage(wanted, start and (start[0], start[1]), arguments.limit))

    asking = each(asked, chats)
    found = await operation.questions.runs_by_chat.of(columns).load_many([None if isinstance(one, Exception) else one[1] for one in asking])
    return [
        one if isinstance(one, Exception) else page_of(rows or [], arguments, partial(_cursor, one[0]))
        for one, rows in zip(asking, found, strict=True)
    ]


def _cursor(cursors: Cursors, row: Row) -> str:
    return cursors.write([row["created_at"], row["id"]])


async def active(operation: Operation, chats: Sequence[Row], needed: Columns | None) -> list[list[Row]]:
    """Return the runs that still answer in each chat, the oldest first."""
    found = await operation.questions.open_runs_by_chat.of(needed).load_many([chat["id"] for chat in chats])
    return [rows or [] for rows in found]


async def outputs(operation: Operation, runs: Sequence[Row], needed: Columns | None) -> list[list[Row]]:
    """Return the messages that each run makes or made."""
    return await messages_of(operation, [[run["output_message_id"]] for run in runs], needed)


async def messages_of(operation: Operation, ids: Sequence[Sequence[UUID]], columns: Columns | None) -> list[list[Row]]:
    """Return messages of runs in this order; those that are gone are left out."""
    flat = [message_id for of_run in ids for message_id in of_run]
    found = dict(zip(flat, await operation.questions.message_by_id.of(columns).load_many(flat), strict=True))
    return [[row for message_id in of_run if (row := found[message_id]) is not None] for of_run in ids]


async def events(operation: Operation, run_id: UUID, *, after: int, most: int) -> tuple[list[Event], bool]:
    """Return a run's next events after a seq as they are known now, and whether there are more."""
    works, viewer = operation.works, operation.viewer
    reader = RunReader(works.logs, viewer.tenant_id, run_id, after=after, seen=seen(works.scopes, viewer, run_id), settings=works.settings)
    tolds, more = await reader.page(most)
    return [told.event for told in tolds], more


async def first_seqs(operation: Operation, runs: Sequence[Row], needed: object) -> list[int]:  # noqa: ARG001 - a batch's arguments
    """Return the first seq that each run's log still holds; what would come next, where it holds none."""
    found = await operation.works.logs.first_seqs(operation.tenant_id, [run["id"] for run in runs])
    return [first or run["last_seq"] + 1 for first, run in zip(found, runs, strict=True)]


def kept_until(operation: Operation, runs: Sequence[Row], needed: object) -> list[datetime | None]:  # noqa: ARG001 - a batch's arguments
    """Return until when each run's log is kept; None while it goes on."""
    kept = timedelta(seconds=operation.works.settings.run_log_finished_seconds)
    return [None if run["finished_at"] is None else run["finished_at"] + kept for run in runs]


async def routes(operation: Operation, runs: Sequence[Row], needed: object) -> list[Row | None]:  # noqa: ARG001 - a batch's arguments
    """Tell how each run was routed, by its last attempt; None before the first."""
    found = await operation.questions.attempts_by_run.load_many([run["id"] for run in runs])
    return [{**attempts[-1], "attempts": attempts, "candidates": []} if attempts else None for attempts in found]


async def cancel(operation: Operation, id: UUID) -> tuple[Row, bool]:
    """Stop an answer; the second value says whether it had ended before."""
    return await operation.works.interventions.cancel(operation.viewer, id)


async def steer(operation: Operation, id: UUID, texts: Sequence[str], *, key: str) -> Sent:
    """Hand an answer more to answer."""
    return await operation.works.interventions.steer(operation.viewer, id, texts, key=key)


async def resume(operation: Operation, id: UUID, *, key: str) -> Sent:
    """Go on from where an answer ended too early."""
    return await operation.works.interventions.resume(operation.viewer, id, key=key)
