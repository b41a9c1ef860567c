"""What every provider of the registry promises; a new one needs a rig here and nothing else."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import ClassVar, Protocol

import pytest

from inference.models import FailureKind, Finished, ModelRequest, ProviderFailed, StopReason, TextDelta, Usage
from inference.providers import PROVIDERS, Provider, open_provider
from settings import Settings
from tests.inference.conftest import KEY, asking, until_failure
from tests.inference.model_server import Answer, ModelServer, answer_of

WORDS = [f"word{number} " for number in range(12)]
PROMPT = "a-private-prompt"


class Rig(Protocol):
    """How a provider is brought to do what a test is about."""

    settings: Settings

    def to_say_the_words(self, *, finish: StopReason = StopReason.END_TURN) -> ModelRequest: ...
    def to_fall_silent_after(self, words: int) -> ModelRequest: ...
    def to_fail(self, kind: FailureKind) -> ModelRequest: ...
    async def has_hung_up(self) -> None:
        """Return once the server's side has seen the connection close."""


class ScriptedRig:
    def __init__(self, make_settings: Callable[..., Settings], _: ModelServer) -> None:
        self.settings = make_settings(model_provider="scripted", model_silence_seconds=0.3)

    def to_say_the_words(self, *, finish: StopReason = StopReason.END_TURN) -> ModelRequest:
        return asking(f"!script tokens={len(WORDS)} finish={finish}")

    def to_fall_silent_after(self, words: int) -> ModelRequest:
        return asking(f"!script tokens={len(WORDS)} hang_at={words}")

    def to_fail(self, kind: FailureKind) -> ModelRequest:
        return asking(f'!script text="{PROMPT}" fail_at=0 kind={kind} retry_after_ms=2000')

    async def has_hung_up(self) -> None:
        """It has no connection."""


class OpenAIRig:
    failures: ClassVar = {
        FailureKind.RATE_LIMIT: (429, b"slow down"),
        FailureKind.TIMEOUT: (408, b""),
        FailureKind.SERVER_ERROR: (500, b"<html>a-private-prompt</html>"),
        FailureKind.CONTEXT_WINDOW: (400, b'{"error":{"code":"context_length_exceeded","message":"a-private-prompt"}}'),
        FailureKind.CONTENT_POLICY: (400, b'{"error":{"code":"content_filter","message":"a-private-prompt"}}'),
        FailureKind.AUTH: (401, b'{"error":{"message":"Incorrect API key provided: sk-never-shown-0123456789"}}'),
        FailureKind.BUDGET: (429, b'{"error":{"code":"insufficient_quota","message":"a-private-prompt"}}'),
    }

    def __init__(self, make_settings: Callable[..., Settings], server: ModelServer) -> None:
        self.settings = make_settings(model_provider="openai", model_silence_seconds=0.3)
        self._server = server

    def to_say_the_words(self, *, finish: StopReason = StopReason.END_TURN) -> ModelRequest:
        reasons = {StopReason.END_TURN: "stop", StopReason.MAX_TOKENS: "length", StopReason.CONTENT_POLICY: "content_filter"}
        self._server.answer = Answer(answer_of(WORDS, finish=reasons[finish]))
        return asking(PROMPT)

    def to_fall_silent_after(self, words: int) -> ModelRequest:
        self._server.answer = Answer(answer_of(WORDS), hang_after=1 + words)
        return asking(PROMPT)

    def to_fail(self, kind: FailureKind) -> ModelRequest:
        status, body = self.failures[kind]
        self._server.answer = Answer(status=status, body=body, headers={"Retry-After": "2"})
        return asking(PROMPT)

    async def has_hung_up(self) -> None:
        await self._server.hung_up.wait()


RIGS: dict[str, Callable[[Callable[..., Settings], ModelServer], Rig]] = {"openai": OpenAIRig, "scripted": ScriptedRig}


@pytest.fixture(params=sorted(PROVIDERS))
def rig(request: pytest.FixtureRequest, make_settings: Callable[..., Settings], model_server: ModelServer) -> Rig:
    return RIGS[request.param](make_settings, model_server)


@pytest.fixture
async def provider(rig: Rig) -> AsyncIterator[Provider]:
    opened = open_provider(rig.settings)
    yield opened
    await opened.close()


def test_a_provider_is_named_as_in_the_registry(rig: Rig, provider: Provider) -> None:
    assert provider.name == rig.settings.model_provider


@pytest.mark.parametrize("finish", StopReason)
async def test_an_answer_is_its_deltas_then_one_usage_then_one_finish(rig: Rig, provider: Provider, finish: StopReason) -> None:
    events = [event async for event in provider.stream(rig.to_say_the_words(finish=finish))]
    *deltas, usage, finished = events
    assert [delta.text for delta in deltas if isinstance(delta, TextDelta)] == WORDS
    assert len(deltas) == len(WORDS)
    assert isinstance(usage, Usage)
    assert min(usage.input_tokens, usage.output_tokens) > 0
    assert finished == Finished(finish)


async def test_many_answers_at_once_do_not_mix(rig: Rig, provider: Provider) -> None:
    async def answer() -> list[str]:
        return [event.text async for event in provider.stream(request) if isinstance(event, TextDelta)]

    request = rig.to_say_the_words()
    assert await asyncio.gather(*(answer() for _ in range(10))) == [WORDS] * 10


@pytest.mark.parametrize("kind", FailureKind)
async def test_a_failure_is_typed_and_says_when_to_come_back(rig: Rig, provider: Provider, kind: FailureKind) -> None:
    with pytest.raises(ProviderFailed) as caught:
        await anext(provider.stream(rig.to_fail(kind)))
    assert caught.value.kind is kind
    assert caught.value.retry_after_ms == 2000


@pytest.mark.parametrize("kind", FailureKind)
async def test_a_failure_shows_no_prompt_no_key_and_no_host(rig: Rig, provider: Provider, kind: FailureKind) -> None:
    with pytest.raises(ProviderFailed) as caught:
        await anext(provider.stream(rig.to_fail(kind)))
    shown = f"{caught.value} {caught.value!r} {vars(caught.value)}"
    logged = "".join(traceback.format_exception(caught.value))
    assert not [secret for secret in (PROMPT, KEY, "127.0.0.1") if secret in shown]
    assert not [secret for secret in (PROMPT, KEY) if secret in logged]


async def test_silence_is_a_timeout_after_what_was_said(rig: Rig, provider: Provider) -> None:
    said, failed = await until_failure(provider.stream(rig.to_fall_silent_after(3)))
    assert said == [TextDelta(word) for word in WORDS[:3]]
    assert failed.kind is FailureKind.TIMEOUT


async def test_leaving_in_mid_answer_closes_the_connection_within_a_second(rig: Rig, provider: Provider) -> None:
    async with aclosing(provider.stream(rig.to_fall_silent_after(3))) as stream:
        assert await anext(stream) == TextDelta(WORDS[0])
    async with asyncio.timeout(1):
        await rig.has_hung_up()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_cancelling_whoever_waits_closes_the_connection_within_a_second(make_settings: Callable[..., Settings], rig: Rig) -> None:
    async def listen() -> None:
        async for _ in patient.stream(request):
            heard.release()

    # It must not fail by itself while we look.
    patient = PROVIDERS[rig.settings.model_provider](make_settings(model_silence_seconds=60.0))
    heard = asyncio.Semaphore(0)
    request = rig.to_fall_silent_after(1)
    task = asyncio.create_task(listen())
    await heard.acquire()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(1):
        await rig.has_hung_up()
    await patient.close()


async def test_a_check_passes_while_the_endpoint_is_well(provider: Provider) -> None:
    await provider.check()
