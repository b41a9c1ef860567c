"""Runs: answers being made, stopping them, and the events that tell what they say."""

import contextlib
import enum
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Self
from uuid import UUID

import msgspec
import strawberry

from chat import events
from chat.followers import Sink
from chat.readers import RunReader
from chat.routes import Taken
from chat.turns import RunInProgress
from chat.views import Told
from db.scopes import Row
from errors import NotFound
from execution import Column
from loaders.pages import Page
from resolvers import models, runs, users
from resolvers.operations import Operation
from schema.connections import After, Connection, First, asked
from schema.errors import Payload, UserError, shown_as
from schema.fields import Columns, Idempotent, Info, batch, column, mutation, names_of, nested, query, subscription
from schema.ids import global_id, ids_of, local_id
from schema.jobs import ERROR_COLUMNS, JobError, errors_of
from schema.links import link, visible
from schema.messages import Message, MessagePart, PartInput, id_of_part, texts_of
from schema.models import ModelDeployment
from schema.nodes import Node
from schema.routes import RouteAttempt, RouteDecision
from schema.scalars import Seq
from schema.usage import COLUMNS as USED
from schema.usage import UsageTotals, so_far
from schema.users import Principal
from subscriptions import runs as streams

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
    after: Annotated[Seq | None, strawberry.argument(description="The last `seq` you saw, which is an edge's cursor too.")] = None,
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
    model: Annotated["Model", strawberry.lazy("schema.models")] | None = visible(
        models.by_ids, column="model_id", description="The model that was chosen to answer; null where none was."
    )
    continues: "Run | None" = link(
        "run_by_id", column="continues_run_id", description="The run whose answer this one's goes on from; null for one from the beginning."
    )
    outputs: list[Message] = batch(runs.outputs, needs=["output_message_id"], description="The messages that it makes or made.")
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
    error: JobError | None = batch(errors_of, needs=ERROR_COLUMNS, description="Why it failed; null unless it did.")
    background: bool = column("background", description="Whether the client that began it does not wait for the answer.")
    replayable_from: Seq = batch(
        runs.first_seqs,
        needs=["id", "last_seq"],
        description="The `seq` of the first event that the log still has; `lastSeq` + 1 where it has none.",
    )
    replayable_until: datetime | None = batch(
        runs.kept_until, needs=["finished_at"], description="Until when the log is kept; null while the run goes on."
    )
    events: "Connection[RunEvent]" = query(
        _events,
        multipliers=["first"],
        description="What the run has said so far, as `runEvents` tells it: with the same `seq`, and a snapshot for what is gone.",
    )
    route: RouteDecision | None = batch(
        runs.routes, needs=["id"], description="Who answers, why, and all attempts; null before anybody was asked."
    )
    usage: UsageTotals = batch(_usages, needs=USED, description="What it used; 0 until it has ended.")

    @classmethod
    async def find(cls, operation: Operation, id: UUID, columns: Columns | None = None) -> Self | None:
        return cls.of(await runs.by_id(operation, id, columns))


@strawberry.type(description="The chat is being answered already.")
class RunInProgressError(UserError):
    run: Run = strawberry.field(description="The run that answers: wait for it or cancel it.")


shown_as(RunInProgress, RunInProgressError, run=lambda error: Run(row=error.run))


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@strawberry.interface(description="Something that happened in a run. `seq` counts from 1 without gaps: resume with the last one you saw.")
class RunEvent:
    __source__: ClassVar[str] = "row"

    row: strawberry.Private[Any]

    run_id: strawberry.ID = column("run_id", convert=ids_of("Run"), description="The run.")
    seq: Seq = column("seq", description="The event's place in the run, from 1.")
    at: datetime = column("at", convert=_at, description="When it happened.")


@strawberry.type(description="The run waits for a worker.")
class RunQueued(RunEvent):
    position: int = column("position", description="How many runs of the tenant wait before it.")


def _decision(taken: Taken) -> dict[str, Any]:
    return {**msgspec.structs.asdict(taken), "attempts": []}


async def _next_deployments(operation: Operation, following: Sequence[Taken], needed: object) -> list[Row | None]:  # noqa: ARG001 - a link's
    return await models.deployments_by_ids(operation, [one.deployment_id for one in following])


@strawberry.type(description="A worker has taken the run.")
class RunStarted(RunEvent):
    output_message_ids: list[strawberry.ID] = column(
        "message_ids",
        convert=lambda ids: [global_id("Message", message_id) for message_id in ids],
        description="The messages that it will make.",
    )
    model: str = column("model", description="The model that answers, by its name.")
    route: RouteDecision | None = nested(
        Column("route", _decision), description="Who was chosen first, and why; null where nobody could be."
    )


@strawberry.type(description="An attempt failed, and another one follows.")
class RouteChanged(RunEvent):
    attempt: RouteAttempt = nested(Column("failed", msgspec.structs.asdict), description="The attempt that failed.")
    decision: RouteDecision = nested(Column("next", _decision), description="Who is asked next, and why.")
    next: ModelDeployment | None = visible(
        _next_deployments, column="next", description="Who is asked next; null where it is gone, or you may not see models."
    )
    continues_partial: bool = column("continues", description="Whether the text goes on where it broke off, in the same part.")
    restarts: bool = column("restarts", description="Whether the answer begins anew, in new parts; those before stay, as `incomplete`.")


@strawberry.type(description="A part of a message begins.")
class PartStarted(RunEvent):
    message_id: strawberry.ID = column("message_id", convert=ids_of("Message"), description="The message.")
    part_id: strawberry.ID = column("part_id", convert=id_of_part, description="The part.")
    kind: str = column("kind", description="`text` or `reasoning`.")


@strawberry.type(description="More of a text part.")
class TextDelta(RunEvent):
    part_id: strawberry.ID = column("part_id", convert=id_of_part, description="The part.")
    offset: int = column("offset", description="Where the text goes in the part, in Unicode code points.")
    text: str = column("text", description="The text.")


@strawberry.type(description="More of a reasoning part.")
class ReasoningDelta(RunEvent):
    part_id: strawberry.ID = column("part_id", convert=id_of_part, description="The part.")
    offset: int = column("offset", description="Where the text goes in the part, in Unicode code points.")
    text: str = column("text", description="The text.")


@strawberry.type(description="A part is whole.")
class PartCompleted(RunEvent):
    part: MessagePart = nested(Column("part"), description="The part.")


@strawberry.type(description="What the run has used so far.")
class UsageTick(RunEvent):
    usage: UsageTotals = nested(Column("usage", so_far), description="Tokens so far.")


@strawberry.enum(description="Why events are told by a snapshot.")
class SnapshotReason(enum.Enum):
    RESUME_BEFORE_WINDOW = strawberry.enum_value(
        "RESUME_BEFORE_WINDOW", description="The log no longer has the events that were asked for."
    )
    GAP = strawberry.enum_value("GAP", description="The log was lost or never written.")
    SLOW_CONSUMER = strawberry.enum_value(
        "SLOW_CONSUMER", description="You read so slowly that the log went on without the events that you lack."
    )


async def _finished_runs(operation: Operation, told: Sequence[Row], needed: object) -> list[Row | Exception]:  # noqa: ARG001 - a batch's arguments
    found = [await runs.by_id(operation, event["run_id"]) for event in told]
    return [NotFound("The run is gone.") if row is None else row for row in found]


@strawberry.type(
    description="Stands for all events up to its `seq`, of which some are gone: throw away what you have and take these messages. "
    "The events that follow go on from there."
)
class RunSnapshot(RunEvent):
    reason: SnapshotReason = column("reason", convert=SnapshotReason, description="Why.")
    outputs: list[Message] = nested(Column("outputs"), description="The run's messages as they were saved with this `seq`.")


@strawberry.type(description="Nothing happened for a while: `seq` is the last event's. It is never in the log.")
class Heartbeat(RunEvent):
    pass


@strawberry.type(description="The last event.")
class RunFinished(RunEvent):
    run: Run = batch(_finished_runs, needs=["run_id"], description="The run as it ended.")


EVENTS: Final[dict[type[events.RunEvent], type[RunEvent]]] = {
    events.RunQueued: RunQueued,
    events.RunStarted: RunStarted,
    events.RouteChanged: RouteChanged,
    events.PartStarted: PartStarted,
    events.TextDelta: TextDelta,
    events.ReasoningDelta: ReasoningDelta,
    events.PartCompleted: PartCompleted,
    events.UsageTick: UsageTick,
    events.RunSnapshot: RunSnapshot,
    events.Heartbeat: Heartbeat,
    events.RunFinished: RunFinished,
}


def dressed(run_id: UUID, event: events.Event) -> RunEvent:
    """Dress an event as the schema shows it."""
    return EVENTS[type(event)](row={"run_id": run_id, **msgspec.structs.asdict(event)})


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


async def _run_events(
    info: Info,
    run_id: Annotated[strawberry.ID, strawberry.argument(description="The run.")],
    after: Annotated[
        Seq | None, strawberry.argument(description="The last `seq` you saw; without it, the run is told from the beginning.")
    ] = None,
    coalesce_ms: Annotated[
        int,
        strawberry.argument(
            description="How far apart deltas come at least, in milliseconds from 0 to 1000: what is said in between comes as one, "
            "with the offset of the first and the `seq` of the last."
        ),
    ] = 0,
    include_reasoning: Annotated[  # noqa: FBT002 - an argument of the API
        bool, strawberry.argument(description="Whether thoughts are told; without them, `seq` has gaps where they were.")
    ] = True,
) -> AsyncIterable[RunEvent]:
    operation, works, asked_id = info.context, info.context.works, local_id(run_id, "Run", path=["runId"])
    reader = await streams.events(
        works.logs, works.scopes, works.settings, operation.viewer, asked_id,
        after=after or 0, coalesce_ms=coalesce_ms, reasoning=include_reasoning,
    )  # fmt: skip
    return Telling(operation, asked_id, reader)


class Telling(AsyncIterable[RunEvent]):
    """A run's events for one subscriber, dressed once for all who follow the run in this process."""

    def __init__(self, operation: Operation, run_id: UUID, reader: RunReader) -> None:
        self._operation = operation
        self._run_id = run_id
        self._reader = reader

    async def told(self, sink: Sink | None = None) -> AsyncGenerator[Told, None]:
        """Yield what the sink does not take. Loaders keep what they have read, and each event is told of the rows as they are then."""
        async with contextlib.aclosing(self._reader.told(sink)) as stream:
            async for told in stream:
                self._operation.loaders = None
                yield told

    def dressed(self, told: Told) -> RunEvent:
        """Dress an event as the schema shows it."""
        event: RunEvent | None = told.made.get(RunEvent)
        if event is None:
            event = told.made[RunEvent] = dressed(self._run_id, told.event)
        return event

    async def __aiter__(self) -> AsyncGenerator[RunEvent, None]:
        async with contextlib.aclosing(self.told()) as stream:
            async for told in stream:
                yield self.dressed(told)


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
        description="Stop an answer, within a second and from anywhere; what was said is kept. One that has ended stays as it is.",
    )

    run_continue: RunContinuePayload = mutation(
        _continue,
        payload=RunContinuePayload,
        scopes=["chats:write"],
        description="Go on from where an answer ended too early. The model is given what was said as the beginning of its "
        "answer. One that is whole is a conflict.",
    )
    run_steer: RunSteerPayload = mutation(
        _steer,
        payload=RunSteerPayload,
        scopes=["chats:write"],
        description="Say more to an answer that is being made: it ends at the end of its sentence, keeps what was said, and a new run goes "
        "on from there with your message. One that has ended is a conflict.",
    )


@strawberry.type
class Subscription:
    run_events: AsyncGenerator[RunEvent, None] = subscription(
        _run_events,
        scopes=["chats:read"],
        description="What a run says, as it comes, until it has finished. Closing the subscription does not stop the run. A slow reader "
        "gets neighbouring deltas of a part as one, with the offset of the first and the seq of the last. After 15 seconds of silence "
        "comes a `Heartbeat`.",
    )
