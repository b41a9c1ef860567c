"""What lost steps come to, by what is known of them: each call counts once, and none that nobody made."""

from typing import Any

from chat.steps import lost_steps
from inference.models import NO_USAGE, Usage

QUESTION = Usage(input_tokens=30, output_tokens=0, estimated=True)
NOTHING = {"text": 0, "reasoning": 0}


def step(number: int, *, text: int = 0, outcome: str = "OPEN") -> dict[str, Any]:
    return {"step": number, "text_bytes": text, "reasoning_bytes": 0, "outcome": outcome}


def test_an_open_attempt_says_that_somebody_was_asked_though_neither_log_nor_words_are_there() -> None:
    for told in (NOTHING, None):
        (lost,) = lost_steps([step(1)], asked={1: QUESTION}, closed={}, told=told)
        assert (lost.usage, lost.open_usage) == (QUESTION, QUESTION)


def test_a_step_that_asked_nobody_used_nothing() -> None:
    (lost,) = lost_steps([step(1)], asked={}, closed={}, told=NOTHING)
    assert (lost.usage, lost.open_usage) == (NO_USAGE, NO_USAGE)


def test_what_was_told_beyond_all_that_was_saved_is_the_last_one_s() -> None:
    rows = [step(1, text=40, outcome="HANDED_OVER"), step(2, text=8), step(3)]
    second, third = lost_steps(rows, asked={2: QUESTION}, closed={}, told={"text": 60, "reasoning": 0})
    assert (second.said["text"], second.open_usage.output_tokens, second.open_usage.input_tokens) == (20, 5, 30)
    assert (third.said["text"], third.usage) == (0, NO_USAGE)


def test_a_step_all_of_whose_calls_had_ended_used_what_they_did() -> None:
    """Its worker was lost after the last word and before the end: no call was open, and none is made up."""
    counted = Usage(input_tokens=70, output_tokens=4)
    (lost,) = lost_steps([step(1, text=20)], asked={}, closed={1: counted}, told={"text": 24, "reasoning": 0})
    assert (lost.said["text"], lost.usage, lost.open_usage) == (24, counted, NO_USAGE)


def test_what_earlier_calls_of_a_step_said_is_not_the_open_one_s() -> None:
    failed = Usage(input_tokens=70, output_tokens=4)
    (lost,) = lost_steps([step(1, text=40)], asked={1: QUESTION}, closed={1: failed})
    assert (lost.open_usage.input_tokens, lost.open_usage.output_tokens) == (30, 6)
    assert lost.usage == failed + lost.open_usage
