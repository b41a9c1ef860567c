"""Making ready to answer: what was said before, what that cost, and whether a model has to be asked for more."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from auth.encryption.ciphers import TenantCipher
from chat.answers import Task
from chat.assistants import opened_content
from chat.broadcasts import epoch_of
from chat.contents import opened
from chat.contexts import given, read_branch
from chat.events import PartStarted, RouteChanged, RunStarted
from chat.logs import RunLog, RunLogs
from chat.outcomes import CANCELLED, GIVEN_UP, LOST, OUT_OF_TOKENS, STEERED, Outcome
from chat.routes import Call, Work, closed_usages, cost_by, lost_row, open_usages
from chat.speech import Speech, bytes_of
from chat.steps import LostStep, Said, Step, columns_of, lost_steps, usage_of
from chat.views import Told
from db.scopes import Reading, Row, TenantScopes, Writing
from db.statements import assistants, attempts, messages, runs, steps
from inference.deployments import Capability, Policy
from inference.models import ModelMessage, ModelRequest, Usage, estimated_usage
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
        unwritten = _unwritten(told, found.attempts)
        asked = dict.fromkeys(unwritten, estimated_usage(request, output_bytes=0)) | open_usages(found.attempts)
        lost = lost_steps(found.steps, asked=asked, closed=closed_usages(found.attempts), told=own)
        new = self._rows_of(lost, unwritten, after=_last_number(found.attempts))
        await self._close(lost, found.attempts, new)
        used = (*(usage_of(row) for row in found.steps if row["outcome"] != "OPEN"), *(one.usage for one in lost))
        request = self._continued(request, speech, used)
        losses = len(lost) + sum(row["outcome"] == "LOST" for row in found.steps)
        task = Task(
            run=run, request=request, speech=speech, step=Step(run["epoch"], before=dict(speech.bytes)), used_before=used,
            policy=self._policy, limit=whole.window.limit, attempts_before=_last_number((*found.attempts, *new)),
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

    def _rows_of(self, lost: Sequence[LostStep], unwritten: Mapping[int, Call], *, after: int) -> list[dict[str, Any]]:
        """Make the rows of the calls that lost workers did not live to write; what has no place any more has no price."""
        places, work = {place.id: place for place in self._policy.places}, Work.of_run(self._run)
        rows: list[dict[str, Any]] = []
        for one in lost:
            if (call := unwritten.get(one.number)) is not None:
                place = places.get(call.route.deployment_id)
                price = None if place is None else place.model.price
                rows.append(lost_row(work._replace(step=one.number), call, after + len(rows) + 1, one.open_usage, price))
        return rows

    async def _close(self, lost: Sequence[LostStep], tried: Sequence[Row], new: Sequence[Mapping[str, Any]]) -> None:
        if not lost:
            return
        async with self._scopes.writing(self._run["tenant_id"]) as scope:
            await _close(scope, self._run, lost, tried, new)

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
    await _close(scope, run, lost_steps(found, asked=open_usages(tried), closed=closed_usages(tried)), tried)
    await steps.add_up(scope, tenant_id, run_id)


async def _close(scope: Writing, run: Row, lost: Sequence[LostStep], tried: Sequence[Row], new: Sequence[Mapping[str, Any]] = ()) -> None:
    """Close the steps of lost workers, and the attempt that each left open or, `new`, unwritten; what was closed before stays so."""
    tenant_id, run_id = run["tenant_id"], run["id"]
    for one in lost:
        if not await steps.close(scope, tenant_id, run_id, one.number, outcome="LOST", said=one.said, usage=columns_of(one.usage)):
            continue
        for row in tried:
            if row["step"] == one.number and row["ended_at"] is None:
                usage, cost = columns_of(one.open_usage), cost_by(row, one.open_usage)
                await attempts.close(scope, tenant_id, run_id, row["number"], usage=usage, cost=cost)
        if rows := [row for row in new if row["step"] == one.number]:
            await attempts.save(scope, tenant_id, rows)


def _unwritten(told: Sequence[Told], tried: Sequence[Row]) -> dict[int, Call]:
    """Find the call of each step that its worker told in the log, before it was made, and did not live to write."""
    calls: dict[int, list[Call]] = {}
    for one in told:
        event, asked = one.event, calls.setdefault(epoch_of(one.entry_id), [])
        if isinstance(event, RunStarted) and event.route is not None:
            asked.append(Call(event.route, event.at))
        elif isinstance(event, RouteChanged):
            asked.append(Call(event.next, event.at))
    written = Counter(row["step"] for row in tried)
    return {step: asked[-1] for step, asked in calls.items() if len(asked) > written[step] and step not in open_usages(tried)}


def _last_number(rows: Sequence[Mapping[str, Any]]) -> int:
    return max((row["number"] for row in rows), default=0)
