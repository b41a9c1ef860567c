"""Random operations over random schemas are answered alike by the compiler and by graphql-core."""

import asyncio
import gc
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.execution.trials import SCHEMAS, SEARCH, Trial

# graphql-core cancels work that an error made useless, and leaves its coroutines behind.
pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as opened:
        yield opened
    gc.collect()


@given(random=st.randoms(use_true_random=True), schema=st.sampled_from(SCHEMAS))
@SEARCH
def test_a_compiled_operation_answers_as_graphql_core_does(runner: asyncio.Runner, random: Random, schema: int) -> None:
    trial = Trial.drawn(random, schema)
    difference = runner.run(trial.difference())
    assert difference is None, f"{difference}\n{trial}"
