"""Jobs: work that goes on without anybody waiting for it, and stopping it."""

import contextlib
import enum
from collections.abc import AsyncGenerator, AsyncIterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, ClassVar, Final, Self
from uuid import UUID

import strawberry

from db.scopes import Row
from errors import NotFound
from loaders.pages import Page
from resolvers import jobs
from resolvers.batches import each, wider
from resolvers.operations import Operation
from schema.connections import After, Connection, First, asked
from schema.errors import ErrorCode, Payload
from schema.fields import Columns, Info, batch, column, mutation, names_of, query, subscription
from schema.ids import type_and_id
from schema.nodes import Node, kinds
from subscriptions.jobs import JobStream


@strawberry.enum(description="Where a job is in its life.")
class JobStatus(enum.Enum):
    QUEUED = strawberry.enum_value("QUEUED", description="It waits for a worker, for the first time or for another attempt.")
    RUNNING = strawberry.enum_value("RUNNING", description="A worker does it.")
    SUCCEEDED = strawberry.enum_value("SUCCEEDED", description="It is done.")
    FAILED = strawberry.enum_value("FAILED", description="It was given up, as `error` says.")
    CANCELLED = strawberry.enum_value("CANCELLED", description="Somebody stopped it.")


@strawberry.type(description="Why something that works by itself failed.")
class JobError:
    code: ErrorCode = strawberry.field(description="The kind of failure, for programs.")
    message: str = strawberry.field(description="One sentence for people.")


def errors_of(operation: Operation, rows: Sequence[Row], needed: object) -> list[JobError | Exception | None]:  # noqa: ARG001 - a batch's arguments
    """Say why runs or jobs failed."""
    return each(_error, rows)


def _error(row: Row) -> JobError | None:
    return None if row["error_code"] is None else JobError(code=ErrorCode[row["error_code"]], message=row["error_message"] or "")


ERROR_COLUMNS: Final = ("error_code", "error_message")


@strawberry.interface(description="Work that goes on without anybody waiting for it. Only whoever began it and administrators see it.")
class Job(Node, interface=True):
    job_kind: ClassVar[str | None] = None

    status: JobStatus = column("status", convert=JobStatus, description="Where it is in its life.")
    progress: float | None = column("progress", description="How much of it is done, from 0 to 1; null while that is not known.")
    created_at: datetime = column("created_at", description="When it was asked for.")
    finished_at: datetime | None = column("finished_at", description="When it ended.")
    error: JobError | None = batch(errors_of, needs=ERROR_COLUMNS, description="Why it was given up; null unless it was.")

    @classmethod
    async def find(cls, operation: Operation, id: UUID, columns: Columns | None = None) -> Self | None:
        row = await jobs.by_id(operation, id, wider(columns, "kind"))
        return cls.of(row) if row is not None and type_of(row) is cls else None


@strawberry.type(description="A job of a kind that has nothing more to show.")
class BackgroundJob(Job):
    kind: str = column("kind", description="What kind of work it is, for programs.")


def type_of(row: Row) -> type[Job]:
    """Return the type that shows a job of this kind."""
    shown = (kind for kind in kinds().values() if issubclass(kind, Job) and kind.job_kind == row["kind"])
    return next(shown, BackgroundJob)


def dressed(row: Row) -> Job:
    """Dress a job as what it is."""
    return type_of(row)(row=row)


def id_of_job(text: str, *, path: Sequence[str] = ()) -> UUID:
    """Read the global id of a job of any type."""
    named = type_and_id(text)
    if named is None or not issubclass(kinds()[named[0]], Job):
        raise NotFound("There is no Job with this id.", path=path)
    return named[1]


@strawberry.input(description="A job to stop.")
class JobCancelInput:
    job_id: strawberry.ID = strawberry.field(description="The job.")


@strawberry.type(description="The job that was stopped.")
class JobCancelPayload(Payload):
    job: Job | None = strawberry.field(
        description="The job; one that is being done goes on for a moment until its worker has heard.", default=None
    )


async def _job(
    operation: Operation,
    _: object,
    id: Annotated[strawberry.ID, strawberry.argument(description="The job.")],
    needed: Mapping[str, Columns | None] | Columns | None = None,
) -> Job | None:
    named = type_and_id(id)
    kind = None if named is None else kinds().get(named[0])
    if named is None or kind is None or not issubclass(kind, Job):
        return None
    # Told type by type where a job may be of several.
    return await kind.find(operation, named[1], needed[named[0]] if isinstance(needed, Mapping) else needed)


async def _cancel(info: Info, input: Annotated[JobCancelInput, strawberry.argument(description="The job.")]) -> JobCancelPayload:
    return JobCancelPayload(job=dressed(await jobs.cancel(info.context, id_of_job(input.job_id, path=["jobId"]))))


async def _job_events(info: Info, job_id: Annotated[strawberry.ID, strawberry.argument(description="The job.")]) -> AsyncIterable[Job]:
    operation, asked_id = info.context, id_of_job(job_id, path=["jobId"])
    works = operation.works
    return Following(operation, await JobStream.begin(works.feeds, works.scopes, operation.viewer, asked_id))


async def _jobs(
    operation: Operation,
    _: object,
    first: First = None,
    after: After = None,
    status: Annotated[list[JobStatus] | None, strawberry.argument(description="Only jobs with one of these statuses.")] = None,
    *,
    needed: Columns | None = None,
) -> Page:
    arguments = asked(operation, first=first, after=after)
    return await jobs.page(operation, arguments, statuses=names_of(status), columns=needed, dressed=dressed)


class Following(AsyncIterable[Job]):
    """A job for one subscriber, as it goes on."""

    def __init__(self, operation: Operation, stream: JobStream) -> None:
        self._operation = operation
        self._stream = stream

    async def __aiter__(self) -> AsyncGenerator[Job, None]:
        async with contextlib.aclosing(self._stream.told()) as stream:
            async for row in stream:
                self._operation.loaders = None
                yield dressed(row)


@strawberry.type
class Query:
    job: Job | None = query(_job, description="The job with this id; null when there is none, or none that you may see.")
    jobs: Connection[Job] = query(
        _jobs,
        multipliers=["first"],
        description="The jobs that you began, or that your answers began (titles, summaries), the newest first; those that ended long ago "
        "are gone.",
    )


@strawberry.type
class Mutation:
    job_cancel: JobCancelPayload = mutation(
        _cancel,
        payload=JobCancelPayload,
        scopes=["chats:write", "tenant:admin"],
        emits=[],
        description="Stop a job: at once where nobody has begun it, else within seconds. One that has ended stays as it is, and what PENNY "
        "does for itself cannot be stopped.",
    )


@strawberry.type
class Subscription:
    job_events: AsyncGenerator[Job, None] = subscription(
        _job_events,
        description="A job as it is, and again whenever it is further, until it has ended. Whenever you come, or come again, the first is "
        "the job as it is then, so there is no cursor: one that has ended is told once.",
    )
