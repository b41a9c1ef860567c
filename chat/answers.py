"""One answer being made: a model's words go to the log as they come, to PostgreSQL every moment, and to the end in any case."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog

from auth.encryption.ciphers import TenantCipher
from chat import records
from chat.events import Event, RunFinished, RunQueued, RunStarted, UsageTick
from chat.logs import RunLog, RunWasTaken
from chat.queues import Stop
from chat.speech import Speech
from db.scopes import Row, TenantScopes
from db.statements import runs
from db.tables.runs import Run
from errors import Unavailable
from events.valkey import ValkeyIsUnavailable
from inference.models import (
    FailureKind,
    Finished,
    ModelRequest,
    ProviderFailed,
    ReasoningDelta,
    StopReason,
    TextDelta,
    Usage,
    estimated_usage,
)
from inference.providers import Provider
from settings import Settings

log = structlog.get_logger()

PATIENCE: Final = 60.0  # seconds that the end of an answer is tried to be saved while PostgreSQL is away
_ERROR_CODES: Final = {
    FailureKind.CONTEXT_WINDOW: "CONTEXT_OVERFLOW",
    FailureKind.CONTENT_POLICY: "CONTENT_BLOCKED",
    FailureKind.RATE_LIMIT: "RATE_LIMITED",
}


@dataclass(frozen=True)
class Outcome:
    """How a run ended; the message's status follows from the run's."""

    status: str
    stop_reason: str | None = None
    error_code: str | None = None
    error_message: str | None = None

    @property
    def message_status(self) -> str:
        return {"COMPLETED": "COMPLETE", "FAILED": "FAILED"}.get(self.status, "INCOMPLETE")


CANCELLED: Final = Outcome("CANCELLED", "USER_CANCEL")
STEERED: Final = Outcome("INCOMPLETE", "STEERED")
LOST: Final = Outcome("INCOMPLETE", None, "INTERNAL", "The worker was lost; what was said before is kept.")
GIVEN_UP: Final = Outcome("FAILED", None, "INTERNAL", "The run was begun too often without an end.")
BROKEN: Final = Outcome("FAILED", None, "INTERNAL", "Something failed on our side.")
_ENDS: Final = {
    StopReason.END_TURN: Outcome("COMPLETED", "END_TURN"),
    StopReason.MAX_TOKENS: Outcome("INCOMPLETE", "MAX_TOKENS"),
    StopReason.CONTENT_POLICY: Outcome("INCOMPLETE", "CONTENT_POLICY"),
}


def failed(failure: ProviderFailed) -> Outcome:
    """Say what a model's failure means for the run."""
    return Outcome("FAILED", "PROVIDER_ERROR", _ERROR_CODES.get(failure.kind, "MODEL_UNAVAILABLE"), failure.message)


class Answer:
    """Makes one answer in one epoch, until it ends, is cancelled, or another worker takes it."""

    def __init__(  # noqa: PLR0913 - what an answer is made of
        self,
        *,
        run: Row,
        request: ModelRequest,
        speech: Speech,
        provider: Provider,
        cipher: TenantCipher,
        run_log: RunLog,
        scopes: TenantScopes,
        settings: Settings,
    ) -> None:
        self._run = run
        self._request = request
        self._speech = speech
        self._provider = provider
        self._cipher = cipher
        self._log = run_log
        self._scopes = scopes
        self._settings = settings
        self._heard = asyncio.Event()
        self._listening: asyncio.Task[Outcome] | None = None
        self._stopped: Outcome | None = None
        self._steered = False
        self._usage: Usage | None = None
        self._first_token_ms: int | None = None
        self._saved_deltas = 0
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
        """Answer from the beginning; raises `RunWasTaken` when another worker took over."""
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
        last: list[Event] = [*self._speech.events(), *self._speech.endings()]
        usage = self._usage or estimated_usage(
            self._request, output_bytes=self._speech.bytes["text"], reasoning_bytes=self._speech.bytes["reasoning"]
        )
        last.append(UsageTick(seq=self._speech.next_seq(), at=time.time(), usage=usage))
        last.append(RunFinished(seq=self._speech.next_seq(), at=time.time(), status=outcome.status))
        await self._patiently(lambda: self._save_end(outcome, usage))
        await self._write(last)

    async def _begin(self) -> None:
        events: list[Event] = []
        if self._speech.seq == 0:
            events.append(RunQueued(seq=self._speech.next_seq(), at=time.time(), position=0))
        message_ids = [self._run["output_message_id"]]
        events.append(RunStarted(seq=self._speech.next_seq(), at=time.time(), message_ids=message_ids, model=self._settings.model_name))
        await self._write(events)

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
        """Hear the model out."""
        async with contextlib.aclosing(self._provider.stream(self._request)) as stream:
            async for event in stream:
                if isinstance(event, TextDelta | ReasoningDelta):
                    if self._first_token_ms is None:
                        self._first_token_ms = max(0, int((time.time() - self._run["created_at"].timestamp()) * 1000))
                    self._speech.add("text" if isinstance(event, TextDelta) else "reasoning", event.text)
                    self._heard.set()
                    if self._steered and self._speech.pauses:
                        return STEERED
                elif isinstance(event, Usage):
                    self._usage = event
                elif isinstance(event, Finished):
                    return _ENDS[event.reason]
        return BROKEN

    async def _outcome(self, listening: "asyncio.Task[Outcome]") -> Outcome:
        try:
            return await listening
        except ProviderFailed as failure:
            return failed(failure)
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
            await asyncio.sleep(self._settings.run_flush_ms / 1000)

    async def _keep(self) -> None:
        """Save what was said, show a sign of life, and look whether somebody wants the answer to stop."""
        lease = timedelta(seconds=self._settings.run_lease_seconds)
        sign_of_life = time.monotonic()
        while True:
            await asyncio.sleep(self._settings.run_save_ms / 1000)
            spoke = self._speech.deltas != self._saved_deltas
            if not spoke and time.monotonic() - sign_of_life < self._settings.run_lease_seconds / 3:
                continue
            with contextlib.suppress(Unavailable):
                await self._save_growth(lease, spoke=spoke)
                sign_of_life = time.monotonic()

    async def _save_growth(self, lease: timedelta, *, spoke: bool) -> None:
        run, deltas, seq = self._run, self._speech.deltas, self._speech.seq
        parts = self._speech.parts() if spoke else None
        async with self._scopes.writing(run["tenant_id"]) as scope:
            mine = await runs.renew(scope, run["tenant_id"], run["id"], epoch=run["epoch"], lease=lease, last_seq=seq)
            if mine is None:
                raise RunWasTaken
            if parts is not None:
                await records.save(scope, self._cipher, run["output_message_id"], parts, status="STREAMING")
        self._saved_deltas = deltas
        if mine["cancel_requested_at"] is not None:
            self.stop(Stop.CANCEL)
        elif mine["steer_requested_at"] is not None:
            self.stop(Stop.STEER)

    async def _save_end(self, outcome: Outcome, usage: Usage) -> None:
        run = self._run
        values: dict[Any, Any] = {
            Run.status: outcome.status, Run.stop_reason: outcome.stop_reason, Run.error_code: outcome.error_code,
            Run.error_message: outcome.error_message, Run.finished_at: datetime.now(UTC), Run.last_seq: self._speech.seq,
            Run.model: self._settings.model_name, Run.first_token_ms: self._first_token_ms, Run.usage_estimated: usage.estimated,
            Run.input_tokens: usage.input_tokens, Run.output_tokens: usage.output_tokens, Run.reasoning_tokens: usage.reasoning_tokens,
            Run.cache_read_tokens: usage.cache_read_tokens, Run.cache_write_tokens: usage.cache_write_tokens,
        }  # fmt: skip
        async with self._scopes.writing(run["tenant_id"]) as scope:
            if not await runs.finish(scope, run["tenant_id"], run["id"], epoch=run["epoch"], values=values):
                raise RunWasTaken
            await records.save(scope, self._cipher, run["output_message_id"], self._speech.parts(), status=outcome.message_status)

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
