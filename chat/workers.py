"""A worker: claims runs, makes their answers, looks for those that were lost, and hands its own over when it stops."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import structlog
from valkey.asyncio import Valkey

from auth.encryption.ciphers import ContentIsUnreadable, TenantCipher
from auth.encryption.keyring import Keyring
from chat import records
from chat.answers import Answer
from chat.compactions import Compactions
from chat.dispatch import Dispatch
from chat.logs import RunLogs, RunWasTaken
from chat.metrics import ACTIVE, CLAIMS, OLDEST, WAITING, count_end
from chat.outcomes import BROKEN, Outcome, unavailable
from chat.queues import RunQueue, Stop
from chat.takeovers import Preparation, close_unread
from db.scopes import Row, SystemScopes, TenantScopes
from db.statements import runs
from db.tables.runs import Run
from errors import Unavailable
from events.facts import RunStarted, record
from events.valkey import OUTAGES
from inference.deployments import Policy
from inference.offers import ModelIsUnavailable, Models
from inference.platform import policy_of_settings
from inference.routing import Router
from settings import Settings
from telemetry.instruments import Seen

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
        router: Router,
        models: Models,
        compactions: Compactions,
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
        self._router = router
        self._models = models
        self._compactions = compactions
        self._settings = settings
        self._lease = timedelta(seconds=settings.run_lease_seconds)
        self._answers: dict[UUID, Answer] = {}
        self._tasks: dict[UUID, asyncio.Task[None]] = {}
        self._stops: dict[UUID, Stop] = {}
        self._room = asyncio.Event()
        self._room.set()
        self._stopping = asyncio.Event()
        self._doubting = asyncio.Event()
        ACTIVE.watch(self, Worker._active)

    async def work(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; then claim nothing more, let answers finish, and hand the rest over."""
        loops = [
            asyncio.create_task(self._again(loop), name=loop.__name__) for loop in (self._sweep, self._hear_of_stops, self._look_at_queue)
        ]
        taking = asyncio.create_task(self._again(self._take), name="_take")
        await stop.wait()
        self._stopping.set()
        loops[0].cancel()
        if self._tasks:
            await asyncio.wait(set(self._tasks.values()), timeout=self._settings.run_stop_seconds)
        # What it has asked for comes within this time, and is somebody else's.
        await asyncio.wait({taking}, timeout=WAIT_MS / 1000)
        for task in (taking, *loops, *self._tasks.values()):
            task.cancel()
        await asyncio.gather(taking, *loops, *self._tasks.values(), return_exceptions=True)

    async def _again(self, loop: Callable[[], Awaitable[None]]) -> None:
        """Keep a loop going through outages and faults."""
        while True:
            try:
                await loop()
            except (*OUTAGES, Unavailable) as error:
                log.warning("worker_waits", loop=loop.__name__, error=type(error).__name__)
            except Exception:
                log.exception("worker_loop_broke", loop=loop.__name__)
            if self._stopping.is_set():
                return
            await asyncio.sleep(OUTAGE_PAUSE)

    async def _take(self) -> None:
        while not self._stopping.is_set():
            await self._room.wait()
            free = self._settings.worker_runs - len(self._tasks)
            for tenant_id, run_id in await self._queue.take(self._blocking, self._name, most=min(free, TAKE_AT_ONCE), wait_ms=WAIT_MS):
                if self._stopping.is_set():
                    await self._queue.put(tenant_id, run_id)
                else:
                    self._start(tenant_id, run_id)

    async def _sweep(self) -> None:
        """Find runs whose hint was lost, and runs whose worker was; sooner where one is in doubt."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.run_sweep_seconds):
                    await self._doubting.wait()
            await self._room.wait()
            self._doubting.clear()
            async with self._system.reading() as scope:
                lost = await runs.abandoned(scope, older_than=timedelta(seconds=self._settings.run_sweep_seconds), limit=SWEEP_AT_ONCE)
            for row in lost[: self._settings.worker_runs - len(self._tasks)]:
                self._start(row["tenant_id"], row["id"])

    async def _look_at_queue(self) -> None:
        """Tell how many runs wait, as long as Valkey says."""
        while True:
            await asyncio.sleep(self._settings.run_sweep_seconds)
            with contextlib.suppress(*OUTAGES):
                waiting, oldest = await self._queue.backlog()
                WAITING.put(waiting)
                OLDEST.put(oldest)

    async def _hear_of_stops(self) -> None:
        async for run_id, how in self._queue.stops(self._blocking):
            if (answer := self._answers.get(run_id)) is not None:
                answer.stop(how)
            elif run_id in self._tasks:
                self._stops[run_id] = how
            elif how is Stop.CANCEL:
                # Whoever makes it has heard the same, unless it is lost: then the run is free soon.
                asyncio.get_running_loop().call_later(self._settings.run_cancel_seconds, self._doubting.set)

    def _start(self, tenant_id: UUID, run_id: UUID) -> None:
        if run_id in self._tasks:
            return
        task = asyncio.create_task(self._answer(tenant_id, run_id), name=f"run {run_id}")
        self._tasks[run_id] = task
        task.add_done_callback(lambda _: self._ended(run_id))
        if len(self._tasks) >= self._settings.worker_runs:
            self._room.clear()

    def _active(self) -> list[Seen]:
        return [(len(self._tasks), ())]

    def _ended(self, run_id: UUID) -> None:
        self._tasks.pop(run_id, None)
        self._answers.pop(run_id, None)
        self._stops.pop(run_id, None)
        self._room.set()

    async def _answer(self, tenant_id: UUID, run_id: UUID) -> None:
        run: Row | None = None
        try:
            run = await self._claimed(tenant_id, run_id)
            if run is not None:
                answer, ended = await self._prepared(tenant_id, run)
                self._answers[run_id] = answer
                if (how := self._stops.get(run_id)) is not None:
                    answer.stop(how)
                await (answer.make() if ended is None else answer.end(ended))
                await self._dispatch.wake_next(tenant_id, run["chat_id"])
                await self._consider(run, answer)
        except RunWasTaken:
            await self._leave(run_id)
        except (*OUTAGES, Unavailable) as error:
            log.warning("run_put_back", run_id=str(run_id), error=type(error).__name__)
            if run is not None:
                await self._hand_over(run)
        except asyncio.CancelledError:
            if run is not None:
                await self._hand_over(run)
            raise
        except Exception:
            log.exception("run_broke", run_id=str(run_id))
            if run is not None:
                await self._end_broken(tenant_id, run)

    async def _leave(self, run_id: UUID) -> None:
        """Leave a run to whoever took it; one that was deleted has nobody else who knows what it used."""
        log.info("run_was_taken", run_id=str(run_id))
        if (answer := self._answers.get(run_id)) is not None:
            with contextlib.suppress(Unavailable):
                await answer.account()

    async def _claimed(self, tenant_id: UUID, run_id: UUID) -> Row | None:
        async with self._scopes.writing(tenant_id) as scope:
            run = await runs.claim(scope, tenant_id, run_id, worker=self._name, lease=self._lease)
            if run is not None and run["epoch"] == 1:
                await record(scope, tenant_id, RunStarted(chat_id=run["chat_id"], run_id=run_id))
        if run is not None:
            CLAIMS.add(1, "first" if run["epoch"] == 1 else "takeover")
        return run

    async def _consider(self, run: Row, answer: Answer) -> None:
        """Have a long branch summarised; where that cannot be begun now, it is after the next answer."""
        try:
            await self._compactions.consider(run, answer.request, answer.limit)
        except (*OUTAGES, Unavailable) as error:
            log.warning("compaction_not_begun", run_id=str(run["id"]), error=type(error).__name__)
        except Exception:
            log.exception("compaction_broke", run_id=str(run["id"]))

    async def _prepared(self, tenant_id: UUID, run: Row) -> tuple[Answer, Outcome | None]:
        """Make ready to answer; the outcome is given where nothing is left to be said."""
        cipher = await self._keyring.cipher(tenant_id)
        run_log = self._logs.writer(cipher, run["id"], run["epoch"])
        if run["epoch"] > 1:
            await run_log.take_over()
        policy, nowhere = await self._policy_of(run)
        preparing = Preparation(run, cipher=cipher, scopes=self._scopes, policy=policy, settings=self._settings)
        task, ended = await preparing.prepared(self._logs, run_log)
        answer = Answer(task, router=self._router, cipher=cipher, run_log=run_log, scopes=self._scopes, settings=self._settings)
        return answer, ended or nowhere

    async def _policy_of(self, run: Row) -> tuple[Policy, Outcome | None]:
        """Say where the run may ask; the outcome is given where there is nowhere any more."""
        model_id, policy_id = run["model_id"], run["routing_policy_id"]
        try:
            return await self._models.policy_for(run["tenant_id"], run["created_by"], model_id, policy_id), None
        except ModelIsUnavailable as error:
            return policy_of_settings(self._settings), unavailable(error)

    async def _end_broken(self, tenant_id: UUID, run: Row) -> None:
        """End a run that cannot even be prepared, whatever of it can be read, so that its chat is free again."""
        seq: int = run["last_seq"]
        cipher: TenantCipher | None = None
        with contextlib.suppress(ContentIsUnreadable, Unavailable):
            cipher = await self._keyring.cipher(tenant_id)
        with contextlib.suppress(*OUTAGES):
            seq = max(seq, await self._logs.newest_seq(tenant_id, run["id"]))
        values = {
            Run.status: BROKEN.status, Run.stop_reason: BROKEN.stop_reason, Run.error_code: BROKEN.error_code,
            Run.error_message: BROKEN.error_message, Run.finished_at: datetime.now(UTC), Run.last_seq: seq + 1,
        }  # fmt: skip
        with contextlib.suppress(Unavailable):
            async with self._scopes.writing(tenant_id) as scope:
                if await runs.finish(scope, tenant_id, run["id"], epoch=run["epoch"], values=values):
                    await close_unread(scope, run)
                    await records.end_broken(scope, tenant_id, cipher, run["output_message_id"], status=BROKEN.message_status)
                    await records.ended(scope, run, BROKEN.status)
            count_end(run["created_at"], BROKEN.status, BROKEN.error_code)
        await self._dispatch.wake_next(tenant_id, run["chat_id"])

    async def _hand_over(self, run: Row) -> None:
        """Let another worker go on at once with what was said; one that is not told of it finds it when it sweeps."""
        answer = self._answers.get(run["id"])
        with contextlib.suppress(*OUTAGES, Unavailable):
            try:
                if answer is not None:
                    await answer.hand_over()
                else:
                    async with self._scopes.writing(run["tenant_id"]) as scope:
                        await runs.let_go(scope, run["tenant_id"], run["id"], epoch=run["epoch"])
            except RunWasTaken:
                await self._leave(run["id"])
            else:
                await self._queue.put(run["tenant_id"], run["id"])
