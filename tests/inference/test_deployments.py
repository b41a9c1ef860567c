"""What tokens cost, and what a policy says of failures."""

from decimal import Decimal
from uuid import uuid4

import pytest

from inference.deployments import Deployment, FallbackRule, Model, Policy, Price
from inference.models import FailureKind, Usage

USED = Usage(input_tokens=1_000_000, output_tokens=2_000_000, cache_read_tokens=4_000_000, cache_write_tokens=8_000_000, reasoning_tokens=3)


@pytest.mark.parametrize(
    ("price", "cost"),
    [
        (Price(version="1", input=Decimal(1), output=Decimal(10)), "33.00003"),
        (Price(version="1", input=Decimal(1), output=Decimal(10), cache_read=Decimal("0.1")), "29.40003"),
        (Price(version="1", input=Decimal(1), output=Decimal(10), cache_write=Decimal("1.25")), "35.00003"),
        (Price(version="1", input=Decimal(1), output=Decimal(10), reasoning=Decimal(0)), "33"),
    ],
)
def test_each_class_of_tokens_costs_once_and_without_a_price_of_its_own_what_its_neighbour_does(price: Price, cost: str) -> None:
    assert price.cost(USED) == Decimal(cost)


def deployment(key: str) -> Deployment:
    model = Model(id=uuid4(), key=key, name=key, context_tokens=1000, max_output_tokens=100)
    return Deployment(id=uuid4(), model=model, wire="scripted", base_url="", remote_name=key)


def test_a_failure_leads_to_the_deployments_of_all_rules_that_name_it_in_their_order() -> None:
    long, safe, cheap = map(deployment, ("long", "safe", "cheap"))
    rules = (
        FallbackRule(on=frozenset({FailureKind.CONTEXT_WINDOW}), to=(long,)),
        FallbackRule(on=frozenset({FailureKind.CONTENT_POLICY, FailureKind.CONTEXT_WINDOW}), to=(safe, cheap)),
    )
    policy = Policy(id=None, name="any", candidates=(cheap,), fallbacks=rules)
    assert policy.fallbacks_on(FailureKind.CONTEXT_WINDOW) == [long, safe, cheap]
    assert policy.fallbacks_on(FailureKind.CONTENT_POLICY) == [safe, cheap]
    assert policy.fallbacks_on(FailureKind.TIMEOUT) == []
