"""Titles and summaries are asked as answers are: where the member may ask, and elsewhere after a failure."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.people import done
from tests.chat.talking import hear, new_chat, say
from tests.chat.test_compactions import summarised
from tests.chat.test_titles import title_of
from tests.inference.fault_server import WELL, WORDS, Fault, FaultServer
from tests.running import Api, running_server

TEXT = "".join(WORDS)
TITLE = "".join(WORDS).strip()
PLACES = "{ models(first: 100) { nodes { key deployments { id } } } }"


@pytest.fixture
async def endpoint() -> AsyncIterator[FaultServer]:
    async with FaultServer() as server:
        yield server


@pytest.fixture
async def ada(lonely: dict[str, str], endpoint: FaultServer, tmp_path: Path) -> AsyncIterator[Api]:
    """A person who may ask one model in two places: as `m`, and where that fails as `backup`."""
    file = tmp_path / "models.toml"
    file.write_text(
        f'[[deployments]]\nkey = "backup"\nmodel = "platform/m"\nremote_name = "backup"\nbase_url = "{endpoint.base_url}"\norder = 1\n'
    )
    given = {
        "PENNY_CHAT_TITLES": "true", "PENNY_JOB_SWEEP_SECONDS": "0.05", "PENNY_CONTEXT_KEEP_MESSAGES": "0",
        "PENNY_MODEL_PROVIDER": "openai", "PENNY_MODEL_BASE_URL": endpoint.base_url, "PENNY_MODEL_NAME": "m",
        "PENNY_MODELS_FILE": str(file), "PENNY_MODEL_PRIVATE_ENDPOINTS": endpoint.base_url,
    }  # fmt: skip
    async with running_server({**lonely, **given}) as server, Api(server.url) as api:
        yield await api.sign_up()


async def drained(api: Api, key: str) -> None:
    """Drain every place of a model, for this tenant."""
    nodes = (await api.data(PLACES))["models"]["nodes"]
    (places,) = (node["deployments"] for node in nodes if node["key"] == key)
    for place in places:
        await done(api, "deploymentDrain", deploymentId=place["id"])


async def own_model(api: Api, endpoint: FaultServer) -> str:
    """A model of the tenant's own, `own`, which reads 8000 tokens."""
    given = {"key": "acme", "name": "Acme", "endpoint": endpoint.base_url, "needsKey": False}
    provider = (await done(api, "providerUpsert", "provider { id }", **given))["provider"]["id"]
    made = await done(
        api, "modelUpsert", "model { id }", providerId=provider, key="own", name="Own", contextTokens=8000, capabilities=["TEXT"],
        deployments=[{"remoteName": "own"}],
    )  # fmt: skip
    return str(made["model"]["id"])


async def talked(api: Api, **given: Any) -> str:
    chat_id = await new_chat(api)
    sent = await say(api, chat_id, "Where do swallows spend the winter?", **given)
    assert (await hear(api, sent["runs"][0]["id"])).end["status"] == "COMPLETED"
    return chat_id


async def test_titles_and_summaries_come_from_another_place_where_the_first_one_fails(ada: Api, endpoint: FaultServer) -> None:
    endpoint.plan("m", WELL, Fault(status=503))
    chat_id = await talked(ada)
    assert await title_of(ada, chat_id) == TITLE
    await done(ada, "contextCompact", chatId=chat_id)
    _, summary = await summarised(ada, chat_id)
    assert (summary["status"], summary["parts"][0]["text"]) == ("COMPLETE", TEXT.strip())
    assert endpoint.count("m") > 1
    assert endpoint.count("backup") == 2


async def test_what_is_said_to_a_model_of_one_s_own_goes_to_no_other(ada: Api, endpoint: FaultServer) -> None:
    chat_id = await talked(ada, modelIds=[await own_model(ada, endpoint)])
    assert await title_of(ada, chat_id) == TITLE
    await drained(ada, "acme/own")
    await done(ada, "contextCompact", chatId=chat_id)
    _, summary = await summarised(ada, chat_id)
    assert (summary["status"], summary["parts"]) == ("FAILED", [{"__typename": "NoticePart", "kind": "not_compacted"}])
    assert (endpoint.count("m"), endpoint.count("backup"), endpoint.count("own")) == (0, 0, 2)


async def test_a_summary_is_of_as_much_as_the_model_reads_that_is_asked_for_it(lonely: dict[str, str], endpoint: FaultServer) -> None:
    """The operator's own model reads little; a tenant's is given a long conversation from its beginning."""
    given = {
        "PENNY_JOB_SWEEP_SECONDS": "0.05", "PENNY_CONTEXT_KEEP_MESSAGES": "0", "PENNY_MODEL_CONTEXT_TOKENS": "400",
        "PENNY_MODEL_MAX_OUTPUT_TOKENS": "100", "PENNY_MODEL_PRIVATE_ENDPOINTS": endpoint.base_url,
    }  # fmt: skip
    async with running_server({**lonely, **given}) as server, Api(server.url) as api:
        ada = await api.sign_up()
        own = await own_model(ada, endpoint)
        chat_id = await talked(ada, modelIds=[own])
        for _ in range(3):
            sent = await say(ada, chat_id, "and then? " * 100, modelIds=[own])
            assert (await hear(ada, sent["runs"][0]["id"])).end["status"] == "COMPLETED"
        await done(ada, "contextCompact", chatId=chat_id)
        _, summary = await summarised(ada, chat_id)
    assert summary["status"] == "COMPLETE"
    assert "Where do swallows spend the winter?" in endpoint.of("own")[-1].body["messages"][-1]["content"]
