"""Runs: answers being made, and stopping, steering and continuing them."""

import enum
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Self
from uuid import UUID

import strawberry

from chat.turns import RunInProgress
from db.scopes import Row
from events.facts import MessageCompleted, MessageCreated, RunCancelled, RunQueued
from loaders.pages import Page
from resolvers import models, runs, users
from resolvers.operations import Operation
from schema.connections import After, Connection, First, asked
from schema.errors import Payload, UserError, shown_as
from schema.fields import Columns, Idempotent, Info, batch, column, mutation, names_of, query
from schema.ids import local_id
from schema.jobs import ERROR_COLUMNS, JobError, errors_of
from schema.links import link, visible
from schema.messages import Message, PartInput, texts_of
from schema.nodes import Node
from schema.routes import RouteDecision
from schema.run_events import RunEvent, dressed
from schema.scalars import Seq
from schema.usage import COLUMNS as USED
from schema.usage import UsageTotals
from schema.users import Principal

if TYPE_CHECKING:
    from schema.chats import Chat
    from schema.models import Model


@strawberry.enum(description="Where a run is in its life.")
class RunStatus(enum.Enum):
    QUEUED = strawberry.enum_value("QUEUED", description="It waits for a worker.")
    RUNNING = strawberry.enum_value("RUNNING", description="The answer is being made.")
    REQUIRES_ACTION = strawberry.enum_value("REQUIRES_ACTION", description="It waits for a person's decision.")
    COMPLETED = strawberry.enum_value("COMPLETED", description="The answer is whole.")
    INCOMPLETE = strawberry.enum_value("INCOMPLETE", description="It ended early, as `stopReason` says; what was said is kept.")
    FAILED = strawberry.enum_value("FAILED", description="It failed, as `error` says; what was said before is kept.")
    CANCELLED = strawberry.enum_value("CANCELLED", description="Somebody stopped it; what was said is kept.")
    EXPIRED = strawberry.enum_value("EXPIRED", description="It waited too long.")


@strawberry.enum(description="Why an answer ended.")
class StopReason(enum.Enum):
    END_TURN = strawberry.enum_value("END_TURN", description="The model had said all.")
    MAX_TOKENS = strawberry.enum_value("MAX_TOKENS", description="It reached the longest answer that was allowed.")
    USER_CANCEL = strawberry.enum_value("USER_CANCEL", description="Somebody stopped it.")
    STEERED = strawberry.enum_value("STEERED", description="Somebody said more, which a run after it answers.")
    CONTENT_POLICY = strawberry.enum_value("CONTENT_POLICY", description="The model's provider would not go on.")
    PROVIDER_ERROR = strawberry.enum_value("PROVIDER_ERROR", description="The model or the worker failed.")


def _usages(operation: Operation, rows: Sequence[Row], needed: object) -> Sequence[Row]:  # noqa: ARG001 - a batch's arguments
    return rows


async def _events(
    operation: Operation,
    row: Row,
    first: First = None,
    after: Annotated[
        Seq | None,
        strawberry.argument(
            description="The last `seq` you saw, which is an edge's cursor too. After `RunFinished` there is nothing; what lies beyond it "
            "is answered by a `RunSnapshot` and `RunFinished`."
        ),
    ] = None,
) -> Page:
    size = asked(operation, first=first).size
    told, more = await runs.events(operation, row["id"], after=after or 0, most=size)
    rows: list[Any] = [dressed(row["id"], event) for event in told]
    return Page(rows, _cursor_of_event, has_next=more, has_previous=bool(after))


def _cursor_of_event(event: Any) -> str:
    return str(event.row["seq"])


@strawberry.type(description="One answer being made, or made. It goes on whether or not anybody reads.")
class Run(Node):
    chat: Annotated["Chat", strawberry.lazy("schema.chats")] = link(
        "chat_by_id", column="chat_id", description="The chat that it answers in."
    )
    status: RunStatus = column("status", convert=RunStatus, description="Where it is in its life.")
    input: Message = link("message_by_id", column="input_message_id", description="The message that it answers.")
    model: Annotated["Model", strawberry.lazy("schema.models")] | None = batch(
        models.of_runs,
        needs=["id", "model_id"],
        description="The model that was chosen to answer, or else the one that was asked, by default or by a policy; null until then, and "
        "where it is gone or you may not see models.",
    )
    continues: "Run | None" = link(
        "run_by_id", column="continues_run_id", description="The run whose answer this one's goes on from; null for one from the beginning."
    )
    outputs: list[Message] = batch(
        runs.outputs, needs=["output_message_id"], common=True, description="The messages that it makes or made."
    )
    created_by: Principal | None = visible(
        users.visible_by_ids,
        column="created_by",
        description="Who began it; null where they have left or you may not see the tenant's members.",
    )
    created_at: datetime = column("created_at", description="When it was asked for.")
    started_at: datetime | None = column("started_at", description="When a worker first took it.")
    finished_at: datetime | None = column("finished_at", description="When it ended.")
    first_token_ms: int | None = column("first_token_ms", description="How long the first token took from `createdAt`, in milliseconds.")
    last_seq: Seq = column("last_seq", description="The `seq` of its last event that is known to be saved.")
    stop_reason: StopReason | None = column("stop_reason", convert=StopReason, description="Why the answer ended; null until it has.")
    error: JobError | None = batch(errors_of, needs=ERROR_COLUMNS, common=True, description="Why it failed; null unless it did.")
    background: bool = column("background", description="Whether the client that began it does not wait for the answer.")
    replayable_from: Seq = batch(
        runs.first_seqs,
        needs=["id", "last_seq"],
        description="The `seq` of the first event that the log still has; `lastSeq` + 1 where it has none.",
    )
    replayable_until: datetime | None = batch(
        runs.kept_until, needs=["finished_at"], description="Until when the log is kept; null while the run goes on."
    )
    events: Connection[RunEvent] = query(
        _events,
        multipliers=["first"],
        description="What the run has said so far, as `runEvents` tells it: with the same `seq`, and a snapshot for what is gone.",
    )
    route: RouteDecision | None = batch(
        runs.routes, needs=["id"], description="Who answers, why, and all attempts; null before anybody was asked."
    )
    usage: UsageTotals = batch(_usages, needs=USED, common=True, description="What it used; 0 until it has ended.")

    @classmethod
    async def find(cls, operation: Operation, id: UUID, columns: Columns | None = None) -> Self | None:
        return cls.of(await runs.by_id(operation, id, columns))


@strawberry.type(description="The chat is being answered already.")
class RunInProgressError(UserError):
    run: Run = strawberry.field(description="The run that answers: wait for it or cancel it.")


shown_as(RunInProgress, RunInProgressError, run=lambda error: Run(row=error.run))


@strawberry.input(description="A run to stop.")
class RunCancelInput:
    run_id: strawberry.ID = strawberry.field(description="The run.")


@strawberry.type(description="The run that was stopped.")
class RunCancelPayload(Payload):
    run: Run | None = strawberry.field(description="The run; it may go on for a moment until its worker has heard.", default=None)
    already_finished: bool | None = strawberry.field(description="Whether it had ended before.", default=None)


@strawberry.input(description="More to answer, for a run that is answering.", directives=[Idempotent()])
class RunSteerInput:
    idempotency_key: str = strawberry.field(
        description="Makes a retry safe for 24 hours: the same key with the same input steers once. 1 to 255 characters."
    )
    run_id: strawberry.ID = strawberry.field(description="The run.")
    content: list[PartInput] = strawberry.field(description="What to say: 1 to 32 parts, together at most 131072 bytes of UTF-8.")


@strawberry.input(description="A run whose answer ended too early.", directives=[Idempotent()])
class RunContinueInput:
    idempotency_key: str = strawberry.field(
        description="Makes a retry safe for 24 hours: the same key with the same input continues once. 1 to 255 characters."
    )
    run_id: strawberry.ID = strawberry.field(
        description="The run: one that reached its longest answer, was stopped or steered, or failed. Its answer stays as it is."
    )


@strawberry.type(description="The run that goes on.")
class RunContinuePayload(Payload):
    run: Run | None = strawberry.field(
        description="The run. Its answer is a sibling of the one that ended, and begins with all that this said.",
        default=None,
    )


@strawberry.type(description="What was said, and the run that goes on with it.")
class RunSteerPayload(Payload):
    run: Run | None = strawberry.field(
        description="The run that answers; it waits until the one that was steered has come to the end of its sentence.", default=None
    )
    message: Message | None = strawberry.field(description="The message; it follows the answer that was steered.", default=None)


Statuses = Annotated[list[RunStatus] | None, strawberry.argument(description="Only runs with one of these statuses.")]


async def _runs(  # noqa: PLR0913 - the arguments of the field
    operation: Operation,
    roots: Sequence[object],  # noqa: ARG001 - a batch's: the query's one root
    needed: Columns | None,
    first: Annotated[int, strawberry.argument(description="How many runs to return, from 1 to 100.")],
    after: After = None,
    status: Statuses = None,
) -> list[Page]:
    arguments = asked(operation, first=first, after=after)
    return [await runs.page(operation, arguments, statuses=names_of(status), columns=needed)]


active_runs = runs.active


async def runs_of_chats(  # noqa: PLR0913 - the arguments of the field
    operation: Operation,
    rows: Sequence[Row],
    needed: Columns | None,
    first: First = None,
    after: After = None,
    status: Statuses = None,
) -> list[Page | Exception]:
    """Resolve `Chat.runs`."""
    arguments = asked(operation, first=first, after=after)
    return await runs.pages_of_chats(operation, rows, arguments, statuses=names_of(status), columns=needed)


async def _cancel(info: Info, input: Annotated[RunCancelInput, strawberry.argument(description="The run.")]) -> RunCancelPayload:
    row, already = await runs.cancel(info.context, local_id(input.run_id, "Run", path=["runId"]))
    return RunCancelPayload(run=Run.of(row), already_finished=already)


async def _steer(info: Info, input: Annotated[RunSteerInput, strawberry.argument(description="What to say.")]) -> RunSteerPayload:
    run_id = local_id(input.run_id, "Run", path=["runId"])
    sent = await runs.steer(info.context, run_id, texts_of(input.content), key=input.idempotency_key)
    return RunSteerPayload(run=Run.of(sent.runs[0]) if sent.runs else None, message=Message.of(sent.message))


async def _continue(info: Info, input: Annotated[RunContinueInput, strawberry.argument(description="The run.")]) -> RunContinuePayload:
    sent = await runs.resume(info.context, local_id(input.run_id, "Run", path=["runId"]), key=input.idempotency_key)
    return RunContinuePayload(run=Run.of(sent.runs[0]) if sent.runs else None)


@strawberry.type
class Query:
    runs: Connection[Run] = batch(
        _runs,
        scopes=["chats:read"],
        multipliers=["first"],
        description="The runs that you began in chats that you may see, the newest first.",
    )


@strawberry.type
class Mutation:
    run_cancel: RunCancelPayload = mutation(
        _cancel,
        payload=RunCancelPayload,
        scopes=["chats:write"],
        emits=[MessageCompleted, RunCancelled],
        description="Stop an answer, within a second and from anywhere; what was said is kept. One that has ended stays as it is.",
    )

    run_continue: RunContinuePayload = mutation(
        _continue,
        payload=RunContinuePayload,
        scopes=["chats:write"],
        emits=[MessageCreated, RunQueued],
        description="Go on from where an answer ended too early. The model is given what was said as the beginning of its "
        "answer. One that is whole is a conflict.",
    )
    run_steer: RunSteerPayload = mutation(
        _steer,
        payload=RunSteerPayload,
        scopes=["chats:write"],
        emits=[MessageCompleted, MessageCreated, RunCancelled, RunQueued],
        description="Say more to an answer that is being made: it ends at the end of its sentence, keeps what was said, and a new run goes "
        "on from there with your message. One that has ended is a conflict.",
    )
