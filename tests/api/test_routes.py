"""Where models are asked, how those places are, what runs have measured there, and who would answer."""

from typing import Any

from tests.api.people import code_of
from tests.api.test_models import model_named
from tests.chat.talking import ask, hear, new_chat, say, talk
from tests.running import Api

STATS = "requests errorRate ttftP50Ms ttftP95Ms tokensPerSecondP50 costPerMTokOut"
DEPLOYMENT = f"""
    query ($id: ID!, $range: TimeRange) {{
      node(id: $id) {{ ... on ModelDeployment {{ health cooldownUntil stats(range: $range) {{ {STATS} }} }} }}
    }}"""
EXPLAIN = """
    query ($input: RunEstimateInput!) {
      explainRoute(input: $input) {
        model region reason credentialOwner policy { id } chosen { id } attempts { number }
        candidates { deployment { id } model region available reason }
      }
    }"""


async def own_deployment(api: Api) -> str:
    return str((await model_named(api, "platform/scripted"))["deployments"][0]["id"])


async def explained(api: Api, **given: Any) -> Any:
    return (await api.data(EXPLAIN, input={"content": [{"text": "Who would?"}]} | given))["explainRoute"]


async def test_a_deployment_is_measured_by_the_tenant_s_own_runs(api: Api) -> None:
    ada, eve = await api.sign_up(), await api.sign_up()
    deployment_id = await own_deployment(ada)
    await talk(ada, "!script tokens=20 delay_ms=2")
    await talk(ada, "!script tokens=3 fail_at=1")
    found = (await ada.data(DEPLOYMENT, id=deployment_id))["node"]
    assert found["health"] in {"HEALTHY", "DEGRADED", "COOLDOWN"}
    stats = found["stats"]
    assert (stats["requests"], stats["errorRate"], stats["costPerMTokOut"]) == (2, 0.5, None)
    assert 0 <= stats["ttftP50Ms"] <= stats["ttftP95Ms"]
    assert stats["tokensPerSecondP50"] > 0
    nothing = {
        "requests": 0, "errorRate": 0.0, "ttftP50Ms": None, "ttftP95Ms": None, "tokensPerSecondP50": None, "costPerMTokOut": None,
    }  # fmt: skip
    assert (await eve.data(DEPLOYMENT, id=deployment_id))["node"]["stats"] == nothing
    long_ago = {"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"}
    assert (await ada.data(DEPLOYMENT, id=deployment_id, range=long_ago))["node"]["stats"] == nothing
    backwards = {"from": "2020-01-02T00:00:00Z", "to": "2020-01-01T00:00:00Z"}
    assert await code_of(ada, DEPLOYMENT, id=deployment_id, range=backwards) == "BAD_USER_INPUT"


async def test_a_route_is_explained_without_asking_anybody(api: Api) -> None:
    ada = await api.sign_up()
    deployment_id = await own_deployment(ada)
    said: dict[str, Any] = {
        "model": "platform/scripted", "region": None, "reason": "It is the only one that fits.", "credentialOwner": "PLATFORM",
        "policy": None, "chosen": {"id": deployment_id}, "attempts": [], "candidates": [{
            "deployment": {"id": deployment_id}, "model": "platform/scripted", "region": None, "available": True,
            "reason": "It is the only one that fits.",
        }],
    }  # fmt: skip
    assert await explained(ada) == said
    chat_id = await new_chat(ada)
    await hear(ada, await ask(ada, chat_id, "!script tokens=1"))
    assert await explained(ada, chatId=chat_id) == said
    assert (await ada.data(DEPLOYMENT, id=deployment_id))["node"]["stats"]["requests"] == 1


async def test_a_model_that_nobody_has_a_key_for_has_no_route_and_it_is_said_why(api: Api) -> None:
    ada = await api.sign_up()
    model_id = (await model_named(ada, "openai/gpt-5"))["id"]
    assert await explained(ada, modelId=model_id) == {
        "model": None, "region": None, "reason": "GPT-5 cannot be asked: nobody's key is there for it.",
        "credentialOwner": None, "policy": None, "chosen": None, "attempts": [], "candidates": [],
    }  # fmt: skip


async def test_a_message_of_another_chat_is_not_found(api: Api) -> None:
    ada = await api.sign_up()
    chat_id, elsewhere = await new_chat(ada), (await say(ada, await new_chat(ada), "Hi"))["message"]["id"]
    given = {"content": [{"text": "x"}], "chatId": chat_id, "parentMessageId": elsewhere}
    assert await code_of(ada, EXPLAIN, input=given) == "NOT_FOUND"


async def test_another_tenant_s_chat_is_not_found(api: Api) -> None:
    ada, eve = await api.sign_up(), await api.sign_up()
    chat_id = await new_chat(ada)
    assert await code_of(eve, EXPLAIN, input={"content": [{"text": "x"}], "chatId": chat_id}) == "NOT_FOUND"
