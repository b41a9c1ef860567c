"""Who may be asked: what a question needs, which deployments fit, in what order a policy prefers them, and why, in words."""

import random
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec

from inference.deployments import Capability, Deployment, Policy, Strategy
from inference.models import ModelRequest, Usage, estimated_usage
from inference.standings import Booking, Hindrance, Standing

TEXT_ONLY: Final = frozenset({Capability.TEXT})
# Whose strategies look at how deployments stand now.
LIVE: Final = frozenset({Strategy.LEAST_LATENCY, Strategy.LEAST_BUSY, Strategy.USAGE})
_MOST_TOLD: Final = 5


class Need(msgspec.Struct, frozen=True):
    """What a question asks of a deployment: about so many tokens to read, at most so many to write, and what the model must be able to."""

    input_tokens: int
    output_tokens: int
    capabilities: frozenset[Capability] = TEXT_ONLY

    @classmethod
    def of(cls, request: ModelRequest, capabilities: frozenset[Capability] = TEXT_ONLY) -> "Need":
        return cls(estimated_usage(request, output_bytes=0).input_tokens, request.max_output_tokens, capabilities)


class Choice(msgspec.Struct, frozen=True):
    """A deployment that fits, and why it stands where it does in the order."""

    deployment: Deployment
    why: str


def named(deployment: Deployment) -> str:
    """A deployment in words."""
    return deployment.model.key if deployment.region is None else f"{deployment.model.key} in {deployment.region}"


def misfit(deployment: Deployment, need: Need, policy: Policy) -> str | None:
    """Say why a deployment can never answer this, or None."""
    if lacking := sorted(need.capabilities - deployment.model.capabilities):
        return f"no {', '.join(lacking)}"
    if not policy.allows(deployment):
        return "not in an allowed region"
    if need.input_tokens + deployment.model.reserved(need.output_tokens) > deployment.model.context_tokens:
        return "the conversation is too long for it"
    return None


def misfits(policy: Policy, need: Need) -> list[tuple[Deployment, str]]:
    """Return the candidates of a policy that can never answer this, each with why."""
    return [(one, why) for one in policy.candidates if (why := misfit(one, need, policy)) is not None]


def cooling(standing: Standing) -> str:
    """Say for how long a deployment is left alone."""
    return f"cooling down for {standing.cools_for_ms / 1000:.1f} s"


def hindered(booking: Booking) -> str:
    """Say why a deployment may not be asked now."""
    seconds = f"{booking.wait_ms / 1000:.1f} s"
    return {
        Hindrance.COOLDOWN: f"cooling down for {seconds}",
        Hindrance.PROBE: "somebody is trying whether it works again",
        Hindrance.RPM: f"at its limit of requests for {seconds}",
        Hindrance.TPM: f"at its limit of tokens for {seconds}",
    }[booking.hindrance or Hindrance.COOLDOWN]


def in_words(why: str, passed: Sequence[tuple[Deployment, str]]) -> str:
    """The reason for a choice: what spoke for it, and who was passed over."""
    if not passed:
        return why
    told = [f"{named(deployment)} ({because})" for deployment, because in passed[:_MOST_TOLD]]
    more = len(passed) - len(told)
    return f"{why} Passed over: {', '.join(told)}{f' and {more} more' if more else ''}."


def ordered(  # noqa: PLR0913 - what an order depends on
    deployments: Sequence[Deployment],
    policy: Policy,
    need: Need,
    standings: Mapping[UUID, Standing],
    *,
    sticky: UUID | None,
    chance: random.Random,
) -> list[Choice]:
    """Put the deployments that fit into the policy's order, the one that the chat was answered by last first."""
    if len(deployments) == 1:
        return [Choice(deployments[0], "It is the only one that fits.")]
    made = _ORDERS[policy.strategy](deployments, need, standings, chance)
    last = [Choice(one.deployment, "It answered this chat last, and may still have in mind what it read.") for one in made]
    return [one for one in last if one.deployment.id == sticky] + [one for one in made if one.deployment.id != sticky]


Order = Callable[[Sequence[Deployment], Need, Mapping[UUID, Standing], random.Random], list[Choice]]


def _by_priority(deployments: Sequence[Deployment], _: Need, __: Mapping[UUID, Standing], chance: random.Random) -> list[Choice]:
    drawn = sorted(_drawn(deployments, chance), key=lambda one: one.order)
    return [Choice(one, f"It comes first in the policy's order, at {one.order}.") for one in drawn]


def _by_weight(deployments: Sequence[Deployment], _: Need, __: Mapping[UUID, Standing], chance: random.Random) -> list[Choice]:
    total = sum(one.weight for one in deployments)
    return [Choice(one, f"It was drawn by lot, with a weight of {one.weight} in {total}.") for one in _drawn(deployments, chance)]


def _by_latency(deployments: Sequence[Deployment], _: Need, known: Mapping[UUID, Standing], chance: random.Random) -> list[Choice]:
    """Who was never measured comes first, or it never would be."""

    def why(one: Deployment) -> str:
        after = known[one.id].first_token_ms
        return "Its first token was not measured yet." if after is None else f"Its first token comes soonest, after about {after:.0f} ms."

    made = sorted(_drawn(deployments, chance), key=lambda one: known[one.id].first_token_ms or 0.0)
    return [Choice(one, why(one)) for one in made]


def _by_cost(deployments: Sequence[Deployment], need: Need, _: Mapping[UUID, Standing], chance: random.Random) -> list[Choice]:
    """By what the question costs at most; what has no price comes last."""
    used = Usage(input_tokens=need.input_tokens, output_tokens=need.output_tokens)
    costs = {one.id: None if one.model.price is None else one.model.price.cost(used) for one in deployments}

    def why(one: Deployment) -> str:
        cost, price = costs[one.id], one.model.price
        if cost is None or price is None:
            return "Nobody knows what any of them costs."
        return f"It costs least, at most about {cost.normalize():f} {price.currency}."

    made = sorted(_drawn(deployments, chance), key=lambda one: (costs[one.id] is None, costs[one.id] or Decimal(0)))
    return [Choice(one, why(one)) for one in made]


def _by_business(deployments: Sequence[Deployment], _: Need, known: Mapping[UUID, Standing], chance: random.Random) -> list[Choice]:
    made = sorted(_drawn(deployments, chance), key=lambda one: known[one.id].busy)
    return [Choice(one, f"It is the least busy, with {known[one.id].busy} answers under way.") for one in made]


def _by_usage(deployments: Sequence[Deployment], _: Need, known: Mapping[UUID, Standing], chance: random.Random) -> list[Choice]:
    """By the share of its limit that this minute has used, and where there is no limit by the tokens alone."""

    def used(one: Deployment) -> tuple[float, int]:
        tokens = known[one.id].tokens
        return (0.0 if one.tpm is None else tokens / one.tpm, tokens)

    made = sorted(_drawn(deployments, chance), key=used)
    return [Choice(one, f"It was used least this minute, with {known[one.id].tokens} tokens.") for one in made]


def _drawn(deployments: Sequence[Deployment], chance: random.Random) -> list[Deployment]:
    """All of them in an order drawn by their weights, without putting back (Efraimidis and Spirakis, 2006)."""
    return sorted(deployments, key=lambda one: chance.random() ** (1 / max(one.weight, 1)), reverse=True)


_ORDERS: Final[dict[Strategy, Order]] = {
    Strategy.PRIORITY: _by_priority,
    Strategy.WEIGHTED: _by_weight,
    Strategy.LEAST_LATENCY: _by_latency,
    Strategy.LEAST_COST: _by_cost,
    Strategy.LEAST_BUSY: _by_business,
    Strategy.USAGE: _by_usage,
}
