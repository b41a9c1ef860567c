"""Choosing a deployment: who comes next by what failed before, who of them fits, and the first that may be asked now."""

import asyncio
import random
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from inference.candidates import LIVE, Choice, Need, hindered, in_words, misfit, ordered
from inference.deployments import Deployment, Policy
from inference.models import FailureKind, ProviderFailed, Trouble, Usage
from inference.standings import Booking, Hindrance, Standing, Standings, is_question_s_fault
from inference.stickiness import Stickiness

# After these the same deployment may be asked again.
_PASSING: Final = frozenset({FailureKind.RATE_LIMIT, FailureKind.TIMEOUT, FailureKind.SERVER_ERROR})
# After these no other deployment of the same model does better.
_OF_THE_MODEL: Final = frozenset({FailureKind.CONTEXT_WINDOW, FailureKind.CONTENT_POLICY})
# Nobody is told how long a probe of somebody else's takes: look again after this.
_LOOK_AGAIN_MS: Final = 250
_KIND_OF: Final = {Hindrance.RPM: FailureKind.RATE_LIMIT, Hindrance.TPM: FailureKind.RATE_LIMIT}


class NobodyFits(ProviderFailed):
    """No deployment that the policy allows can ever answer this: too long, not able, or in another region."""

    def __init__(self, misfits: Sequence[tuple[Deployment, str]], *, too_long: bool) -> None:
        if too_long:
            super().__init__(FailureKind.CONTEXT_WINDOW)
        else:
            super().__init__(FailureKind.SERVER_ERROR, trouble=Trouble.NOBODY_FITS)
        self.misfits = tuple(misfits)


class Asked(msgspec.Struct, frozen=True):
    """A deployment that was asked already, and how it failed."""

    deployment: Deployment
    failure: ProviderFailed


class Booked(msgspec.Struct, frozen=True):
    """A deployment that may be asked now, under this attempt's id, for so many tokens; and why it was chosen, in words."""

    deployment: Deployment
    attempt: UUID
    tokens: int
    reason: str

    def left(self, usage: Usage) -> int:
        """How many more tokens were used than were booked; negative where some were left."""
        used = usage.input_tokens + usage.output_tokens + usage.cache_read_tokens + usage.cache_write_tokens + usage.reasoning_tokens
        return used - self.tokens


def next_in_line(policy: Policy, asked: Sequence[Asked]) -> list[tuple[str, list[Deployment]]]:
    """Return the groups of deployments to ask next, each with what is said of it: the new ones first, then those that may be well again."""
    if not asked:
        return [("", list(policy.candidates))]
    failure = asked[-1].failure
    known = {one.deployment.id for one in asked}
    fallbacks = [one for one in policy.fallbacks_on(failure.kind) if one.id not in known]
    groups = [(f"The policy falls back to it after {failure.kind}.", fallbacks)]
    if failure.kind in _OF_THE_MODEL:
        longer = max(one.deployment.model.context_tokens for one in asked)
        new = [one for one in policy.candidates if one.id not in known and one.model.context_tokens > longer]
        return [("", new), *groups] if failure.kind is FailureKind.CONTEXT_WINDOW else groups
    if is_question_s_fault(failure):
        return groups
    failed = {one.deployment.id: one.failure for one in asked}
    again = [
        one
        for one in {one.deployment.id: one.deployment for one in asked}.values()
        if failed[one.id].kind in _PASSING and not is_question_s_fault(failed[one.id])
    ]
    return [("", [one for one in policy.candidates if one.id not in known]), *groups, ("It is asked again.", again)]


class Selection:
    """Chooses for one policy."""

    def __init__(self, standings: Standings, stickiness: Stickiness, chance: random.Random) -> None:
        self._standings = standings
        self._stickiness = stickiness
        self._chance = chance

    async def choices(self, policy: Policy, need: Need, chat_id: UUID | None, asked: Sequence[Asked] = ()) -> list[Choice]:
        """Return all that fit, as they are preferred; raises `NobodyFits`, or the last failure where nobody is left after it."""
        groups = next_in_line(policy, asked)
        misfits = {one.id: (one, why) for _, group in groups for one in group if (why := misfit(one, need, policy)) is not None}
        made: list[Choice] = []
        for said, group in groups:
            fitting = [one for one in group if one.id not in misfits]
            if said:
                made += [Choice(one, said) for one in fitting]
            else:
                made += await self._in_order(fitting, policy, need, chat_id)
        if made:
            return made
        if asked:
            raise asked[-1].failure
        return await self._of_longer_models(policy, need, list(misfits.values()))

    async def _in_order(self, fitting: Sequence[Deployment], policy: Policy, need: Need, chat_id: UUID | None) -> list[Choice]:
        if not fitting:
            return []
        alone = len(fitting) == 1
        known: dict[UUID, Standing] = {}
        if not alone and policy.strategy in LIVE:
            standings = await self._standings.look([one.standing_id for one in fitting])
            known = {one.id: standing for one, standing in zip(fitting, standings, strict=True)}
        sticky = None if alone or chat_id is None or not policy.sticky else await self._stickiness.last(chat_id)
        return ordered(fitting, policy, need, known, sticky=sticky, chance=self._chance)

    async def _of_longer_models(self, policy: Policy, need: Need, misfits: Sequence[tuple[Deployment, str]]) -> list[Choice]:
        """Fall back before anybody was asked: all that the policy names would refuse a conversation of this length."""
        too_long = any("too long" in why for _, why in misfits)
        fallbacks = policy.fallbacks_on(FailureKind.CONTEXT_WINDOW) if too_long else ()
        made = [
            Choice(one, f"The policy falls back to it after {FailureKind.CONTEXT_WINDOW}.")
            for one in fallbacks
            if misfit(one, need, policy) is None
        ]
        if not made:
            raise NobodyFits(misfits, too_long=too_long)
        return made

    async def book(
        self, choices: Sequence[Choice], attempt: UUID, need: Need, *, patience_seconds: float, asked: Sequence[Asked]
    ) -> Booked:
        """Book the first that may be asked, and wait a while for one; raises `ProviderFailed` when nobody may be asked for too long."""
        loop = asyncio.get_running_loop()
        until = loop.time() + patience_seconds
        while True:
            passed: list[tuple[Deployment, Booking]] = []
            for choice in choices:
                tokens = need.input_tokens + min(need.output_tokens, choice.deployment.model.max_output_tokens)
                booking = await self._standings.book(choice.deployment, attempt, tokens=tokens)
                if booking.hindrance is None:
                    why = f"{choice.why} It is tried again after its pause." if booking.is_probe else choice.why
                    return Booked(choice.deployment, attempt, tokens, in_words(why, [(one, hindered(by)) for one, by in passed]))
                passed.append((choice.deployment, booking))
            wait_ms = min(_LOOK_AGAIN_MS if by.hindrance is Hindrance.PROBE else by.wait_ms for _, by in passed)
            if loop.time() + wait_ms / 1000 > until:
                raise _nobody([by for _, by in passed]) if not asked else asked[-1].failure
            await asyncio.sleep(wait_ms / 1000)


def _nobody(bookings: Sequence[Booking]) -> ProviderFailed:
    soonest = min(bookings, key=lambda one: one.wait_ms)
    if (kind := _KIND_OF.get(soonest.hindrance or Hindrance.COOLDOWN)) is not None:
        return ProviderFailed(kind, retry_after_ms=soonest.wait_ms)
    return ProviderFailed(FailureKind.SERVER_ERROR, retry_after_ms=soonest.wait_ms, trouble=Trouble.COOLING_DOWN)
