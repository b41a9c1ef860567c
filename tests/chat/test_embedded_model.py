"""A real language model answers through the whole chain, as in `make run`."""

from uuid import uuid4

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
