"""Jobs: work that outlives a request. One is added in the transaction of the change that wants it, and a worker does it later."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from db.scopes import Reading, Row, TenantScopes, Writing
from db.statements import jobs
from errors import NotFound
from events.facts import JobUpdated, record

T = TypeVar("T")


class JobWasTaken(Exception):
    """Another worker does the job now: this one's attempt took too long to show a sign of life. Nothing more may be written."""


class JobRun:
    """One attempt at a job, as its function sees it.

    A job is done at least once: a worker may be lost after any step, and another one begins again, with the `state` that was saved
    last. So what the function does must be safe to do twice. It is cancelled when somebody cancels the job or the worker stops.
    `progress`, from 0 to 1, is saved every second or so; `save` saves it at once.
    """

    def __init__(self, row: Row, scopes: TenantScopes, lease: timedelta) -> None:
        self.tenant_id: UUID = row["tenant_id"]
        self.id: UUID = row["id"]
        self.attempt: int = row["attempt"]
        self.created_by: UUID | None = row["created_by"]
        self.progress: float | None = row["progress"]
        self.cancelled = False
        self._arguments = row["arguments"]
        self._state = row["state"]
        self._scopes = scopes
        self._lease = lease

    def arguments(self, kind: type[T]) -> T:
        """What the job was added with."""
        return msgspec.json.decode(self._arguments, type=kind)

    def state(self, kind: type[T]) -> T | None:
        """What an earlier attempt saved last, where there was one."""
        return None if self._state is None else msgspec.json.decode(self._state, type=kind)

    async def save(self, progress: float | None = None, *, state: Any = None) -> None:
        """Note how far the job is, and where another attempt would go on; raises `JobWasTaken`. Not inside a scope."""
        if progress is not None:
            self.progress = min(max(progress, 0.0), 1.0)
        written = None if state is None else msgspec.json.encode(state).decode()
        async with self._scopes.writing(self.tenant_id) as scope:
            saved = await jobs.save(
                scope, self.tenant_id, self.id, attempt=self.attempt, lease=self._lease, progress=self.progress, state=written
            )
            if saved is None:
                raise JobWasTaken
            if saved["moved"]:
                await self.tell(scope)
        self.cancelled = saved["cancel_requested_at"] is not None

    async def tell(self, scope: Writing) -> None:
        """Let those who follow the job know that it changed in this transaction."""
        await record(scope, self.tenant_id, JobUpdated(job_id=self.id, user_id=self.created_by))


Function = Callable[[JobRun], Awaitable[Any]]
"""Does a job and returns its result: ids and words that JSON can spell, or None."""


class Jobs:
    """Adds and cancels jobs, on the web's side of them."""

    def __init__(self, scopes: TenantScopes) -> None:
        self._scopes = scopes

    async def add(  # noqa: PLR0913 - what a job is
        self,
        scope: Writing,
        tenant_id: UUID,
        kind: str,
        arguments: Any,
        *,
        created_by: UUID | None,
        key: str | None = None,
        due_at: datetime | None = None,
    ) -> Row:
        """Add a job in the caller's transaction, to be done at once or from `due_at` on.

        While one with the same `key` is open, that one is returned and nothing is added.
        """
        job_id = uuid7()
        written = msgspec.json.encode(arguments).decode()
        while True:
            row = await jobs.create(
                scope, tenant_id, job_id, kind=kind, key=key or job_id.hex, arguments=written, created_by=created_by, due_at=due_at
            )
            if row is not None:
                await record(scope, tenant_id, JobUpdated(job_id=job_id, user_id=created_by))
                return row
            # The other one may end between the two statements.
            if (row := await jobs.open_with_key(scope, tenant_id, kind, key or "")) is not None:
                return row

    async def is_open(self, scope: Reading, tenant_id: UUID, kind: str, key: str) -> bool:
        """Whether a job with this key waits or is being done."""
        return await jobs.open_with_key(scope, tenant_id, kind, key) is not None

    async def cancel(self, tenant_id: UUID, job_id: UUID) -> Row:
        """Cancel a job: at once if nobody has begun it, else within seconds; one that is over stays as it is."""
        async with self._scopes.writing(tenant_id) as scope:
            row = await self.withdraw(scope, tenant_id, job_id) or await jobs.by_id(scope, tenant_id, job_id)
        if row is None:
            raise NotFound("There is no Job with this id.", path=["jobId"])
        return row

    async def withdraw(self, scope: Writing, tenant_id: UUID, job_id: UUID) -> Row | None:
        """Cancel a job in the caller's transaction; None when it is over already."""
        if (row := await jobs.cancel(scope, tenant_id, job_id)) is not None:
            await record(scope, tenant_id, JobUpdated(job_id=job_id, user_id=row["created_by"]))
        return row
