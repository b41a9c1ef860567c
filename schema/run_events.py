"""The events that tell what a run says: the same ones whether they are followed or read afterwards."""

import contextlib
import enum
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final
from uuid import UUID

import msgspec
import strawberry

from chat import events
from chat.followers import Sink
from chat.readers import RunReader
from chat.routes import Taken
from chat.views import Told
from db.scopes import Row
from errors import NotFound
from execution import Column
from resolvers import models, runs
from resolvers.operations import Operation
from schema.fields import Info, batch, column, nested, subscription
from schema.ids import global_id, ids_of, local_id
from schema.links import visible
from schema.messages import Message, MessagePart, id_of_part
from schema.models import ModelDeployment
from schema.routes import RouteAttempt, RouteDecision
from schema.scalars import Seq
from schema.usage import UsageTotals, so_far
from subscriptions import runs as streams

if TYPE_CHECKING:
    from schema.runs import Run


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
    return {**msgspec.structs.asdict(taken), "attempts": [], "candidates": []}


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
    RESUME_BEYOND_END = strawberry.enum_value(
        "RESUME_BEYOND_END", description="The run ended before the event after which you asked to be told: it never had that one."
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
    run: Annotated["Run", strawberry.lazy("schema.runs")] = batch(_finished_runs, needs=["run_id"], description="The run as it ended.")


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


async def _run_events(
    info: Info,
    run_id: Annotated[strawberry.ID, strawberry.argument(description="The run.")],
    after: Annotated[
        Seq | None,
        strawberry.argument(
            description="The last `seq` you saw; without it, the run is told from the beginning. After `RunFinished` there is nothing "
            "to tell, and the subscription completes at once; what lies beyond it is answered by a `RunSnapshot` and `RunFinished`."
        ),
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
class Subscription:
    run_events: AsyncGenerator[RunEvent, None] = subscription(
        _run_events,
        scopes=["chats:read"],
        description="What a run says, as it comes, until it has finished. Closing the subscription does not stop the run. A slow reader "
        "gets neighbouring deltas of a part as one, with the offset of the first and the seq of the last. After 15 seconds of silence "
        "comes a `Heartbeat`.",
    )
