"""Attempts: each call of a model, from the choice of a deployment to what it used and cost; and what a run's attempts add up to."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from inference.deployments import Deployment
from inference.models import (
    NO_USAGE,
    FailureKind,
    ModelEvent,
    ModelRequest,
    ProviderFailed,
    ReasoningDelta,
    TextDelta,
    Usage,
    estimated_usage,
)


class Attempt(msgspec.Struct, kw_only=True):
    """One call of a model. `number` counts from 1 over all of a run; `reason` says in words why this deployment was asked.

    `continues` says that it goes on with what an earlier attempt said. An attempt that has no end is still under way; its `usage` is
    what the question alone comes to.
    """

    number: int
    deployment: Deployment
    reason: str
    started_at: datetime
    continues: bool = False
    first_token_ms: int | None = None
    ended_at: datetime | None = None
    failure: FailureKind | None = None
    message: str | None = None
    usage: Usage = NO_USAGE

    @classmethod
    def imagined(cls, deployment: Deployment, reason: str) -> "Attempt":
        """One that nobody makes, for who wants to know who would be asked."""
        return cls(number=0, deployment=deployment, reason=reason, started_at=datetime.now(UTC))

    @property
    def cost(self) -> Decimal | None:
        """What it cost by the price that was in force; None where no price is known."""
        price = self.deployment.model.price
        return None if price is None else price.cost(self.usage)

    def end(self, usage: Usage, failure: ProviderFailed | None = None, message: str | None = None) -> None:
        """Note how it ended, once."""
        if self.ended_at is None:
            self.ended_at = datetime.now(UTC)
            self.usage = usage
            self.failure = None if failure is None else failure.kind
            self.message = message if failure is None else failure.message


class Counting:
    """What an attempt uses, by the provider's count or, until there is one, by what was said."""

    def __init__(self, request: ModelRequest) -> None:
        self.request = request
        self.usage: Usage | None = None
        self._bytes = {TextDelta: 0, ReasoningDelta: 0}

    def hear(self, event: ModelEvent) -> bool:
        """Count a delta; says whether it is the first."""
        is_first = not any(self._bytes.values())
        if isinstance(event, TextDelta | ReasoningDelta):
            self._bytes[type(event)] += len(event.text.encode())
        return is_first

    def used(self) -> Usage:
        """What it used; the question was read in any case."""
        said = self._bytes
        return self.usage or estimated_usage(self.request, output_bytes=said[TextDelta], reasoning_bytes=said[ReasoningDelta])

    def used_before(self, failure: ProviderFailed) -> Usage:
        """What it used before it failed: nothing, where it was refused."""
        return failure.usage or (self.used() if any(self._bytes.values()) else NO_USAGE)


def usage_of(attempts: Sequence[Attempt]) -> Usage:
    """What attempts used together."""
    fields = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
    sums = {name: sum(getattr(attempt.usage, name) for attempt in attempts) for name in fields}
    return Usage(**sums, estimated=any(attempt.usage.estimated for attempt in attempts))
