"""How deployments stand: what is known of each, who may ask it now, and the rules by which that changes. Kept here for one process.

A deployment that fails often in a row cools down, twice as long each time; one that asks for a pause gets it, up to a limit. After that it
is half open: one question goes through as a probe, and its first token opens the deployment again. `inference.shared_standings` keeps the
same for all processes. What is known is known of a deployment as it is asked with one key.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import Final, Protocol, Self
from uuid import UUID

import msgspec

from inference.deployments import Deployment
from inference.models import FailureKind, ProviderFailed
from settings import Settings

MINUTE_MS: Final = 60_000
# How much a new first token weighs beside those before it.
NEWEST: Final = 0.3
# An answer that goes on for longer no longer counts as under way, so that those of lost workers do not count for ever.
BUSY_MS: Final = 600_000
# A question that is at fault itself says nothing about the deployment.
_BLAMELESS: Final = frozenset({FailureKind.CONTEXT_WINDOW, FailureKind.CONTENT_POLICY})
_PAUSES: Final = frozenset({FailureKind.RATE_LIMIT})


class Health(StrEnum):
    HEALTHY = "HEALTHY"
    DEGRADED = "DEGRADED"
    COOLDOWN = "COOLDOWN"
    DOWN = "DOWN"
    UNKNOWN = "UNKNOWN"


def health_of_all(healths: Iterable[Health]) -> Health:
    """How several are together, of those that somebody asked: not well as long as one of them is not, and down when all are."""
    known = {health for health in healths if health is not Health.UNKNOWN}
    if not known:
        return Health.UNKNOWN
    if len(known) == 1:
        return known.pop()
    return Health.COOLDOWN if known == {Health.COOLDOWN, Health.DOWN} else Health.DEGRADED


class Hindrance(StrEnum):
    """Why a deployment may not be asked now."""

    COOLDOWN = "COOLDOWN"
    PROBE = "PROBE"
    RPM = "RPM"
    TPM = "TPM"


class Booking(msgspec.Struct, frozen=True):
    """The answer to "may I?": booked where nothing hinders, else what does, and for how long about."""

    hindrance: Hindrance | None = None
    wait_ms: int = 0
    is_probe: bool = False


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a deployment now; `first_token_ms` is a running average, `tokens` what this minute's questions took.

    `refused` says that the last failure was about the key.
    """

    failures: int = 0
    cooldowns: int = 0
    cools_for_ms: int = 0
    first_token_ms: float | None = None
    busy: int = 0
    tokens: int = 0
    asked: bool = False
    refused: bool = False

    @property
    def health(self) -> Health:
        """Unknown before anybody asked; down when several pauses did not help."""
        if self.cools_for_ms > 0:
            return Health.COOLDOWN if self.cooldowns < DOWN_AFTER else Health.DOWN
        if self.failures or self.cooldowns:
            return Health.DEGRADED
        return Health.HEALTHY if self.asked else Health.UNKNOWN


DOWN_AFTER: Final = 4


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The numbers, in milliseconds.

    After so many failures in a row a pause, how long at first, at most, and at most where it is asked for; and a probe's time.
    """

    failures: int
    pause_ms: int
    longest_pause_ms: int
    longest_asked_ms: int
    probe_ms: int

    @classmethod
    def of(cls, settings: Settings) -> Self:
        probe = settings.model_connect_seconds + settings.model_first_token_seconds
        return cls(
            failures=settings.model_failures,
            pause_ms=int(settings.model_cooldown_seconds * 1000),
            longest_pause_ms=int(settings.model_cooldown_most_seconds * 1000),
            longest_asked_ms=int(settings.model_retry_after_most_seconds * 1000),
            probe_ms=int(probe * 1000),
        )


class Standings(Protocol):
    """Keeps how deployments stand. An attempt is booked, may get its first token, and ends, well or with a failure."""

    async def book(self, deployment: Deployment, attempt: UUID, *, tokens: int) -> Booking:
        """Ask whether a question of about so many tokens may be sent now, and count it if so: one step for all who ask at once."""

    async def answered(self, deployment: Deployment, *, after_ms: float) -> None:
        """Note a first token: the deployment is well."""

    async def ended(self, deployment: Deployment, attempt: UUID, *, tokens: int, failure: ProviderFailed | None = None) -> None:
        """Note an attempt's end, whatever it was; `tokens` is how many more it took than were booked."""

    async def look(self, standing_ids: Sequence[UUID]) -> list[Standing]:
        """How each stands, in order; nothing changes."""

    async def forget(self, standing_ids: Sequence[UUID]) -> None:
        """Begin anew with each, as when its key was replaced."""


def blamed_pause(failure: ProviderFailed | None, rules: Rules) -> int | None:
    """Whether a failure counts against its deployment (None if not), and the pause that it asks for at once, 0 for none."""
    if failure is None or failure.kind in _BLAMELESS or is_question_s_fault(failure):
        return None
    if failure.retry_after_ms is not None:
        return min(failure.retry_after_ms, rules.longest_asked_ms)
    return rules.pause_ms if failure.kind in _PAUSES else 0


def is_key_s_fault(failure: ProviderFailed | None) -> bool:
    """Whether the endpoint did not take the key, or the key may not ask this."""
    return failure is not None and failure.kind is FailureKind.AUTH


def is_question_s_fault(failure: ProviderFailed) -> bool:
    """Whether the endpoint refused the question as such: asking others the same would not help."""
    return failure.kind is FailureKind.SERVER_ERROR and failure.status is not None and failure.status < HTTPStatus.INTERNAL_SERVER_ERROR


@dataclass
class _State:
    """One deployment's with one key; times in milliseconds of the clock, levels are what is left of a limit."""

    failures: int = 0
    cooldowns: int = 0
    until: float = 0.0
    probe: tuple[UUID, float] | None = None
    requests: tuple[float, float] | None = None
    tokens: tuple[float, float] | None = None
    first_token_ms: float | None = None
    minute: tuple[int, int] = (0, 0)
    busy: dict[UUID, float] = field(default_factory=dict)
    asked: bool = False
    refused: bool = False


class LocalStandings:
    """How deployments stand as far as this process has seen; `clock` gives seconds."""

    def __init__(self, rules: Rules, clock: Callable[[], float] = time.monotonic) -> None:
        self._rules = rules
        self._clock = clock
        self._states: defaultdict[UUID, _State] = defaultdict(_State)

    async def book(self, deployment: Deployment, attempt: UUID, *, tokens: int) -> Booking:
        now, state = self._clock() * 1000, self._states[deployment.standing_id]
        if state.until > now:
            return Booking(Hindrance.COOLDOWN, _ceil(state.until - now))
        if state.cooldowns and state.probe is not None and state.probe[1] > now:
            return Booking(Hindrance.PROBE, _ceil(state.probe[1] - now))
        left, wait = _level(state.requests, deployment.rpm, 1, now)
        if wait:
            return Booking(Hindrance.RPM, wait)
        tokens_left, wait = _level(state.tokens, deployment.tpm, tokens, now)
        if wait:
            return Booking(Hindrance.TPM, wait)
        state.requests, state.tokens = (left, now), (tokens_left, now)
        state.busy[attempt] = now + BUSY_MS
        state.asked = True
        _take(state, tokens, now)
        if state.cooldowns:
            state.probe = (attempt, now + self._rules.probe_ms)
        return Booking(is_probe=state.cooldowns > 0)

    async def answered(self, deployment: Deployment, *, after_ms: float) -> None:
        state = self._states[deployment.standing_id]
        before = state.first_token_ms
        state.first_token_ms = after_ms if before is None else before + NEWEST * (after_ms - before)
        state.failures = state.cooldowns = 0
        state.until, state.probe, state.refused = 0.0, None, False

    async def ended(self, deployment: Deployment, attempt: UUID, *, tokens: int, failure: ProviderFailed | None = None) -> None:
        now, state = self._clock() * 1000, self._states[deployment.standing_id]
        state.busy.pop(attempt, None)
        _take(state, tokens, now)
        if state.tokens is not None:
            state.tokens = (state.tokens[0] - tokens, state.tokens[1])
        is_probe = state.probe is not None and state.probe[0] == attempt
        if is_probe:
            state.probe = None
        pause = blamed_pause(failure, self._rules)
        if pause is None:
            return
        state.failures += 1
        state.refused = is_key_s_fault(failure)
        if pause:
            state.cooldowns = max(1, state.cooldowns)
            state.until = max(state.until, now + pause)
        elif is_probe or (not state.cooldowns and state.failures >= self._rules.failures):
            state.until = now + min(self._rules.longest_pause_ms, self._rules.pause_ms * 2**state.cooldowns)
            state.cooldowns += 1

    async def look(self, standing_ids: Sequence[UUID]) -> list[Standing]:
        now = self._clock() * 1000
        return [self._standing(self._states[standing_id], now) for standing_id in standing_ids]

    async def forget(self, standing_ids: Sequence[UUID]) -> None:
        for standing_id in standing_ids:
            self._states.pop(standing_id, None)

    def _standing(self, state: _State, now: float) -> Standing:
        minute, tokens = state.minute
        return Standing(
            failures=state.failures,
            cooldowns=state.cooldowns,
            cools_for_ms=_ceil(max(0.0, state.until - now)),
            first_token_ms=state.first_token_ms,
            busy=sum(until > now for until in state.busy.values()),
            tokens=tokens if minute == now // MINUTE_MS else 0,
            asked=state.asked,
            refused=state.refused,
        )


def _level(known: tuple[float, float] | None, limit: int | None, wanted: int, now: float) -> tuple[float, int]:
    """What is left of a limit a minute once `wanted` is taken, and how long to wait for it; a question larger than all waits for all."""
    if limit is None:
        return 0.0, 0
    left, at = known or (float(limit), now)
    left = min(float(limit), left + (now - at) * limit / MINUTE_MS)
    missing = min(wanted, limit) - left
    return (left - wanted, 0) if missing <= 0 else (left, max(1, _ceil(missing * MINUTE_MS / limit)))


def _take(state: _State, tokens: int, now: float) -> None:
    minute, taken = state.minute
    this = int(now // MINUTE_MS)
    state.minute = (this, max(0, tokens + (taken if minute == this else 0)))


def _ceil(number: float) -> int:
    return -int(-number // 1)
