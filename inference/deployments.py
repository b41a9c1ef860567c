"""What can be asked, as plain values: models and their prices, the deployments that serve them, and the policies that choose."""

from collections.abc import Collection, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, Literal, Protocol, TypeVar
from uuid import UUID, uuid5

import msgspec

from inference.models import FailureKind, Usage
from settings import Secret

MILLION: Final = 1_000_000

Wire = Literal["openai", "responses", "anthropic", "scripted"]


class Capability(StrEnum):
    """What a model can do; PREFILL: it goes on with an assistant's message that stands last."""

    TEXT = "TEXT"
    VISION = "VISION"
    AUDIO = "AUDIO"
    TOOLS = "TOOLS"
    PARALLEL_TOOLS = "PARALLEL_TOOLS"
    STRUCTURED_OUTPUT = "STRUCTURED_OUTPUT"
    REASONING = "REASONING"
    PREFILL = "PREFILL"
    PROMPT_CACHE = "PROMPT_CACHE"
    EMBEDDING = "EMBEDDING"
    RERANK = "RERANK"
    IMAGE_OUT = "IMAGE_OUT"


class CredentialOwner(StrEnum):
    """Whose key pays. Only a PLATFORM deployment's address is trusted; all others are dialled through the public door."""

    PLATFORM = "PLATFORM"
    TENANT = "TENANT"
    USER = "USER"


class Strategy(StrEnum):
    PRIORITY = "PRIORITY"
    WEIGHTED = "WEIGHTED"
    LEAST_LATENCY = "LEAST_LATENCY"
    LEAST_COST = "LEAST_COST"
    LEAST_BUSY = "LEAST_BUSY"
    USAGE = "USAGE"


class MidStream(StrEnum):
    """What becomes of an answer that breaks after its first token."""

    TERMINATE = "TERMINATE"
    RESTART = "RESTART"
    CONTINUE_PARTIAL = "CONTINUE_PARTIAL"


class PriceSource(StrEnum):
    """Who says what it costs: the public catalogue, the operator, or the tenant's own contract."""

    CATALOGUE = "CATALOGUE"
    PLATFORM = "PLATFORM"
    TENANT_CONTRACT = "TENANT_CONTRACT"


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """What a million tokens of each class cost; None costs what its neighbour does.

    Cache reads and writes are input that the provider kept, so without a price of their own they cost as input; reasoning costs as
    output.
    """

    input: Decimal
    output: Decimal
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    reasoning: Decimal | None = None

    def of(self, usage: Usage) -> Decimal:
        """What these tokens cost at these rates, to the last digit."""
        read = self.input if self.cache_read is None else self.cache_read
        written = self.input if self.cache_write is None else self.cache_write
        thought = self.output if self.reasoning is None else self.reasoning
        total = (
            usage.input_tokens * self.input
            + usage.output_tokens * self.output
            + usage.cache_read_tokens * read
            + usage.cache_write_tokens * written
            + usage.reasoning_tokens * thought
        )
        return total / MILLION


class LongRates(Rates, frozen=True, kw_only=True):
    """What all tokens of a request cost whose input, cached or not, has more than `above` tokens."""

    above: int


class Price(Rates, frozen=True, kw_only=True):
    """Rates with dates: they hold from `effective_from` until `effective_to`. The operator's `markup_percent` comes on top."""

    version: str
    currency: str = "USD"
    effective_from: datetime | None = None
    effective_to: datetime | None = None
    id: UUID | None = None
    source: PriceSource = PriceSource.CATALOGUE
    markup_percent: Decimal | None = None
    long: LongRates | None = None

    def cost(self, usage: Usage) -> Decimal:
        """What these tokens cost, to the last digit."""
        read = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
        rates = self if self.long is None or read <= self.long.above else self.long
        return rates.of(usage) * (1 + (self.markup_percent or 0) / Decimal(100))


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model as users know it; `price` is the one in force, where it is known."""

    id: UUID
    key: str
    name: str
    context_tokens: int
    max_output_tokens: int
    capabilities: frozenset[Capability] = frozenset({Capability.TEXT})
    price: Price | None = None

    def reserved(self, wanted: int) -> int:
        """How much of the context is kept free for an answer of which so many tokens are wanted: no more than the model gives, nor half.

        A model may hold less than the longest answer that is asked for, and must be able to read something all the same.
        """
        return min(wanted, self.max_output_tokens, max(1, self.context_tokens // 2))


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """One place where a model can be asked, and how much: `tpm` tokens and `rpm` requests a minute, None for no limit.

    A lower `order` is preferred by PRIORITY; `weight` shares out among equals. `remote_name` is what the model is called there.
    `credential_id` names the key where it is a tenant's or a member's, and `tenant_id` that tenant.
    """

    id: UUID
    model: Model
    wire: Wire
    base_url: str
    remote_name: str
    api_key: Secret = Secret("")
    region: str | None = None
    weight: int = 1
    order: int = 0
    tpm: int | None = None
    rpm: int | None = None
    owner: CredentialOwner = CredentialOwner.PLATFORM
    credential_id: UUID | None = None
    tenant_id: UUID | None = None

    @property
    def standing_id(self) -> UUID:
        """As what its health and limits are kept."""
        return standing_of(self.id, self.credential_id)


def standing_of(deployment_id: UUID, credential_id: UUID | None) -> UUID:
    """As what is kept how a deployment stands: apart for each key, so that nobody's bad key keeps others away."""
    return deployment_id if credential_id is None else uuid5(credential_id, f"standing/{deployment_id}")


class FallbackRule(msgspec.Struct, frozen=True, kw_only=True):
    """After one of these failures, these deployments are asked: those of the models that the rule names, in the rule's order."""

    on: frozenset[FailureKind]
    to: tuple[Deployment, ...]


class Somewhere(Protocol):
    """What is in a region, or in none."""

    @property
    def region(self) -> str | None: ...


S = TypeVar("S", bound=Somewhere)


def is_allowed(region: str | None, regions: Collection[str]) -> bool:
    """Whether a place in a region may be asked; without regions any may."""
    return not regions or region in regions


def readers_among(candidates: Sequence[S], wider: Sequence[S], regions: Collection[str]) -> Sequence[S]:
    """The places that may be given a question before any has failed: the candidates, and those that follow if it is too long.

    Where none of them is in an allowed region, the candidates.
    """
    return [one for one in (*candidates, *wider) if is_allowed(one.region, regions)] or candidates


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How a deployment is chosen, and what follows a failure. `id` is None for what the platform does by itself.

    `max_retries` bounds all attempts after the first. No allowed regions means that any will do.
    """

    id: UUID | None
    name: str
    candidates: tuple[Deployment, ...]
    strategy: Strategy = Strategy.PRIORITY
    fallbacks: tuple[FallbackRule, ...] = ()
    max_retries: int = 2
    sticky: bool = True
    mid_stream: MidStream = MidStream.TERMINATE
    allowed_regions: frozenset[str] = frozenset()

    @property
    def readers(self) -> Sequence[Model]:
        """The models that may be given a question, as `readers_among` says."""
        return [one.model for one in readers_among(self.candidates, self.fallbacks_on(FailureKind.CONTEXT_WINDOW), self.allowed_regions)]

    @property
    def places(self) -> Sequence[Deployment]:
        """All that may be asked, at first or after a failure."""
        return [*self.candidates, *(deployment for rule in self.fallbacks for deployment in rule.to)]

    def allows(self, deployment: Deployment) -> bool:
        """Whether a deployment is where it may be asked."""
        return is_allowed(deployment.region, self.allowed_regions)

    def fallbacks_on(self, kind: FailureKind) -> Sequence[Deployment]:
        """The deployments to ask after such a failure, in order."""
        return [deployment for rule in self.fallbacks if kind in rule.on for deployment in rule.to]
