"""The scripted model does what its script says, always in the same way."""

import time

import pytest

from inference import scripted
from inference.models import (
    FailureKind,
    Finished,
    ModelEvent,
    ModelMessage,
    ModelRequest,
    ProviderFailed,
    ReasoningDelta,
    StopReason,
    TextDelta,
    Usage,
)
from inference.providers import Providers
from inference.scripted import ScriptedProvider
from tests.inference.conftest import Make, asking, deployment_at, until_failure
from tests.inference.fault_server import FaultServer


async def answer(text: str, *, max_output_tokens: int = 100) -> list[ModelEvent]:
    provider = ScriptedProvider(token_ms=0, silence_seconds=0.05)
    return [event async for event in provider.stream(asking(text, max_output_tokens=max_output_tokens))]


def texts(events: list[ModelEvent]) -> list[str]:
    return [event.text for event in events if isinstance(event, TextDelta)]


async def test_without_a_script_it_repeats_the_last_user_message_to_the_letter() -> None:
    said = "  Hello  there,\n\n  東京! "
    assert "".join(texts(await answer(said))) == said
    assert texts(await answer("one two three")) == ["one ", "two ", "three"]


async def test_only_the_last_user_message_counts() -> None:
    messages = (ModelMessage("user", "!script tokens=1"), ModelMessage("assistant", "word0 "), ModelMessage("user", "again"))
    request = ModelRequest(messages=messages, max_output_tokens=9)
    events = [event async for event in ScriptedProvider(token_ms=0, silence_seconds=1).stream(request)]
    assert events == [TextDelta("again"), Usage(input_tokens=4, output_tokens=1), Finished(StopReason.END_TURN)]


async def test_tokens_are_numbered_and_counted() -> None:
    events = await answer("!script tokens=3")
    usage = Usage(input_tokens=4, output_tokens=3)
    assert events == [TextDelta("word0 "), TextDelta("word1 "), TextDelta("word2 "), usage, Finished(StopReason.END_TURN)]
    assert await answer("!script tokens=3") == events


async def test_a_text_may_be_given() -> None:
    assert texts(await answer('!script text="to be or not"')) == ["to ", "be ", "or ", "not"]


async def test_it_thinks_before_it_speaks() -> None:
    events = await answer("!script reasoning=2 tokens=1")
    assert events[:3] == [ReasoningDelta("thought0 "), ReasoningDelta("thought1 "), TextDelta("word0 ")]
    assert events[3] == Usage(input_tokens=5, output_tokens=1, reasoning_tokens=2)


async def test_an_answer_is_cut_at_the_longest_that_was_asked_for() -> None:
    events = await answer("!script tokens=10 fail_at=4", max_output_tokens=4)
    assert len(texts(events)) == 4
    assert events[-1] == Finished(StopReason.MAX_TOKENS)
    assert (await answer("!script tokens=4", max_output_tokens=4))[-1] == Finished(StopReason.END_TURN)


@pytest.mark.parametrize("reason", StopReason)
async def test_the_reason_to_stop_may_be_given(reason: StopReason) -> None:
    assert (await answer(f"!script tokens=1 finish={reason}"))[-1] == Finished(reason)


@pytest.mark.parametrize("at", [0, 2, 5])
async def test_it_fails_where_it_is_told_to(at: int) -> None:
    stream = ScriptedProvider(token_ms=0, silence_seconds=1).stream(
        asking(f"!script tokens=5 fail_at={at} kind=RATE_LIMIT retry_after_ms=9")
    )
    said, failed = await until_failure(stream)
    assert texts(said) == [f"word{number} " for number in range(at)]
    assert (failed.kind, failed.retry_after_ms) == (FailureKind.RATE_LIMIT, 9)


@pytest.mark.parametrize(
    "script", ["tokens", "tokens=many", "tokens=-1", "tokens=9999999999", "tokns=5", "kind=NOPE", 'text="open', "delay_ms=nan"]
)
async def test_a_mistake_in_a_script_is_a_failure_that_does_not_repeat_it(script: str) -> None:
    with pytest.raises(ProviderFailed) as caught:
        await answer(f"!script {script}")
    assert (caught.value.kind, caught.value.status) == (FailureKind.SERVER_ERROR, 400)
    assert script not in str(caught.value)


async def test_the_pause_is_the_setting_unless_the_script_names_one(
    make_settings: Make, fault_server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def pause(milliseconds: float) -> None:
        pauses.append(milliseconds)

    monkeypatch.setattr(scripted, "_pause", pause)
    settings = make_settings(scripted_token_ms=20.0)
    providers = Providers(settings)
    provider = providers.of(deployment_at(fault_server, "scripted"))
    for script, between in (("", 20.0), (" delay_ms=0", 0.0), (" delay_ms=7", 7.0)):
        pauses.clear()
        assert len(texts([event async for event in provider.stream(asking(f"!script tokens=6{script}"))])) == 6
        assert pauses.count(between) >= 5
    await providers.close()


async def test_the_first_token_may_be_late() -> None:
    begun = time.perf_counter()
    await answer("!script tokens=1 first_ms=50")
    assert time.perf_counter() - begun >= 0.05


async def test_it_falls_silent_for_as_long_as_a_silence_may_last() -> None:
    begun = time.perf_counter()
    said, failed = await until_failure(ScriptedProvider(token_ms=0, silence_seconds=0.05).stream(asking("!script hang_at=2")))
    assert time.perf_counter() - begun >= 0.05
    assert texts(said) == ["word0 ", "word1 "]
    assert failed.kind is FailureKind.TIMEOUT


async def test_it_goes_on_from_the_beginning_of_an_answer_and_does_not_think_again() -> None:
    provider = ScriptedProvider(token_ms=0, silence_seconds=0.05)
    (asked,) = (message for message in asking("!script tokens=5 reasoning=2").messages if message.role == "user")
    for beginning in ("word0 word1 ", "word0 wor", "word0 word1 word2 word3 word4 "):
        request = ModelRequest(messages=(asked, ModelMessage("assistant", beginning)), max_output_tokens=100)
        events = [event async for event in provider.stream(request)]
        assert beginning + "".join(texts(events)) == "word0 word1 word2 word3 word4 "
        assert events[-2:] == [
            Usage(input_tokens=3 + len(beginning.split()), output_tokens=len(texts(events))),
            Finished(StopReason.END_TURN),
        ]
