"""The vendors' own SDKs judge both ends of our wires: what the fault server says, and what our providers ask."""

import json
from collections.abc import AsyncIterator
from typing import Any, get_type_hints

import pytest
from pydantic import TypeAdapter

from inference.deployments import Capability
from inference.models import FailureKind, ModelMessage, ModelRequest, StopReason
from inference.providers import Providers
from settings import Settings
from tests.inference.conftest import Make, deployment_at
from tests.inference.fault_server import WORDS, Fault, FaultServer
from tests.inference.speeches import SPEECHES, USED

openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")

EVENTS: dict[str, Any] = {
    "openai": openai.types.chat.ChatCompletionChunk,
    "responses": openai.types.responses.ResponseStreamEvent,
    "anthropic": anthropic.types.RawMessageStreamEvent,
}
REQUESTS: dict[str, Any] = {
    "openai": openai.types.chat.completion_create_params.CompletionCreateParamsStreaming,
    "responses": openai.types.responses.response_create_params.ResponseCreateParamsStreaming,
    "anthropic": anthropic.types.message_create_params.MessageCreateParamsStreaming,
}
ASKED: Any = [{"role": "user", "content": "hello"}]


@pytest.fixture
async def sdks(fault_server: FaultServer) -> AsyncIterator[dict[str, Any]]:
    """The vendors' clients, which retry nothing."""
    by_openai = openai.AsyncOpenAI(base_url=fault_server.base_url, api_key="x", max_retries=0)
    by_anthropic = anthropic.AsyncAnthropic(base_url=fault_server.base_url.removesuffix("/v1"), api_key="x", max_retries=0)
    yield {"openai": by_openai, "responses": by_openai, "anthropic": by_anthropic}
    await by_openai.close()
    await by_anthropic.close()


async def heard(wire: str, sdk: Any) -> tuple[str, tuple[int, int]]:
    """What the SDK makes of a stream: the text, and the tokens read and written as the vendor counts them."""
    if wire == "openai":
        chunks = [
            chunk
            async for chunk in await sdk.chat.completions.create(
                model="m", messages=ASKED, stream=True, stream_options={"include_usage": True}
            )
        ]
        text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
        return text, (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens)
    if wire == "responses":
        async with sdk.responses.stream(model="m", input="hello") as stream:
            events = [event async for event in stream]
        text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        return text, (events[-1].response.usage.input_tokens, events[-1].response.usage.output_tokens)
    async with sdk.messages.stream(model="m", max_tokens=99, messages=ASKED) as stream:
        text = "".join([word async for word in stream.text_stream])
        usage = (await stream.get_final_message()).usage
    return text, (usage.input_tokens + usage.cache_read_input_tokens, usage.output_tokens)


@pytest.mark.parametrize("wire", SPEECHES)
async def test_an_sdk_hears_the_whole_answer_and_its_counts(wire: str, sdks: dict[str, Any]) -> None:
    assert await heard(wire, sdks[wire]) == ("".join(WORDS), (USED.input_tokens + USED.cache_read_tokens, 20))


@pytest.mark.parametrize("kind", FailureKind)
@pytest.mark.parametrize("wire", SPEECHES)
async def test_an_sdk_knows_each_refusal_as_its_own(wire: str, kind: FailureKind, fault_server: FaultServer, sdks: dict[str, Any]) -> None:
    fault_server.plan("m", Fault(refuse=kind, retry_after="2"))
    with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)) as caught:
        await heard(wire, sdks[wire])
    assert caught.value.status_code == SPEECHES[wire].refusals[kind][0]
    assert SPEECHES[wire].refusals[kind][2] in str(caught.value)


@pytest.mark.parametrize("wire", ["openai", "anthropic"])
async def test_an_sdk_raises_an_error_in_mid_stream(wire: str, fault_server: FaultServer, sdks: dict[str, Any]) -> None:
    fault_server.plan("m", Fault(error_at=(3, FailureKind.SERVER_ERROR)))
    with pytest.raises((openai.APIError, anthropic.APIError)):
        await heard(wire, sdks[wire])


async def test_an_sdk_hands_an_error_among_responses_on_as_an_event(fault_server: FaultServer, sdks: dict[str, Any]) -> None:
    fault_server.plan("m", Fault(error_at=(3, FailureKind.RATE_LIMIT)))
    events = [event async for event in await sdks["responses"].responses.create(model="m", input="hello", stream=True)]
    assert (events[-1].type, events[-1].code) == ("error", "rate_limit_exceeded")


@pytest.mark.parametrize("stop", StopReason)
@pytest.mark.parametrize("wire", SPEECHES)
def test_every_event_is_one_that_the_sdk_declares(wire: str, stop: StopReason) -> None:
    pieces = SPEECHES[wire].stream(["one ", "two"], thoughts=["hm"], stop=stop)
    events = [json.loads(data) for piece in pieces if (data := piece.split(b"data: ", 1)[1].strip()) != b"[DONE]"]
    declared = TypeAdapter(EVENTS[wire])
    for event in events:
        if event.get("type") != "ping":  # the SDK swallows it
            declared.validate_python(event)


@pytest.mark.parametrize("wire", SPEECHES)
async def test_what_we_ask_is_what_the_sdk_declares(wire: str, fault_server: FaultServer, make_settings: Make) -> None:
    settings: Settings = make_settings()
    said = [ModelMessage("system", "Be brief."), ModelMessage("user", "hello"), ModelMessage("assistant", "Well")]
    providers = Providers(settings)
    deployment = deployment_at(fault_server, wire, capabilities=frozenset({Capability.TEXT, Capability.PROMPT_CACHE}))
    request = ModelRequest(messages=tuple(said), max_output_tokens=99, temperature=0.5)
    [_ async for _ in providers.of(deployment).stream(request)]
    await providers.close()
    (asked,) = fault_server.asked
    assert asked.wire == wire
    TypeAdapter(REQUESTS[wire]).validate_python(asked.body)
    assert not asked.body.keys() - get_type_hints(REQUESTS[wire]).keys()
