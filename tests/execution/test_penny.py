"""PENNY's own schema: what several viewers ask about real rows, the compiler and graphql-core answer alike."""

from random import Random
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loaders.loaders import Loaders
from tests.execution.comparing import Answer
from tests.execution.documents import Style, Writer
from tests.execution.stories import Story
from tests.execution.trials import EXAMPLES, SEARCH, judge_of
from web.documents import DocumentIsBad, Prepared

pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")

VIEWERS: Final = (*["owner"] * 6, *["member"] * 4, "reader", "key", "stranger", "nobody")
# Most of what is asked can be answered: a bad page size or cursor empties all that stands beside it.
LIKELY: Final = {"first": 0.98, "last": 0.02, "before": 0.02, "after": 0.04, "leaf": 0.1, "updatedBetween": 0.1}
# Where the events are by now differs from one moment to the next.
STYLE: Final = Style(depth=6, longest=12, likely=LIKELY, avoid=frozenset({"Query.eventCursor"}))


@given(random=st.randoms(use_true_random=True))
@settings(SEARCH, max_examples=max(1, EXAMPLES // 5))
async def test_questions_about_real_rows_are_answered_as_graphql_core_does(story: Story, random: Random) -> None:
    await check(story, random, random.sample(VIEWERS, 2))


@pytest.mark.parametrize(
    "question", ["user_by_id", "chat_by_id", "message_by_id", "children_by_message", "messages_by_branch", "run_by_id"]
)
async def test_a_question_that_fails_is_told_as_graphql_core_does(story: Story, monkeypatch: pytest.MonkeyPatch, question: str) -> None:
    async def broken(*_: object) -> object:
        raise RuntimeError(f"{question} is broken")

    monkeypatch.setattr(vars(Loaders)[question], "_ask", broken)
    for seed in range(max(1, EXAMPLES // 60)):
        await check(story, Random(seed), ["owner"])


async def check(story: Story, random: Random, viewers: list[str]) -> None:
    """Ask one random question as several viewers; what would cost too much is not asked."""
    writer = Writer(story.door.schema, random, story.pools, STYLE)
    written = writer.document("Query")
    for who in viewers:
        variables = writer.variables(written, strange=random.choice([0, 0, 0, 0.05]))
        if (prepared := affordable(story, written.text, variables)) is not None:
            found = await difference(story, who, prepared, variables)
            assert found is None, f"{found}\n{who} asks with {variables}:\n{written.text}"


def affordable(story: Story, text: str, variables: dict[str, Any]) -> Prepared | None:
    """Prepare an operation, unless its cost or its depth is beyond the limits."""
    try:
        return story.door.documents.prepare(text, None, variables)
    except DocumentIsBad as bad:
        if {(error.extensions or {})["code"] for error in bad.errors} <= {"COST_LIMIT", "DEPTH_LIMIT"}:
            return None
        raise


async def difference(story: Story, who: str, prepared: Prepared, variables: dict[str, Any]) -> str | None:
    """Run an operation both ways and say how the answers differ, or return None."""
    assert story.door.compiled(prepared) is not None
    compiled = Answer.of(await story.door.run(prepared, story.context(who), variables))
    reference = Answer.of(await story.judge.run(prepared, story.context(who), variables))
    if compiled == reference:
        return None
    judge = await judge_of(story.door.schema, prepared.document, prepared.operation, story.context(who), variables)
    return judge.difference(compiled, reference)
