"""A real language model answers through the whole chain, as in `make run`."""

from contextlib import aclosing
from dataclasses import replace
from uuid import uuid4

from inference.deployments import Capability
from inference.models import ModelMessage, ModelRequest, TextDelta
from inference.platform import deployment_of_settings
from inference.providers import Providers
from settings import Settings
from stack.addresses import Addresses
from tests.chat.talking import talk
from tests.running import Api, running_server


async def test_a_real_model_streams_its_answer(environment: dict[str, str], stack: Addresses) -> None:
    real = {
        **environment,
        "PENNY_VALKEY_PREFIX": f"model-{uuid4().hex}",
        "PENNY_MODEL_PROVIDER": "openai",
        "PENNY_MODEL_BASE_URL": stack.model_base_url,
        "PENNY_MODEL_NAME": stack.model_name,
        "PENNY_MODEL_CONTEXT_TOKENS": "2048",
        "PENNY_MODEL_MAX_OUTPUT_TOKENS": "24",
    }
    async with running_server(real) as server, Api(server.url) as api:
        heard = await talk(await api.sign_up(), "What is the capital of France?")
    assert heard.end["status"] in {"COMPLETED", "INCOMPLETE"}
    assert len(heard.text.split()) > 2
    assert heard.types.count("TextDelta") > 3, "it came in pieces"
    assert heard.end["outputs"][0]["parts"] == [{"text": heard.text}]
    usage = next(event["usage"] for event in heard.events if event["__typename"] == "UsageTick")
    assert usage["inputTokens"] > 5
    assert 0 < usage["outputTokens"] <= 24


async def test_the_embedded_model_goes_on_from_the_beginning_of_an_answer(settings: Settings, stack: Addresses) -> None:
    """What `make run` says of it: a lost worker's answer is continued, and its beginning is not repeated."""
    real = replace(
        settings, model_provider="openai", model_base_url=stack.model_base_url, model_name=stack.model_name or "", model_prefills=True
    )
    said = ModelMessage("user", "What is the capital of France?"), ModelMessage("assistant", "The capital of France is the city of")
    providers, deployment = Providers(real), deployment_of_settings(real)
    async with aclosing(providers.of(deployment).stream(ModelRequest(messages=said, max_output_tokens=8, temperature=0))) as stream:
        rest = "".join([event.text async for event in stream if isinstance(event, TextDelta)])
    await providers.close()
    assert Capability.PREFILL in deployment.model.capabilities
    assert rest.startswith(" ")
    assert "capital of" not in rest
