"""Amounts of money."""

from decimal import Decimal

import strawberry


@strawberry.type(description="An amount of money, exact.")
class Money:
    amount: Decimal = strawberry.field(description="How much, to the last digit.")
    currency: str = strawberry.field(description="The currency: ISO 4217.")
