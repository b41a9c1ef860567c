"""Attempts are counted by what they were and how they ended, and never by a name that a tenant gave."""

from uuid import uuid4

import pytest

from inference.deployments import CredentialOwner, Deployment, Model
from inference.metrics import ATTEMPTS, TOKENS, USAGE, count_end
from inference.models import FailureKind, Usage
from telemetry.instruments import OTHER

USED = Usage(input_tokens=10, output_tokens=20, cache_read_tokens=3, cache_write_tokens=4, reasoning_tokens=5)


def deployment(owner: CredentialOwner) -> Deployment:
    model = Model(id=uuid4(), key="acme/secret-project", name="Secret", context_tokens=10, max_output_tokens=10)
    return Deployment(id=uuid4(), model=model, wire="responses", base_url="", remote_name="x", owner=owner)


@pytest.mark.parametrize(
    ("owner", "name"),
    [(CredentialOwner.PLATFORM, "acme/secret-project"), (CredentialOwner.TENANT, OTHER), (CredentialOwner.USER, OTHER)],
)
def test_a_model_is_named_only_where_the_operator_offers_it(owner: CredentialOwner, name: str) -> None:
    counted = ATTEMPTS.of("chat", "openai", name, "TIMEOUT")
    before = sum(counted.counts)
    count_end(deployment(owner), 1.5, USED, FailureKind.TIMEOUT)
    assert sum(counted.counts) == before + 1
    assert counted.attributes["gen_ai.request.model"] == name


def test_each_token_is_in_one_class_and_either_read_or_written() -> None:
    before = {one: TOKENS.of(one).value for one in ("input", "output", "cache_read", "cache_write", "reasoning")}
    spreads = {kind: USAGE.of("chat", "openai", OTHER, kind) for kind in ("input", "output")}
    sums = {kind: spread.sum for kind, spread in spreads.items()}
    count_end(deployment(CredentialOwner.TENANT), 1.5, USED, None)
    assert {one: TOKENS.of(one).value - value for one, value in before.items()} == {
        "input": 10, "output": 20, "cache_read": 3, "cache_write": 4, "reasoning": 5,
    }  # fmt: skip
    assert {kind: spread.sum - sums[kind] for kind, spread in spreads.items()} == {"input": 17, "output": 25}
