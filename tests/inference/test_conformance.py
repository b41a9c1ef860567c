"""What every provider of the registry promises; a new one needs a rig here and nothing else."""

import asyncio
import socket
import traceback
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Protocol

import pytest

from inference.deployments import CredentialOwner, Deployment
from inference.models import FailureKind, Finished, ModelRequest, ProviderFailed, ReasoningDelta, StopReason, TextDelta, Trouble, Usage
from inference.providers import PROVIDERS, Provider, Providers
from tests.inference.conftest import KEY, Make, asking, deployment_at, until_failure
from tests.inference.fault_server import WORDS, Fault, FaultServer

PROMPT = "a-private-prompt"
# The wires that the fault server speaks; the scripted model has none.
SPOKEN = sorted(set(PROVIDERS) - {"scripted"})


class Rig(Protocol):
    """How a provider is brought to do what a test is about."""

    deployment: Deployment

    def to_say_the_words(self, *, finish: StopReason = StopReason.END_TURN) -> ModelRequest: ...
    def to_think_first(self) -> ModelRequest: ...
    def to_fall_silent_after(self, words: int) -> ModelRequest: ...
    def to_fail(self, kind: FailureKind, *, after: int = 0) -> ModelRequest: ...
    async def has_hung_up(self) -> None:
        """Return once the server's side has seen the connection close."""


class ScriptedRig:
    def __init__(self, server: FaultServer, wire: str) -> None:
        self.deployment = deployment_at(server, wire)

    def to_say_the_words(self, *, finish: StopReason = StopReason.END_TURN) -> ModelRequest:
        return asking(f"!script tokens={len(WORDS)} finish={finish}")

    def to_think_first(self) -> ModelRequest:
        return asking("!script reasoning=2 tokens=1")

    def to_fall_silent_after(self, words: int) -> ModelRequest:
        return asking(f"!script tokens={len(WORDS)} hang_at={words}")

    def to_fail(self, kind: FailureKind, *, after: int = 0) -> ModelRequest:
        return asking(f"!script tokens={len(WORDS)} fail_at={after} kind={kind} retry_after_ms=2000")

    async def has_hung_up(self) -> None:
        """It has no connection."""


class ServedRig:
    def __init__(self, server: FaultServer, wire: str) -> None:
        self.deployment = deployment_at(server, wire)
        self._server = server

    def _planned(self, fault: Fault) -> ModelRequest:
        self._server.plan("m", fault)
        return asking(PROMPT)

    def to_say_the_words(self, *, finish: StopReason = StopReason.END_TURN) -> ModelRequest:
        return self._planned(Fault(stop=finish))

    def to_think_first(self) -> ModelRequest:
        return self._planned(Fault(thoughts=("thought0 ", "thought1 "), words=("word0 ",)))

    def to_fall_silent_after(self, words: int) -> ModelRequest:
        return self._planned(Fault(hang_at=words))

    def to_fail(self, kind: FailureKind, *, after: int = 0) -> ModelRequest:
        return self._planned(Fault(error_at=(after, kind)) if after else Fault(refuse=kind, retry_after="2"))

    async def has_hung_up(self) -> None:
        await self._server.asked[-1].left.wait()


@pytest.fixture(params=sorted(PROVIDERS))
def rig(request: pytest.FixtureRequest, fault_server: FaultServer) -> Rig:
    return (ScriptedRig if request.param == "scripted" else ServedRig)(fault_server, request.param)


@pytest.fixture
async def providers(make_settings: Make) -> AsyncIterator[Providers]:
    opened = Providers(make_settings(model_silence_seconds=0.3))
    yield opened
    await opened.close()


@pytest.fixture
def provider(rig: Rig, providers: Providers) -> Provider:
    return providers.of(rig.deployment)


def test_a_provider_is_named_as_in_the_registry(rig: Rig, provider: Provider) -> None:
    assert provider.name == rig.deployment.wire


@pytest.mark.parametrize("finish", StopReason)
async def test_an_answer_is_its_deltas_then_one_usage_then_one_finish(rig: Rig, provider: Provider, finish: StopReason) -> None:
    events = [event async for event in provider.stream(rig.to_say_the_words(finish=finish))]
    *deltas, usage, finished = events
    assert [delta.text for delta in deltas if isinstance(delta, TextDelta)] == list(WORDS)
    assert len(deltas) == len(WORDS)
    assert isinstance(usage, Usage)
    assert min(usage.input_tokens, usage.output_tokens) > 0
    assert finished == Finished(finish)


async def test_thoughts_come_apart_from_words(rig: Rig, provider: Provider) -> None:
    events = [event async for event in provider.stream(rig.to_think_first())]
    assert events[:3] == [ReasoningDelta("thought0 "), ReasoningDelta("thought1 "), TextDelta("word0 ")]


@pytest.mark.parametrize("wire", SPOKEN)
async def test_each_vendor_s_counts_become_five_classes_that_do_not_overlap(
    wire: str, providers: Providers, fault_server: FaultServer
) -> None:
    used = Usage(input_tokens=7, output_tokens=11, cache_read_tokens=13, cache_write_tokens=17, reasoning_tokens=19)
    fault_server.plan("m", Fault(used=used))
    events = [event async for event in providers.of(deployment_at(fault_server, wire)).stream(asking("x"))]
    assert events[-2] == used


async def test_many_answers_at_once_do_not_mix(rig: Rig, provider: Provider) -> None:
    async def answer() -> list[str]:
        return [event.text async for event in provider.stream(request) if isinstance(event, TextDelta)]

    request = rig.to_say_the_words()
    assert await asyncio.gather(*(answer() for _ in range(10))) == [list(WORDS)] * 10


@pytest.mark.parametrize("kind", FailureKind)
async def test_a_failure_is_typed_and_says_when_to_come_back(rig: Rig, provider: Provider, kind: FailureKind) -> None:
    with pytest.raises(ProviderFailed) as caught:
        await anext(provider.stream(rig.to_fail(kind)))
    assert caught.value.kind is kind
    assert caught.value.retry_after_ms == 2000
    assert caught.value.usage is None


@pytest.mark.parametrize("kind", FailureKind)
async def test_a_failure_in_mid_answer_is_typed_and_says_what_was_used(rig: Rig, provider: Provider, kind: FailureKind) -> None:
    said, failed = await until_failure(provider.stream(rig.to_fail(kind, after=3)))
    assert said == [TextDelta(word) for word in WORDS[:3]]
    assert failed.kind is kind
    assert failed.usage is not None
    assert min(failed.usage.input_tokens, failed.usage.output_tokens) > 0


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
    assert failed.usage is not None


async def test_leaving_in_mid_answer_closes_the_connection_at_once(rig: Rig, provider: Provider) -> None:
    async with aclosing(provider.stream(rig.to_fall_silent_after(3))) as stream:
        assert await anext(stream) == TextDelta(WORDS[0])
    async with asyncio.timeout(10):
        await rig.has_hung_up()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_cancelling_whoever_waits_closes_the_connection_at_once(make_settings: Make, rig: Rig) -> None:
    async def listen() -> None:
        async for _ in providers.of(rig.deployment).stream(request):
            heard.release()

    # It must not fail by itself while we look.
    providers = Providers(make_settings(model_silence_seconds=60.0))
    heard = asyncio.Semaphore(0)
    request = rig.to_fall_silent_after(1)
    task = asyncio.create_task(listen())
    await heard.acquire()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(10):
        await rig.has_hung_up()
    await providers.close()


async def test_a_check_passes_while_the_endpoint_is_well(provider: Provider) -> None:
    await provider.check()


# What only a wire can do.


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(malformed_at=2), id="a malformed chunk"),
        pytest.param(Fault(words=WORDS[:2], silent_goodbye=True), id="an end without a goodbye"),
        pytest.param(Fault(error_at=(2, FailureKind.SERVER_ERROR)), id="an error"),
    ],
)
@pytest.mark.parametrize("wire", SPOKEN)
async def test_a_broken_stream_is_a_server_error_after_what_was_said(
    wire: str, fault: Fault, providers: Providers, fault_server: FaultServer
) -> None:
    fault_server.plan("m", fault)
    said, failed = await until_failure(providers.of(deployment_at(fault_server, wire)).stream(asking("x")))
    assert said == [TextDelta(word) for word in WORDS[:2]]
    assert failed.kind is FailureKind.SERVER_ERROR


@pytest.mark.parametrize("wire", SPOKEN)
async def test_a_connection_cut_in_mid_answer_is_a_server_error(wire: str, providers: Providers, fault_server: FaultServer) -> None:
    cut = asyncio.Event()
    fault_server.plan("m", Fault(cut_at=2, cut=cut))
    stream = providers.of(deployment_at(fault_server, wire)).stream(asking("x"))
    assert [await anext(stream), await anext(stream)] == [TextDelta(word) for word in WORDS[:2]]
    cut.set()
    with pytest.raises(ProviderFailed) as caught:
        await anext(stream)
    assert caught.value.kind is FailureKind.SERVER_ERROR


@pytest.mark.parametrize("wire", SPOKEN)
async def test_an_endpoint_where_nobody_listens_cannot_be_reached(wire: str, providers: Providers, fault_server: FaultServer) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        nowhere = deployment_at(fault_server, wire, base_url=f"http://127.0.0.1:{deaf.getsockname()[1]}/v1")
        _, failed = await until_failure(providers.of(nowhere).stream(asking("x")))
    assert (failed.kind, failed.trouble) == (FailureKind.SERVER_ERROR, Trouble.UNREACHABLE)
    assert failed.message == "The model's provider cannot be reached."


@pytest.mark.parametrize("fault", [Fault(hang_before_headers=True), Fault(hang_at=0)], ids=["before headers", "after them"])
@pytest.mark.parametrize("wire", SPOKEN)
async def test_a_first_word_that_does_not_come_is_a_timeout(
    wire: str, fault: Fault, make_settings: Make, fault_server: FaultServer
) -> None:
    providers = Providers(make_settings(model_first_token_seconds=0.2, model_silence_seconds=60.0))
    fault_server.plan("m", fault)
    said, failed = await until_failure(providers.of(deployment_at(fault_server, wire)).stream(asking("x")))
    await providers.close()
    assert said == []
    assert failed.kind is FailureKind.TIMEOUT


@pytest.mark.parametrize("wire", SPOKEN)
async def test_the_wait_for_the_first_word_does_not_bound_the_answer(wire: str, make_settings: Make, fault_server: FaultServer) -> None:
    providers = Providers(make_settings(model_first_token_seconds=0.2, model_silence_seconds=60.0))
    fault_server.plan("m", Fault(words=WORDS[:4], word_seconds=0.1))
    events = [event async for event in providers.of(deployment_at(fault_server, wire)).stream(asking("x"))]
    await providers.close()
    assert len(events) == 6


@pytest.mark.parametrize("status", [500, 502, 503, 529])
@pytest.mark.parametrize("wire", SPOKEN)
async def test_a_server_s_own_failures_are_server_errors(wire: str, status: int, providers: Providers, fault_server: FaultServer) -> None:
    fault_server.plan("m", Fault(status=status, body=b"<html>", retry_after_ms="1500"))
    _, failed = await until_failure(providers.of(deployment_at(fault_server, wire)).stream(asking("x")))
    assert (failed.kind, failed.status, failed.retry_after_ms) == (FailureKind.SERVER_ERROR, status, 1500)
    assert fault_server.count("m") == 1


@pytest.mark.parametrize("owner", [CredentialOwner.TENANT, CredentialOwner.USER])
@pytest.mark.parametrize("wire", SPOKEN)
async def test_an_endpoint_that_somebody_gave_us_is_dialled_at_public_addresses_only(
    wire: str, owner: CredentialOwner, providers: Providers, fault_server: FaultServer
) -> None:
    inside = fault_server.base_url.replace("http:", "https:")
    for url in (fault_server.base_url, inside, "https://localhost/v1", "https://[::1]/v1"):
        given = providers.of(deployment_at(fault_server, wire, base_url=url, owner=owner))
        _, failed = await until_failure(given.stream(asking("x")))
        assert failed.kind is FailureKind.SERVER_ERROR
        with pytest.raises(ProviderFailed):
            await given.check()
    assert fault_server.asked == []
