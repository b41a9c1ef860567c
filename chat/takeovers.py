"""Making ready to answer: what was said before, what that cost, and whether a model has to be asked for more."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec

from auth.encryption.ciphers import TenantCipher
from chat.answers import Task
from chat.assistants import opened_content
from chat.broadcasts import epoch_of
from chat.contents import opened
from chat.contexts import given, read_branch
from chat.events import PartStarted, RunStarted
from chat.logs import RunLog, RunLogs
from chat.outcomes import CANCELLED, GIVEN_UP, LOST, OUT_OF_TOKENS, STEERED, Outcome
from chat.routes import Work, closed_usages, cost_by, open_usages, rows_of
from chat.speech import Speech, bytes_of
from chat.steps import LostStep, Said, Step, columns_of, lost_steps, unread_steps, usage_of
from chat.views import Told
from db.scopes import Reading, Row, TenantScopes, Writing
from db.statements import assistants, attempts, messages, runs, steps
from inference.attempts import Attempt
from inference.deployments import Capability, Policy
from inference.models import ModelMessage, ModelRequest, Usage
from settings import Settings

_UNTOLD: Final = 1  # what `last_seq` is before anything was saved


class Found(NamedTuple):
    """What PostgreSQL knows of a run that was claimed."""

    branch: list[Row]
    saved: Row
    steps: list[Row]
    version: Row | None
    begins_with: Said
    attempts: list[Row]


class Preparation:
    """Makes a claimed run's task, in its first step or a later one."""

    def __init__(self, run: Row, *, cipher: TenantCipher, scopes: TenantScopes, policy: Policy, settings: Settings) -> None:
        self._run = run
        self._cipher = cipher
        self._scopes = scopes
        self._policy = policy
        self._settings = settings

    async def prepared(self, logs: RunLogs, run_log: RunLog) -> tuple[Task, Outcome | None]:
        """Return what to do; with an outcome, nothing is left to be asked. Steps of lost workers are closed."""
        run = self._run
        told = await logs.written(self._cipher, run["id"])
        run_log.hold(told)
        found = await self._found()
        speech = self._speech(found.saved, told)
        version = None if found.version is None else opened_content(self._cipher, found.version)
        whole = given(
            found.branch, version, self._cipher, readers=self._policy.readers, asked=run["max_output_tokens"], settings=self._settings
        )
        request = whole.request()
        own = {kind: size - found.begins_with[kind] for kind, size in speech.bytes.items()} if speech.parts() else speech.bytes
        asked = _asked(told)
        lost = lost_steps(found.steps, own, request, asked=asked, closed=closed_usages(found.attempts))
        unwritten = self._unwritten(lost, asked, found.attempts)
        await self._close(lost, found.attempts, unwritten)
        used = (*(usage_of(row) for row in found.steps if row["outcome"] != "OPEN"), *(one.usage for one in lost))
        request = self._continued(request, speech, used)
        losses = len(lost) + sum(row["outcome"] == "LOST" for row in found.steps)
        task = Task(
            run=run, request=request, speech=speech, step=Step(run["epoch"], before=dict(speech.bytes)), used_before=used,
            policy=self._policy, limit=whole.window.limit, attempts_before=_last_number((*found.attempts, *unwritten)),
        )  # fmt: skip
        return task, self._ended(speech, request, losses)

    async def _found(self) -> Found:
        run = self._run
        async with self._scopes.reading(run["tenant_id"]) as scope:
            branch = await read_branch(scope, run["tenant_id"], run["chat_id"], run["input_message_id"], self._settings)
            saved = await messages.by_id(scope, run["tenant_id"], run["output_message_id"])
            version = await assistants.version_by_id(scope, run["tenant_id"], asked) if (asked := run["assistant_version_id"]) else None
            earlier = await steps.of_run(scope, run["tenant_id"], run["id"]) if run["epoch"] > 1 else []
            tried = await attempts.by_works(scope, run["tenant_id"], [run["id"]]) if earlier else []
            begins_with = await self._begins_with(scope)
        assert saved is not None, "a run is deleted with its messages"
        mine = [row for row in earlier if row["step"] < run["epoch"]]
        return Found(branch, saved, mine, version, begins_with, tried)

    async def _begins_with(self, scope: Reading) -> Said:
        """Measure what another run said of this answer, which is no work of this one's."""
        continued = self._run["continues_run_id"]
        other = None if continued is None else await runs.by_id(scope, self._run["tenant_id"], continued)
        answer = None if other is None else await messages.by_id(scope, self._run["tenant_id"], other["output_message_id"])
        parts = [] if answer is None else opened(self._cipher, answer["id"], answer["content"])
        return bytes_of(parts)

    def _speech(self, saved: Row, told: Sequence[Told]) -> Speech:
        seq = 0 if self._run["last_seq"] == _UNTOLD else self._run["last_seq"]
        events, parts = [one.event for one in told], opened(self._cipher, saved["id"], saved["content"])
        if seq == 0 and self._run["continues_run_id"] is not None and not any(isinstance(event, PartStarted) for event in events):
            return Speech.continuing(saved["id"], parts, events)
        return Speech.retold(saved["id"], parts, events, seq)

    def _unwritten(self, lost: Sequence[LostStep], asked: Mapping[int, RunStarted], tried: Sequence[Row]) -> list[dict[str, Any]]:
        """Make the rows of the attempts that lost workers told in the log, and did not live to write."""
        written, number = {row["step"] for row in tried}, _last_number(tried)
        places = {place.id: place for place in self._policy.places}
        rows: list[dict[str, Any]] = []
        for one in lost:
            route = asked[one.number].route if one.number in asked else None
            if one.number in written or route is None or (place := places.get(route.deployment_id)) is None:
                continue
            number += 1
            attempt = Attempt(
                number=number, deployment=place, reason=route.reason, started_at=datetime.fromtimestamp(asked[one.number].at, UTC),
                ended_at=datetime.now(UTC), message=attempts.WORKER_LOST, usage=one.open_usage,
            )  # fmt: skip
            rows += rows_of(Work.of_run(self._run)._replace(step=one.number), self._policy, [attempt])
        return rows

    async def _close(self, lost: Sequence[LostStep], tried: Sequence[Row], unwritten: Sequence[Mapping[str, Any]]) -> None:
        if not lost:
            return
        async with self._scopes.writing(self._run["tenant_id"]) as scope:
            await _close(scope, self._run, lost, tried, unwritten)

    def _continued(self, request: ModelRequest, speech: Speech, used: Sequence[Usage]) -> ModelRequest:
        """Ask for the rest. What was only thought is thought again: no model goes on from its thoughts."""
        left = request.max_output_tokens - sum(one.output_tokens + one.reasoning_tokens for one in used)
        begun = (ModelMessage("assistant", text),) if (text := speech.text()) else ()
        return msgspec.structs.replace(request, messages=(*request.messages, *begun), max_output_tokens=left)

    def _ended(self, speech: Speech, request: ModelRequest, losses: int) -> Outcome | None:
        if self._run["cancel_requested_at"] is not None:
            return CANCELLED
        if self._run["steer_requested_at"] is not None:
            return STEERED
        if losses >= self._settings.run_attempts:
            return LOST if speech.parts() else GIVEN_UP
        if speech.parts() and speech.text() and not any(Capability.PREFILL in one.model.capabilities for one in self._policy.candidates):
            return LOST
        return OUT_OF_TOKENS if request.max_output_tokens < 1 else None


async def close_unread(scope: Writing, run: Row) -> None:
    """Close the steps and attempts that are open of a run that ends though it cannot be read, and add up what it used."""
    tenant_id, run_id = run["tenant_id"], run["id"]
    tried = await attempts.by_works(scope, tenant_id, [run_id])
    found = await steps.of_run(scope, tenant_id, run_id)
    await _close(scope, run, unread_steps(found, opened=open_usages(tried), closed=closed_usages(tried)), tried)
    await steps.add_up(scope, tenant_id, run_id)


async def _close(
    scope: Writing, run: Row, lost: Sequence[LostStep], tried: Sequence[Row], unwritten: Sequence[Mapping[str, Any]] = ()
) -> None:
    """Close the steps of lost workers, and the attempt that each left open or unwritten; what was closed before stays as it is."""
    tenant_id, run_id = run["tenant_id"], run["id"]
    for one in lost:
        if not await steps.close(scope, tenant_id, run_id, one.number, outcome="LOST", said=one.said, usage=columns_of(one.usage)):
            continue
        for row in tried:
            if row["step"] == one.number and row["ended_at"] is None:
                usage, cost = columns_of(one.open_usage), cost_by(row, one.open_usage)
                await attempts.close(scope, tenant_id, run_id, row["number"], usage=usage, cost=cost)
        if rows := [row for row in unwritten if row["step"] == one.number]:
            await attempts.save(scope, tenant_id, rows)


def _asked(told: Sequence[Told]) -> dict[int, RunStarted]:
    """Return how the steps began whose worker wrote whom it asks, which it does before it does."""
    return {epoch_of(one.entry_id): one.event for one in told if isinstance(one.event, RunStarted) and one.event.route is not None}


def _last_number(rows: Sequence[Mapping[str, Any]]) -> int:
    return max((row["number"] for row in rows), default=0)
