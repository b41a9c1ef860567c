"""What answers used: tokens, and what they cost."""

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import msgspec
import strawberry

from db.scopes import Row
from inference.models import Usage
from resolvers import usages
from resolvers.operations import Operation
from schema.fields import batch, column
from schema.money import Money
from schema.scalars import BigInt

COLUMNS: Final = (
    "id", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "usage_estimated",
)  # fmt: skip


async def _costs(operation: Operation, rows: Sequence[Row], needed: object) -> list[Money | None]:  # noqa: ARG001 - a batch's arguments
    found = await usages.costs(operation, rows)
    return [None if one is None else Money(amount=one.amount, currency=one.currency) for one in found]


@strawberry.type(description="What was used: tokens in five classes that do not overlap, and what they cost.")
class UsageTotals:
    __source__: ClassVar[str] = "row"

    row: strawberry.Private[Any]

    input_tokens: BigInt = column("input_tokens", description="Tokens that the model read anew.")
    output_tokens: BigInt = column("output_tokens", description="Tokens of the answer.")
    cache_read_tokens: BigInt = column("cache_read_tokens", description="Tokens that the provider had read before.")
    cache_write_tokens: BigInt = column("cache_write_tokens", description="Tokens that the provider keeps for the next time.")
    reasoning_tokens: BigInt = column("reasoning_tokens", description="Tokens that the model thought before its answer.")
    estimated: bool = column("usage_estimated", description="Whether PENNY counted by rule of thumb, because the provider did not.")
    cost: Money | None = batch(
        _costs,
        needs=["id"],
        description="What all attempts cost together, those that failed too; null while one of a run goes on, before the first, in a "
        "`UsageTick`, and where an attempt's price is not known or attempts were paid in several currencies.",
    )
    price_versions: list[str] = batch(
        usages.price_versions,
        needs=["id"],
        description="The versions of the prices that the attempts were counted by, each once, a run's in the order of its attempts; "
        "empty in a `UsageTick`.",
    )


def so_far(usage: Usage) -> Row:
    """Spell a count that is told while a run goes on as its row would: without the run, which nobody asks for its attempts then."""
    counted = msgspec.structs.asdict(usage)
    return {"id": None, "usage_estimated": counted.pop("estimated"), **counted}
