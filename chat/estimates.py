"""What an answer would cost, before anybody says anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

from auth.viewers import Viewer
from chat.contexts import MESSAGE_TOKENS, Given
from chat.drafts import check_length, check_texts
from chat.ideas import Idea, Ideas
from db.scopes import Reads
from db.statements import runs
from inference.deployments import Policy, Price
from inference.models import ModelRequest, Usage, estimated_usage
from inference.offers import ModelIsUnavailable
from settings import Settings

# Of how many of a person's latest answers the usual length is taken.
LATEST: Final = 100


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What one answer would use and cost; costs are None where no price is known, or prices are in several currencies.

    `unavailable` says why the model could not be asked now, where that is so.
    """

    model_id: UUID
    input_tokens: int
    expected_output_tokens: int
    max_output_tokens: int
    price: Price | None
    expected_cost: Decimal | None
    max_cost: Decimal | None
    unavailable: str | None


class _Asked(NamedTuple):
    """What would be asked: which model, the one that was chosen, what it would be given, and all prices that the answer might have."""

    model_id: UUID
    chosen: UUID | None
    given: Given
    prices: Sequence[Price | None]
    unavailable: str | None = None


class Estimates:
    """Thinks through what a viewer might say. Whether they may read the chat was checked before."""

    def __init__(self, *, ideas: Ideas, settings: Settings) -> None:
        self._ideas = ideas
        self._settings = settings

    async def cost(self, viewer: Viewer, idea: Idea, reads: Reads) -> Estimate:
        """Estimate an answer; raises what saying it would raise, but for a model that cannot be asked now."""
        check_texts(idea.texts, self._settings)
        check_length(idea.max_output_tokens)
        asked = await self._asked(viewer, idea, reads)
        request = asked.given.request()
        used, longest = estimated_usage(request, output_bytes=0), request.max_output_tokens
        async with reads.reading(viewer.tenant_id) as scope:
            usual = await runs.usual_output(scope, viewer.tenant_id, viewer.user_id, asked.chosen, latest=LATEST)
        expected = min(self._settings.estimate_output_tokens if usual is None else usual, longest)
        price = asked.prices[0]
        return Estimate(
            model_id=asked.model_id,
            input_tokens=used.input_tokens,
            expected_output_tokens=expected,
            max_output_tokens=longest,
            price=price,
            expected_cost=None if price is None else price.cost(Usage(input_tokens=used.input_tokens, output_tokens=expected)),
            max_cost=highest_cost(asked.prices, most_input_tokens(request), longest),
            unavailable=asked.unavailable,
        )

    async def _asked(self, viewer: Viewer, idea: Idea, reads: Reads) -> _Asked:
        """Prepare the question; for a model that cannot be asked, as it would be with a key."""
        try:
            prepared = await self._ideas.prepared(viewer, idea, reads)
        except ModelIsUnavailable as error:
            model, given = await self._ideas.looked_at(viewer, idea, reads)
            return _Asked(model.id, idea.model_id, given, [model.price], error.message)
        return _Asked(prepared.model_id, prepared.chosen, prepared.given, _prices(prepared.policy))


def most_input_tokens(request: ModelRequest) -> int:
    """A bound for what any tokenizer makes of it: byte-level ones make no more tokens than there are bytes."""
    return sum(len(message.text.encode()) + MESSAGE_TOKENS for message in request.messages)


def highest_cost(prices: Sequence[Price | None], input_tokens: int, output_tokens: int) -> Decimal | None:
    """What one answer costs at most, in whichever class its tokens count; None unless all prices are known and in one currency."""
    known = [price for price in prices if price is not None]
    if len(known) < len(prices) or len({price.currency for price in known}) != 1:
        return None
    nothing: dict[str, Any] = {"input_tokens": 0, "output_tokens": 0}
    worst = [
        Usage(**(nothing | {read: input_tokens, written: output_tokens}))
        for read in ("input_tokens", "cache_write_tokens")
        for written in ("output_tokens", "reasoning_tokens")
    ]
    return max(price.cost(usage) for price in known for usage in worst)


def _prices(policy: Policy) -> list[Price | None]:
    """The prices of all that a policy may lead to."""
    fallbacks = [deployment for rule in policy.fallbacks for deployment in rule.to]
    return [deployment.model.price for deployment in (*policy.candidates, *fallbacks)]
