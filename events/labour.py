"""Does jobs in a worker: claims those that are due, shows signs of life, tries again what failed, stops what was cancelled."""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog

from db.scopes import Row, SystemScopes, TenantScopes
from db.statements import jobs
from errors import PennyError, Unavailable
from events.jobs import Function, JobRun, JobWasTaken
from events.metrics import JOBS
from settings import Settings

log = structlog.get_logger()

LONGEST_PAUSE: Final = timedelta(minutes=5)


class Labour:
    """The jobs that one worker process does, by their kinds' names; kinds that it does not know it leaves to others.

    What a function raises of `errors.py` ends its job with those words; after anything else it is tried again. `recoveries` tidy up
    what an earlier attempt at a job of their kind may have left, before it is begun again or ended in its place.
    """

    def __init__(  # noqa: PLR0913 - what jobs are done with
        self,
        *,
        name: str,
        scopes: TenantScopes,
        system: SystemScopes,
        functions: Mapping[str, Function],
        settings: Settings,
        recoveries: Mapping[str, Function] | None = None,
    ) -> None:
        self._name = name
        self._scopes = scopes
        self._system = system
        self._functions = functions
        self._recoveries = recoveries or {}
        self._settings = settings
        self._lease = timedelta(seconds=settings.job_lease_seconds)
        self._tasks: dict[UUID, asyncio.Task[None]] = {}

    async def work(self) -> None:
        """Do jobs until cancelled; those under way are then left to others, who go on from what was saved."""
        try:
            while True:
                try:
                    await self._take()
                except Unavailable as error:
                    log.warning("jobs_wait", error=type(error).__name__)
                except Exception:
                    log.exception("jobs_broke")
                await asyncio.sleep(self._settings.job_sweep_seconds)
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _take(self) -> None:
        free = self._settings.worker_jobs - len(self._tasks)
        if free <= 0 or not self._functions:
            return
        async with self._system.reading() as scope:
            due = await jobs.due(scope, list(self._functions), free)
        for job in due:
            if job["id"] not in self._tasks:
                task = asyncio.create_task(self._attempt(job["tenant_id"], job["id"]), name=f"job {job['id']}")
                self._tasks[job["id"]] = task
                task.add_done_callback(partial(self._ended, job["id"]))

    def _ended(self, job_id: UUID, _: object) -> None:
        self._tasks.pop(job_id, None)

    async def _attempt(self, tenant_id: UUID, job_id: UUID) -> None:
        try:
            async with self._scopes.writing(tenant_id) as scope:
                row = await jobs.claim(scope, tenant_id, job_id, worker=self._name, lease=self._lease)
                if row is None:
                    return
                run = JobRun(row, self._scopes, self._lease)
                await run.tell(scope)
            await self._do(run, row)
        except JobWasTaken:
            log.info("job_was_taken", job_id=str(job_id))
        except Unavailable as error:
            # Its lease ends, and it is due again.
            log.warning("job_left", job_id=str(job_id), error=type(error).__name__)
        except Exception:
            log.exception("job_broke", job_id=str(job_id))

    async def _do(self, run: JobRun, row: Row) -> None:
        if row["begun_before"] and (recover := self._recoveries.get(row["kind"])) is not None:
            await recover(run)
        if row["cancel_requested_at"] is not None:
            await self._end(run, "CANCELLED")
            return
        if run.attempt > self._settings.job_attempts:
            await self._end(run, "FAILED", error=("INTERNAL", "The job was begun too often without an end."))
            return
        working = asyncio.ensure_future(self._functions[row["kind"]](run))
        began, outcome = time.monotonic(), "left"
        beating = asyncio.create_task(self._beat(run, working))
        try:
            await asyncio.wait({working, beating}, return_when=asyncio.FIRST_COMPLETED)
            if beating.done() and not run.cancelled:
                beating.result()
            outcome = await self._conclude(run, working)
        except asyncio.CancelledError:
            # What the function tidies up is done before another worker takes the job.
            await _stopped(working, beating)
            with contextlib.suppress(Unavailable):
                await self._put_back(run, timedelta(0), counts=False)
            raise
        finally:
            JOBS.record(time.monotonic() - began, row["kind"], outcome)
            await _stopped(working, beating)

    async def _beat(self, run: JobRun, working: "asyncio.Future[Any]") -> None:
        """Show signs of life, save the progress, and look whether somebody cancelled the job."""
        while not run.cancelled:
            await asyncio.sleep(min(self._settings.job_beat_seconds, self._settings.job_lease_seconds / 3))
            with contextlib.suppress(Unavailable):
                await run.save()
        working.cancel()

    async def _conclude(self, run: JobRun, working: "asyncio.Future[Any]") -> str:
        """End the job as its function ended, or let it wait for another attempt; says which."""
        try:
            result = await working
        except asyncio.CancelledError:
            if not run.cancelled:
                raise
            await self._end(run, "CANCELLED")
            return "cancelled"
        except JobWasTaken:
            raise
        except Unavailable:
            await self._put_back(run, self._pause(run), counts=True)
            return "retried"
        except PennyError as error:
            await self._end(run, "FAILED", error=(error.code, error.message))
            return "failed"
        except Exception:
            log.exception("job_failed", job_id=str(run.id), attempt=run.attempt)
            if run.attempt < self._settings.job_attempts:
                await self._put_back(run, self._pause(run), counts=True)
                return "retried"
            await self._end(run, "FAILED", error=("INTERNAL", "Something failed on our side."))
            return "failed"
        else:
            await self._end(run, "SUCCEEDED", result=result)
            return "succeeded"

    def _pause(self, run: JobRun) -> timedelta:
        return min(timedelta(seconds=self._settings.job_retry_seconds * 2.0 ** (run.attempt - 1)), LONGEST_PAUSE)

    async def _end(self, run: JobRun, status: str, *, result: Any = None, error: tuple[str, str] | None = None) -> None:
        written = None if result is None else msgspec.json.encode(result).decode()
        code, message = error or (None, None)
        async with self._scopes.writing(run.tenant_id) as scope:
            ended = await jobs.finish(
                scope, run.tenant_id, run.id, attempt=run.attempt, status=status,
                result=written, error_code=code, error_message=message,
            )  # fmt: skip
            if ended is None:
                raise JobWasTaken
            await run.tell(scope)

    async def _put_back(self, run: JobRun, pause: timedelta, *, counts: bool) -> None:
        async with self._scopes.writing(run.tenant_id) as scope:
            if await jobs.put_back(scope, run.tenant_id, run.id, attempt=run.attempt, pause=pause, counts=counts):
                await run.tell(scope)


async def _stopped(*tasks: "asyncio.Future[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
