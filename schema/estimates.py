"""What an answer would cost, before anybody says anything."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any, ClassVar

import strawberry

from db.scopes import Row
from resolvers import estimates, models
from resolvers.operations import Operation
from schema.caching import KeptFor
from schema.fields import batch, column, query
from schema.links import visible
from schema.models import Model, ModelPrice
from schema.money import Money
from schema.routes import RunEstimateInput, idea_of


def _money(row: Row, amount: Decimal | None) -> Money | None:
    return None if amount is None or row["price"] is None else Money(amount=amount, currency=row["price"].currency)


def _max_costs(operation: Operation, rows: Sequence[Row], needed: object) -> list[Money | None]:  # noqa: ARG001 - a batch's arguments
    return [_money(row, row["max_cost"]) for row in rows]


def _expected_costs(operation: Operation, rows: Sequence[Row], needed: object) -> list[Money | None]:  # noqa: ARG001 - a batch's arguments
    return [_money(row, row["expected_cost"]) for row in rows]


def _prices(operation: Operation, rows: Sequence[Row], needed: object) -> list[Row | None]:  # noqa: ARG001 - a batch's arguments
    return [None if row["price"] is None else models.price_row(row["price"]) for row in rows]


@strawberry.type(description="What one answer would use and cost. Attempts that fail before it and are billed come on top.")
class CostEstimate:
    __source__: ClassVar[str] = "row"

    row: strawberry.Private[Any]

    input_tokens: int = column(
        "input_tokens",
        description="What the model would read, by the rule of thumb of four bytes a token.",
    )
    expected_output_tokens: int = column(
        "expected_output_tokens", description="How long the answer would be, as your latest answers of this model were on average."
    )
    max_output_tokens: int = column("max_output_tokens", description="How long the answer could be.")
    max_cost: Money | None = batch(
        _max_costs,
        needs=["max_cost", "price"],
        description="What it costs at most, at the dearest place and with a token a byte; null where a price is not known.",
    )
    expected_cost: Money | None = batch(
        _expected_costs, needs=["expected_cost", "price"], description="What it is likely to cost; null where no price is known."
    )
    price: ModelPrice | None = batch(_prices, needs=["price"], description="The price that the expected cost follows from.")
    model: Model = visible(models.by_ids, column="model_id", description="The model that would be asked first.")
    unavailable: str | None = column(
        "unavailable",
        description="Why the model cannot be asked now, in words: the estimate is of what it would cost with a key; else null.",
    )


Input = Annotated[RunEstimateInput, strawberry.argument(description="What you might say.")]


async def _estimate(operation: Operation, _: object, input: Input) -> CostEstimate:
    return CostEstimate(row=await estimates.cost(operation, idea_of(input)))


@strawberry.type
class Query:
    estimate_run: CostEstimate = query(
        _estimate,
        scopes=["models:read"],
        cost=20,
        kept_for=KeptFor.NOBODY,
        description="What an answer would use and cost, before it is asked for.",
    )
