"""The router: the only loop that asks again. It chooses a deployment by a policy, follows a failure by its kind, and tells each change.

A failure before the first token is followed as far as the policy's retries go. After it the policy's mode decides: the answer ends,
begins anew with another attempt, or goes on where it broke off.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from inference.attempts import Attempt, Counting, usage_of
from inference.candidates import TEXT_ONLY, Need, cooling, in_words, misfits
from inference.continuing import Rest, Seam, begun, continued
from inference.deployments import Capability, Deployment, MidStream, Policy
from inference.metrics import count_end, count_first_chunk
from inference.models import NO_USAGE, Finished, ModelRequest, ProviderFailed, ReasoningDelta, TextDelta, Usage, estimated_usage
from inference.providers import Providers
from inference.selection import Asked, Booked, Selection
from inference.standings import Standings
from inference.stickiness import Stickiness
from inference.uses import KeyUses
from settings import Settings


class Rerouted(msgspec.Struct, frozen=True):
    """An attempt failed and another one follows. `continues`: it goes on where the text broke off; `restarts`: it begins anew."""

    failed: Attempt
    next: Attempt
    continues: bool
    restarts: bool


RouteEvent = TextDelta | ReasoningDelta | Rerouted | Finished


class Considered(msgspec.Struct, frozen=True):
    """A place that could answer, whether it could be asked now, and what speaks for it or against it."""

    deployment_id: UUID
    model: str
    region: str | None
    available: bool
    reason: str

    @classmethod
    def of(cls, deployment: Deployment, *, available: bool, reason: str) -> Self:
        """A deployment that was considered."""
        return cls(deployment.id, deployment.model.key, deployment.region, available, reason)


class Decision(msgspec.Struct, frozen=True):
    """Who would be asked, and why, in words; and all that were considered, those first that are preferred."""

    deployment: Deployment
    reason: str
    considered: tuple[Considered, ...] = ()


class Router:
    """Routes answers; what it learns of deployments it tells all processes, beside the answers."""

    def __init__(  # noqa: PLR0913 - what it asks, and all that it keeps in mind
        self,
        providers: Providers,
        standings: Standings,
        stickiness: Stickiness,
        uses: KeyUses,
        settings: Settings,
        *,
        chance: random.Random | None = None,
    ) -> None:
        self.providers = providers
        self.standings = standings
        self.stickiness = stickiness
        self.uses = uses
        self.settings = settings
        self.selection = Selection(standings, stickiness, chance or random.Random())  # noqa: S311 - it shares out work
        self._telling: set[asyncio.Task[None]] = set()

    def route(
        self,
        policy: Policy,
        request: ModelRequest,
        *,
        chat_id: UUID | None = None,
        first: int = 1,
        capabilities: frozenset[Capability] = TEXT_ONLY,
    ) -> "Route":
        """Make the way of one answer; its attempts count from `first`."""
        return Route(self, policy, request, chat_id=chat_id, first=first, capabilities=capabilities)

    async def explain(
        self, policy: Policy, request: ModelRequest, *, chat_id: UUID | None = None, capabilities: frozenset[Capability] = TEXT_ONLY
    ) -> Decision:
        """Say who would be asked now, without asking or booking; raises `ProviderFailed` where nobody fits."""
        need = Need.of(request, _needed(request, capabilities, policy))
        choices = await self.selection.choices(policy, need, chat_id)
        standings = await self.standings.look([one.deployment.standing_id for one in choices])
        considered = [
            Considered.of(choice.deployment, available=True, reason=choice.why)
            if standing.cools_for_ms == 0
            else Considered.of(choice.deployment, available=False, reason=cooling(standing))
            for choice, standing in zip(choices, standings, strict=True)
        ]
        every = (*considered, *(Considered.of(one, available=False, reason=why) for one, why in misfits(policy, need)))
        passed: list[tuple[Deployment, str]] = []
        for choice, one in zip(choices, considered, strict=True):
            if one.available:
                return Decision(choice.deployment, in_words(one.reason, passed), every)
            passed.append((choice.deployment, one.reason))
        return Decision(choices[0].deployment, f"All cool down; it comes first when its pause is over. {choices[0].why}", every)

    def note_use(self, deployment: Deployment) -> None:
        """Note that the key of a tenant's or a member's is used, if it is one."""
        tenant_id, key = deployment.tenant_id, deployment.credential_id
        if tenant_id is not None and key is not None and self.uses.is_due(key):
            self.tell(self.uses.note(tenant_id, key))

    def tell(self, telling: Coroutine[Any, Any, None]) -> None:
        """Do something beside the answer, which does not wait for it."""
        task = asyncio.create_task(telling)
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def close(self) -> None:
        """Tell what is still to be told."""
        await asyncio.gather(*self._telling, return_exceptions=True)


class Route:
    """The way of one answer through deployments. `attempts` tells what was tried so far, at any time."""

    def __init__(  # noqa: PLR0913 - what a way depends on
        self,
        router: Router,
        policy: Policy,
        request: ModelRequest,
        *,
        chat_id: UUID | None,
        first: int,
        capabilities: frozenset[Capability],
    ) -> None:
        self.policy = policy
        self.attempts: list[Attempt] = []
        self._router = router
        self._request = request
        self._chat_id = chat_id
        self._first = first
        self._need = Need.of(request, _needed(request, capabilities, policy))
        self._asked: list[Asked] = []
        self._booked: Booked | None = None
        self._failure: ProviderFailed | None = None
        self._said: list[str] = []
        self._spoke = False

    @property
    def usage(self) -> Usage:
        """What all attempts used that have ended."""
        return usage_of([attempt for attempt in self.attempts if attempt.ended_at is not None])

    def leave(self) -> None:
        """Give up what was chosen and never asked."""
        if self.attempts and self._booked is not None:
            self._end(self._booked, self.attempts[-1], NO_USAGE, "It was not asked.")

    async def begin(self) -> Attempt | None:
        """Choose the first deployment; None where there is none, which `events` then raises."""
        try:
            return await self._next()
        except ProviderFailed as failure:
            self._failure = failure
            return None

    async def events(self) -> AsyncGenerator[RouteEvent, None]:
        """Tell the answer as it comes, and each change of its way; raises `ProviderFailed` when no attempt is left."""
        attempt = self.attempts[-1] if self.attempts else await self.begin()
        if attempt is None:
            assert self._failure is not None, "there is an attempt or a reason why not"
            raise self._failure
        rest = continued(self._request, "", attempt.deployment)
        while True:
            try:
                async with aclosing(self._heard(attempt, rest)) as stream:
                    async for event in stream:
                        yield event
            except ProviderFailed as failure:
                change, rest = await self._followed(attempt, failure)
                attempt = change.next
                yield change
            else:
                return

    async def _next(self) -> Attempt:
        """Choose and book; raises `ProviderFailed`."""
        choices = await self._router.selection.choices(self.policy, self._need, self._chat_id, self._asked)
        times = sum(one.deployment.id == choices[0].deployment.id for one in self._asked)
        if times:
            pause_ms = self._router.settings.model_backoff_ms * 2 ** (times - 1) * (0.5 + random.random() / 2)  # noqa: S311 - it spreads work
            await asyncio.sleep(pause_ms / 1000)
        patience = self._router.settings.model_patience_seconds
        self._booked = await self._router.selection.book(choices, uuid7(), self._need, patience_seconds=patience, asked=self._asked)
        attempt = Attempt(
            number=self._first + len(self.attempts),
            deployment=self._booked.deployment,
            reason=self._booked.reason,
            started_at=datetime.now(UTC),
            usage=estimated_usage(self._request, output_bytes=0),
        )
        self.attempts.append(attempt)
        self._router.note_use(attempt.deployment)
        return attempt

    async def _followed(self, attempt: Attempt, failure: ProviderFailed) -> tuple[Rerouted, Rest]:
        """Find the attempt that follows a failure; raises the failure where none does."""
        self._asked.append(Asked(attempt.deployment, failure))
        if self._spoke and self.policy.mid_stream is MidStream.TERMINATE:
            raise failure
        if len(self.attempts) > self.policy.max_retries:
            raise failure
        following = await self._next()
        said = "".join(self._said)
        following.continues = bool(said) and self.policy.mid_stream is MidStream.CONTINUE_PARTIAL
        change = Rerouted(attempt, following, following.continues, restarts=self._spoke and not following.continues)
        if not following.continues:
            said = ""
            self._said.clear()
        written = estimated_usage(self._request, output_bytes=len(said.encode())).output_tokens
        return change, continued(self._request, said, following.deployment, output_tokens=written)

    async def _heard(self, attempt: Attempt, rest: Rest) -> AsyncGenerator[TextDelta | ReasoningDelta | Finished, None]:
        """Hear one attempt out, and note how it goes."""
        assert self._booked is not None
        booked, counting = self._booked, Counting(rest.request_for(attempt.deployment))
        try:
            async with aclosing(self._router.providers.of(attempt.deployment).stream(counting.request)) as stream:
                async for event in stream:
                    if isinstance(event, Usage):
                        counting.usage = event
                        continue
                    if isinstance(event, Finished):
                        self._end(booked, attempt, counting.used())
                    elif counting.hear(event):
                        self._first_token(attempt)
                    if (joined := self._noted(event, rest.seam)) is not None:
                        yield joined
        except ProviderFailed as failure:
            attempt.end(counting.used_before(failure), failure)
            await self._router.standings.ended(attempt.deployment, booked.attempt, tokens=booked.left(attempt.usage), failure=failure)
            raise
        finally:
            # Where the answer was stopped, or whoever listened left.
            self._end(booked, attempt, counting.used(), "It was stopped.")
            count_end(attempt.deployment, _seconds_since(attempt.started_at), attempt.usage, attempt.failure)

    def _noted(self, event: TextDelta | ReasoningDelta | Finished, seam: Seam) -> TextDelta | ReasoningDelta | Finished | None:
        if isinstance(event, Finished):
            return event
        self._spoke = True
        if isinstance(event, ReasoningDelta):
            return event
        text = seam.joined(event.text)
        self._said.append(text)
        return TextDelta(text) if text else None

    def _first_token(self, attempt: Attempt) -> None:
        after = _seconds_since(attempt.started_at)
        after_ms = after * 1000
        attempt.first_token_ms = int(after_ms)
        count_first_chunk(attempt.deployment, after)
        self._router.tell(self._router.standings.answered(attempt.deployment, after_ms=after_ms))
        if self._chat_id is not None and self.policy.sticky and len(self.policy.candidates) > 1:
            self._router.tell(self._router.stickiness.note(self._chat_id, attempt.deployment.id))

    def _end(self, booked: Booked, attempt: Attempt, usage: Usage, message: str | None = None) -> None:
        if attempt.ended_at is None:
            attempt.end(usage, message=message)
            self._router.tell(self._router.standings.ended(attempt.deployment, booked.attempt, tokens=booked.left(usage)))


def _needed(request: ModelRequest, capabilities: frozenset[Capability], policy: Policy) -> frozenset[Capability]:
    """Whoever goes on with an answer had better be able to; where none of the candidates is, they are told to in words."""
    can_go_on = any(Capability.PREFILL in one.model.capabilities for one in policy.candidates)
    return capabilities | {Capability.PREFILL} if begun(request) and can_go_on else capabilities


def _seconds_since(moment: datetime) -> float:
    return (datetime.now(UTC) - moment).total_seconds()
