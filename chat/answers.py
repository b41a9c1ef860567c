"""One answer being made: a model's words go to the log as they come, to PostgreSQL every moment, and to the end in any case."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, NamedTuple

import structlog

from auth.encryption.ciphers import TenantCipher
from chat import records, titles
from chat.events import Event, RouteChanged, RunFinished, RunQueued, RunStarted, UsageTick
from chat.logs import RunLog, RunWasTaken
from chat.metrics import count_end
from chat.outcomes import BROKEN, CANCELLED, ENDS, STEERED, Outcome, failed
from chat.queues import Stop
from chat.routes import Work, rows_of, taken, tried
from chat.speech import Speech
from chat.steps import Step, columns_of, total
from db.scopes import Row, TenantScopes, Writing
from db.statements import attempts, runs, steps
from db.tables.runs import Run
from errors import Unavailable
from events.jobs import Jobs
from events.valkey import ValkeyIsUnavailable
from inference.attempts import Attempt
from inference.deployments import Policy
from inference.models import ModelRequest, ProviderFailed, ReasoningDelta, TextDelta, Usage
from inference.routing import Rerouted, Router
from settings import Settings

log = structlog.get_logger()

PATIENCE: Final = 60.0  # seconds that the end of an answer is tried to be saved while PostgreSQL is away
LONG_BYTES: Final = 8192
"""From this length on an answer is told and saved as seldom as the settings allow: nobody reads a long one word by word, and each save
writes all of it."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a worker has claimed: the run, what to ask a model, and where; what was said before, in which steps and how many attempts.

    `limit` is how many tokens of the conversation could be given.
    """

    run: Row
    request: ModelRequest
    speech: Speech
    step: Step
    used_before: tuple[Usage, ...]
    policy: Policy
    limit: int
    attempts_before: int


class Kept(NamedTuple):
    """What of an answer PostgreSQL has: up to which `seq`, and which attempts, each with whether it had ended."""

    seq: int = 0
    attempts: Sequence[tuple[int, bool]] = ()


class Answer:
    """Makes one answer in one epoch, until it ends, is cancelled, or another worker takes it."""

    def __init__(  # noqa: PLR0913 - what an answer is made with
        self, task: Task, *, router: Router, cipher: TenantCipher, run_log: RunLog, scopes: TenantScopes, settings: Settings
    ) -> None:
        self._run = task.run
        self.request = task.request
        self._policy = task.policy
        self.limit = task.limit
        self._route = router.route(task.policy, task.request, chat_id=task.run["chat_id"], first=task.attempts_before + 1)
        self._speech = task.speech
        self._step = task.step
        self._used_before = task.used_before
        self._cipher = cipher
        self._log = run_log
        self._scopes = scopes
        self._settings = settings
        self._heard = asyncio.Event()
        self._listening: asyncio.Task[Outcome] | None = None
        self._stopped: Outcome | None = None
        self._steered = False
        self._kept = Kept()
        self._signing = asyncio.Lock()
        self._untold: list[Event] = []

    def stop(self, how: Stop) -> None:
        """Stop the model and end the run with what was said: at once, or steered, at the end of a sentence that comes soon."""
        if how is Stop.CANCEL:
            self._end_as(CANCELLED)
        elif not self._steered:
            self._steered = True
            if self._listening is None or self._speech.pauses:
                self._end_as(STEERED)
            else:
                asyncio.get_running_loop().call_later(self._settings.run_steer_seconds, self._end_as, STEERED)

    def _end_as(self, outcome: Outcome) -> None:
        self._stopped = self._stopped or outcome
        if self._listening is not None:
            self._listening.cancel()

    async def make(self) -> None:
        """Answer from the beginning, or from where the last worker was; raises `RunWasTaken` when another one took over."""
        await self._begin()
        self._listening = asyncio.create_task(self._listen())
        if self._stopped is not None:
            self._listening.cancel()
        telling = asyncio.create_task(self._tell())
        keeping = asyncio.create_task(self._keep())
        try:
            await asyncio.wait({self._listening, telling, keeping}, return_when=asyncio.FIRST_COMPLETED)
            for task in (telling, keeping):
                if task.done():
                    task.result()
            outcome = await self._outcome(self._listening)
        finally:
            await _stopped(self._listening, telling, keeping)
        await self.end(outcome)

    async def end(self, outcome: Outcome) -> None:
        """Save the answer and the run's end in one transaction, then tell it; raises `RunWasTaken`."""
        self._route.leave()
        last: list[Event] = [*self._speech.events(), *self._speech.endings()]
        usage = self._route.usage
        last.append(UsageTick(seq=self._speech.next_seq(), at=time.time(), usage=total((*self._used_before, usage))))
        last.append(RunFinished(seq=self._speech.next_seq(), at=time.time(), status=outcome.status))
        await self._patiently(lambda: self._save_end(outcome, usage))
        count_end(self._run["created_at"], outcome.status, outcome.error_code, first_token_ms=self._first_token_ms())
        await self._write(last)

    async def hand_over(self) -> None:
        """Tell and save what was heard, and let another worker go on at once; raises `RunWasTaken`."""
        run = self._run
        self._route.leave()
        await self._write(self._speech.events())
        async with self._scopes.writing(run["tenant_id"]) as scope:
            await self._save(scope, lease=timedelta(seconds=-1))
            await self._close_step(scope, "HANDED_OVER", self._route.usage)

    async def account(self) -> None:
        """Write what was used of a run that is gone, with its chat; what another worker took is that one's to account for."""
        run = self._run
        self._route.leave()
        async with self._scopes.writing(run["tenant_id"]) as scope:
            if await runs.by_id(scope, run["tenant_id"], run["id"]) is None:
                await self._save_attempts(scope)

    async def _begin(self) -> None:
        if self._speech.seq == 0:
            await self._write([RunQueued(seq=self._speech.next_seq(), at=time.time(), position=0)])

    async def _write(self, events: list[Event]) -> bool:
        """Add events to the log, behind those that may not have been written; what has its `seq` is told sooner or later."""
        self._untold += events
        if self._untold:
            try:
                await self._log.append(*self._untold)
            except ValkeyIsUnavailable:
                return False
            self._untold = []
        return True

    async def _listen(self) -> Outcome:
        """Hear the models out. That one is asked is written before it is."""
        first = await self._route.begin()
        events = [self._started(first)]
        if begins_with := self._speech.events():  # another run said it: this one tells it, and does not count it
            events += begins_with
            self._step.before = dict(self._speech.bytes)
        await self._write(events)
        async with contextlib.aclosing(self._route.events()) as stream:
            async for event in stream:
                if isinstance(event, TextDelta | ReasoningDelta):
                    self._speech.add("text" if isinstance(event, TextDelta) else "reasoning", event.text)
                    self._heard.set()
                    if self._steered and self._speech.pauses:
                        return STEERED
                elif isinstance(event, Rerouted):
                    await self._sign()  # that another one is asked is written before it is
                    self._speech.turn(partial(self._turned, event), begins_anew=event.restarts)
                    self._heard.set()
                else:
                    return ENDS[event.reason]
        return BROKEN

    def _started(self, first: Attempt | None) -> Event:
        asked = self._policy.candidates[0] if first is None else first.deployment
        return RunStarted(
            seq=self._speech.next_seq(), at=time.time(), message_ids=[self._run["output_message_id"]], model=asked.model.name,
            route=None if first is None else taken(self._policy, first),
        )  # fmt: skip

    def _turned(self, change: Rerouted, seq: int) -> Event:
        failed, following = tried(self._policy, change.failed), taken(self._policy, change.next)
        return RouteChanged(seq=seq, at=time.time(), failed=failed, next=following, continues=change.continues, restarts=change.restarts)

    async def _outcome(self, listening: "asyncio.Task[Outcome]") -> Outcome:
        try:
            return await listening
        except ProviderFailed as failure:
            return failed(failure)
        except RunWasTaken:
            raise
        except asyncio.CancelledError:
            if self._stopped is not None:
                return self._stopped
            raise
        except Exception:
            log.exception("answer_broke", run_id=str(self._run["id"]))
            return BROKEN

    async def _tell(self) -> None:
        """Write what was heard to the log: the first token at once, later ones gathered for a moment."""
        while True:
            await self._heard.wait()
            self._heard.clear()
            if not await self._write(self._speech.events()):
                self._heard.set()
            await asyncio.sleep(self._pause(self._settings.run_flush_ms, self._settings.run_flush_most_ms))

    async def _keep(self) -> None:
        """Save what was said, show a sign of life, and look whether somebody wants the answer to stop."""
        signed_at = time.monotonic()
        while True:
            await asyncio.sleep(self._pause(self._settings.run_save_ms, self._settings.run_save_most_ms))
            if self._speech.seq == self._kept.seq and time.monotonic() - signed_at < self._settings.run_lease_seconds / 3:
                continue
            if await self._sign():
                signed_at = time.monotonic()

    async def _sign(self) -> bool:
        """Show a sign of life, with what was said and whom was asked; False while PostgreSQL is away. Raises `RunWasTaken`.

        One at a time, so that no older one is written over a newer one; what was not committed is written again.
        """
        lease = timedelta(seconds=self._settings.run_lease_seconds)
        async with self._signing:
            try:
                async with self._scopes.writing(self._run["tenant_id"]) as scope:
                    kept, how = await self._save(scope, lease=lease)
            except Unavailable:
                return False
            self._kept = kept
        if how is not None:
            self.stop(how)
        return True

    def _pause(self, least_ms: float, most_ms: float) -> float:
        """Return how many seconds to gather: longer, the longer the answer is, and never so long that the lease runs out."""
        length = min(1.0, sum(self._speech.bytes.values()) / LONG_BYTES)
        wanted = (least_ms + max(0.0, most_ms - least_ms) * length) / 1000
        return min(wanted, self._settings.run_lease_seconds / 3)

    async def _save(self, scope: Writing, *, lease: timedelta) -> tuple[Kept, Stop | None]:
        """Save what was told, and the seq up to which it is: never the one without the other; says whether and how to stop."""
        run, speech = self._run, self._speech
        seq, said = speech.seq, self._step.said(speech.bytes)
        parts = None if seq == self._kept.seq else speech.parts()
        mine = await runs.renew(scope, run["tenant_id"], run["id"], epoch=run["epoch"], lease=lease, last_seq=seq, said=said)
        if mine is None:
            raise RunWasTaken
        kept = Kept(seq, await self._save_attempts(scope))
        if parts is not None:
            await records.save(scope, self._cipher, run["output_message_id"], parts, status="STREAMING")
        if mine["cancel_requested_at"] is not None:
            return kept, Stop.CANCEL
        return kept, None if mine["steer_requested_at"] is None else Stop.STEER

    async def _save_end(self, outcome: Outcome, usage: Usage) -> None:
        run, whole = self._run, total((*self._used_before, usage))
        values: dict[Any, Any] = {
            Run.status: outcome.status, Run.stop_reason: outcome.stop_reason, Run.error_code: outcome.error_code,
            Run.error_message: outcome.error_message, Run.finished_at: datetime.now(UTC), Run.last_seq: self._speech.seq,
            Run.model: self._model(), Run.first_token_ms: self._first_token_ms(), Run.usage_estimated: whole.estimated,
            Run.input_tokens: whole.input_tokens, Run.output_tokens: whole.output_tokens, Run.reasoning_tokens: whole.reasoning_tokens,
            Run.cache_read_tokens: whole.cache_read_tokens, Run.cache_write_tokens: whole.cache_write_tokens,
        }  # fmt: skip
        async with self._scopes.writing(run["tenant_id"]) as scope:
            if not await runs.finish(scope, run["tenant_id"], run["id"], epoch=run["epoch"], values=values):
                if await runs.has_ended(scope, run["tenant_id"], run["id"], epoch=run["epoch"]):
                    return  # by us: the connection broke after the commit, and before it was told
                raise RunWasTaken
            await records.save(scope, self._cipher, run["output_message_id"], self._speech.parts(), status=outcome.message_status)
            await records.ended(scope, run, outcome.status)
            await self._save_attempts(scope)
            await self._close_step(scope, "ENDED", usage)
            if outcome.status != "FAILED":
                await titles.wish(scope, Jobs(self._scopes), run, self._settings)

    async def _save_attempts(self, scope: Writing) -> Sequence[tuple[int, bool]]:
        """Write attempts, each when it is new and when it has ended; says how they are then."""
        now = [(attempt.number, attempt.ended_at is not None) for attempt in self._route.attempts]
        changed = [attempt for attempt, state in zip(self._route.attempts, now, strict=True) if state not in self._kept.attempts]
        if changed:
            await attempts.save(scope, self._run["tenant_id"], rows_of(Work.of_run(self._run), self._policy, changed))
        return now

    def _model(self) -> str | None:
        return self._route.attempts[-1].deployment.model.key if self._route.attempts else None

    def _first_token_ms(self) -> int | None:
        began_at = self._speech.began_at
        return None if began_at is None else max(0, int((began_at - self._run["created_at"].timestamp()) * 1000))

    async def _close_step(self, scope: Writing, outcome: str, usage: Usage) -> None:
        run, said = self._run, self._step.said(self._speech.bytes)
        await steps.close(scope, run["tenant_id"], run["id"], self._step.number, outcome=outcome, said=said, usage=columns_of(usage))

    async def _patiently(self, save: Callable[[], Any]) -> None:
        """Try again while PostgreSQL is away: the answer is in memory and in the log, and must not be lost."""
        deadline, pause = time.monotonic() + PATIENCE, 0.1
        while True:
            try:
                return await save()  # type: ignore[no-any-return] # it returns nothing
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(pause)
                pause = min(pause * 2, 2.0)


async def _stopped(*tasks: "asyncio.Task[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
