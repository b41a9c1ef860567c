"""Runs: whoever sees a chat sees how it is answered."""

from collections.abc import Sequence
from uuid import UUID

from db.scopes import Row
from db.statements import runs
from loaders.pages import Cursors, Page, PageArguments, page_of
from loaders.runs import RunsKey, RunsPage
from resolvers import chats
from resolvers.operations import Operation


async def by_id(operation: Operation, id: UUID) -> Row | None:
    """Find a run of a chat that the viewer may see."""
    row = await operation.questions.run_by_id.load(id)
    return row if row is not None and await chats.by_id(operation, row["chat_id"]) is not None else None


async def page(operation: Operation, arguments: PageArguments, *, statuses: Sequence[str] | None) -> Page:
    """Page through the runs that the viewer began, the newest first."""
    cursors = Cursors(await operation.works.keyring.cipher(operation.tenant_id), "runs")
    start = arguments.start(cursors)
    async with operation.works.scopes.reading(operation.tenant_id) as scope:
        rows = await runs.page(
            scope,
            operation.tenant_id,
            operation.viewer.user_id,
            statuses=statuses,
            beyond=start and (start[0], start[1]),
            limit=arguments.limit,
        )
    return page_of(rows, arguments, lambda row: cursors.write([row["created_at"], row["id"]]))


async def page_of_chat(operation: Operation, chat: Row, arguments: PageArguments, *, statuses: Sequence[str] | None) -> Page:
    """Page through a chat's runs, the newest first."""
    cursors = Cursors(await operation.works.keyring.cipher(operation.tenant_id), "runs of a chat", chat["id"])
    start = arguments.start(cursors)
    page = RunsPage(None if statuses is None else tuple(statuses), start and (start[0], start[1]), arguments.limit)
    rows = await operation.questions.runs_by_chat.load(RunsKey(chat["id"], page))
    return page_of(rows or [], arguments, lambda row: cursors.write([row["created_at"], row["id"]]))


async def active(operation: Operation, chat: Row) -> list[Row]:
    """Return the runs that still answer in a chat, the oldest first."""
    return await operation.questions.open_runs_by_chat.load(chat["id"]) or []


async def outputs(operation: Operation, run: Row) -> list[Row]:
    """Return the messages that a run makes or made."""
    return await messages_of(operation, [run["output_message_id"]])


async def messages_of(operation: Operation, ids: Sequence[UUID]) -> list[Row]:
    """Return messages of a run in this order; those that are gone are left out."""
    rows = [await operation.questions.message_by_id.load(message_id) for message_id in ids]
    return [row for row in rows if row is not None]


async def cancel(operation: Operation, id: UUID) -> tuple[Row, bool]:
    """Stop an answer; the second value says whether it had ended before."""
    return await operation.works.conversations.cancel(operation.viewer, id)
