"""A worker: claims runs, makes their answers, looks for those that were lost, and hands its own over when it stops."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from valkey.asyncio import Valkey

from auth.encryption.keyring import Keyring
from chat import records
from chat.answers import BROKEN, CANCELLED, GIVEN_UP, LOST, STEERED, Answer, Outcome
from chat.contents import opened
from chat.contexts import read_branch, request_for
from chat.dispatch import Dispatch
from chat.events import Event, RunStarted
from chat.logs import RunLogs, RunWasTaken
from chat.queues import RunQueue, Stop
from chat.speech import Speech
from db.scopes import Row, SystemScopes, TenantScopes
from db.statements import messages, runs
from db.tables.runs import Run
from errors import Unavailable
from events.valkey import OUTAGES
from inference.models import ModelRequest
from inference.providers import Provider
from settings import Settings

log = structlog.get_logger()

TAKE_AT_ONCE: Final = 16
WAIT_MS: Final = 1000
SWEEP_AT_ONCE: Final = 100
OUTAGE_PAUSE: Final = 0.5


class Worker:
    """One worker process's work. `chores` are done in loops of their own beside it, each until it is cancelled."""

    def __init__(  # noqa: PLR0913 - what a worker needs
        self,
        *,
        name: str,
        scopes: TenantScopes,
        system: SystemScopes,
        keyring: Keyring,
        logs: RunLogs,
        queue: RunQueue,
        blocking: Valkey,
        provider: Provider,
        settings: Settings,
    ) -> None:
        self._name = name
        self._scopes = scopes
        self._system = system
        self._keyring = keyring
        self._logs = logs
        self._queue = queue
        self._dispatch = Dispatch(scopes=scopes, logs=logs, queue=queue)
        self._blocking = blocking
        self._provider = provider
        self._settings = settings
        self._lease = timedelta(seconds=settings.run_lease_seconds)
        self._answers: dict[UUID, Answer] = {}
        self._tasks: dict[UUID, asyncio.Task[None]] = {}
        self._stops: dict[UUID, Stop] = {}
        self._room = asyncio.Event()
        self._room.set()

    async def work(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; then claim nothing more, let answers finish, and give the rest back."""
        loops = [asyncio.create_task(self._again(loop), name=loop.__name__) for loop in (self._take, self._sweep, self._hear_of_stops)]
        await stop.wait()
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        if self._tasks:
            await asyncio.wait(set(self._tasks.values()), timeout=self._settings.run_stop_seconds)
        for task in list(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _again(self, loop: Callable[[], Awaitable[None]]) -> None:
        """Keep a loop going through outages and faults."""
        while True:
            try:
                await loop()
            except (*OUTAGES, Unavailable) as error:
                log.warning("worker_waits", loop=loop.__name__, error=type(error).__name__)
            except Exception:
                log.exception("worker_loop_broke", loop=loop.__name__)
            await asyncio.sleep(OUTAGE_PAUSE)

    async def _take(self) -> None:
        while True:
            await self._room.wait()
            free = self._settings.worker_runs - len(self._tasks)
            for tenant_id, run_id in await self._queue.take(self._blocking, self._name, most=min(free, TAKE_AT_ONCE), wait_ms=WAIT_MS):
                self._start(tenant_id, run_id)

    async def _sweep(self) -> None:
        """Find runs whose hint was lost, and runs whose worker was."""
        while True:
            await asyncio.sleep(self._settings.run_sweep_seconds)
            if not self._room.is_set():
                continue
            async with self._system.reading() as scope:
                lost = await runs.abandoned(scope, older_than=timedelta(seconds=self._settings.run_sweep_seconds), limit=SWEEP_AT_ONCE)
            for row in lost[: self._settings.worker_runs - len(self._tasks)]:
                self._start(row["tenant_id"], row["id"])

    async def _hear_of_stops(self) -> None:
        async for run_id, how in self._queue.stops(self._blocking):
            if (answer := self._answers.get(run_id)) is not None:
                answer.stop(how)
            elif run_id in self._tasks:
                self._stops[run_id] = how

    def _start(self, tenant_id: UUID, run_id: UUID) -> None:
        if run_id in self._tasks:
            return
        task = asyncio.create_task(self._answer(tenant_id, run_id), name=f"run {run_id}")
        self._tasks[run_id] = task
        task.add_done_callback(lambda _: self._ended(run_id))
        if len(self._tasks) >= self._settings.worker_runs:
            self._room.clear()

    def _ended(self, run_id: UUID) -> None:
        self._tasks.pop(run_id, None)
        self._answers.pop(run_id, None)
        self._stops.pop(run_id, None)
        self._room.set()

    async def _answer(self, tenant_id: UUID, run_id: UUID) -> None:
        run: Row | None = None
        try:
            async with self._scopes.writing(tenant_id) as scope:
                run = await runs.claim(scope, tenant_id, run_id, worker=self._name, lease=self._lease)
            if run is not None:
                answer, ended = await self._prepared(tenant_id, run)
                self._answers[run_id] = answer
                if (how := self._stops.get(run_id)) is not None:
                    answer.stop(how)
                await (answer.make() if ended is None else answer.end(ended))
                await self._dispatch.wake_next(tenant_id, run["chat_id"])
        except RunWasTaken:
            log.info("run_was_taken", run_id=str(run_id))
        except (*OUTAGES, Unavailable) as error:
            log.warning("run_put_back", run_id=str(run_id), error=type(error).__name__)
            if run is not None:
                await self._give_back(run)
        except asyncio.CancelledError:
            if run is not None:
                await self._give_back(run)
            raise
        except Exception:
            log.exception("run_broke", run_id=str(run_id))
            if run is not None:
                await self._end_broken(tenant_id, run)

    async def _prepared(self, tenant_id: UUID, run: Row) -> tuple[Answer, Outcome | None]:
        """Make ready to answer; the outcome is given where nothing is left to be said."""
        cipher = await self._keyring.cipher(tenant_id)
        run_log = self._logs.writer(cipher, run["id"], run["epoch"])
        if run["epoch"] > 1:
            await run_log.take_over()
        told = await self._logs.written(cipher, run["id"])
        async with self._scopes.reading(tenant_id) as scope:
            branch = await read_branch(scope, tenant_id, run, self._settings)
            saved = await messages.by_id(scope, tenant_id, run["output_message_id"])
        assert saved is not None, "a run is deleted with its messages"
        if told or run["epoch"] == 1:
            speech = Speech.retold(saved["id"], told, run["last_seq"] if told else 0)
        else:
            speech = Speech.remembered(saved["id"], opened(cipher, saved["id"], saved["content"]), run["last_seq"])
        ended = self._ended_already(run, told, speech)
        nothing = ModelRequest(messages=(), max_output_tokens=1)
        answer = Answer(
            run=run, request=nothing if ended else request_for(run, branch, cipher, self._settings), speech=speech,
            provider=self._provider, cipher=cipher, run_log=run_log, scopes=self._scopes, settings=self._settings,
        )  # fmt: skip
        return answer, ended

    def _ended_already(self, run: Row, told: list[Event], speech: Speech) -> Outcome | None:
        """Say whether nothing is left to be asked: cancelled, begun by a worker that was lost, or begun too often."""
        if run["cancel_requested_at"] is not None:
            return CANCELLED
        if run["steer_requested_at"] is not None:
            return STEERED
        if speech.parts():
            return LOST
        begun = sum(isinstance(event, RunStarted) for event in told)
        return GIVEN_UP if begun >= self._settings.run_attempts else None

    async def _end_broken(self, tenant_id: UUID, run: Row) -> None:
        """End a run that cannot even be prepared, without reading any of its content, so that its chat is free again."""
        seq = run["last_seq"]
        with contextlib.suppress(*OUTAGES):
            seq = max(seq, await self._logs.newest_seq(tenant_id, run["id"]))
        values = {
            Run.status: BROKEN.status, Run.stop_reason: BROKEN.stop_reason, Run.error_code: BROKEN.error_code,
            Run.error_message: BROKEN.error_message, Run.finished_at: datetime.now(UTC), Run.last_seq: seq + 1,
        }  # fmt: skip
        with contextlib.suppress(Unavailable):
            async with self._scopes.writing(tenant_id) as scope:
                if await runs.finish(scope, tenant_id, run["id"], epoch=run["epoch"], values=values):
                    await records.mark(scope, tenant_id, run["output_message_id"], status=BROKEN.message_status)
        await self._dispatch.wake_next(tenant_id, run["chat_id"])

    async def _give_back(self, run: Row) -> None:
        """Let the lease end now, so that another worker need not wait for it."""
        with contextlib.suppress(Unavailable):
            async with self._scopes.writing(run["tenant_id"]) as scope:
                await runs.renew(
                    scope, run["tenant_id"], run["id"], epoch=run["epoch"], lease=timedelta(seconds=-1), last_seq=run["last_seq"]
                )
