"""Models through the endpoint: what everybody can ask out of the box, and what the catalogue knows."""

from typing import Any

from tests.api.people import code_of, done, member
from tests.running import Api
from web.works import Process

MODELS = """
    query ($first: Int!, $after: String, $usable: Boolean, $can: [ModelCapability!]) {
      models(first: $first, after: $after, usableByViewer: $usable, capabilities: $can) {
        totalCount pageInfo { hasNextPage endCursor }
        nodes { id key name contextTokens maxOutputTokens capabilities viewerHasAccess custom deprecatedAt
          provider { id key name custom } replacement { id }
          price { id version source currency inputPerMTok outputPerMTok cacheReadPerMTok cacheWritePerMTok reasoningPerMTok effectiveFrom
            effectiveTo markupPercent }
          deployments { id region endpoint weight order tpm rpm credentialOwner draining model { key } } }
      }
    }"""


async def models_of(api: Api, *, first: int = 100, **given: Any) -> Any:
    return (await api.data(MODELS, first=first, **given))["models"]


async def model_named(api: Api, key: str) -> Any:
    (found,) = [model for model in (await models_of(api, usable=False))["nodes"] if model["key"] == key]
    return found


async def house_model(owner: Api, *deployments: dict[str, Any], rate: int = 2) -> Any:
    given = {"key": "house", "name": "House", "endpoint": "https://models.example.com/v1", "needsKey": False}
    provider = (await done(owner, "providerUpsert", "provider { id }", **given))["provider"]
    values = {"key": "m", "name": "M", "contextTokens": 8000, "maxOutputTokens": 1000, "capabilities": ["TEXT"]}
    values |= {"providerId": provider["id"], "deployments": list(deployments) or None}
    model = (await done(owner, "modelUpsert", "model { id deployments { id region } }", **values))["model"]
    await done(owner, "modelPriceSet", "price { id }", modelId=model["id"], inputPerMTok=rate, outputPerMTok=10 * rate, currency="EUR")
    return model


async def test_the_platforms_models_can_be_asked_out_of_the_box(api: Api) -> None:
    owner = await api.sign_up()
    usable = await models_of(owner)
    assert [model["key"] for model in usable["nodes"]] == ["embedded/wordllama", "platform/scripted"]
    assert usable["totalCount"] == 2
    scripted = usable["nodes"][1]
    assert scripted["provider"]["name"] == "This installation"
    assert scripted["price"] is None
    assert scripted["viewerHasAccess"]
    (deployment,) = scripted["deployments"]
    assert deployment | {"id": ""} == {
        "id": "", "region": None, "endpoint": None, "weight": 1, "order": 0, "tpm": None, "rpm": None, "credentialOwner": "PLATFORM",
        "draining": False, "model": {"key": "platform/scripted"},
    }  # fmt: skip


async def test_the_catalogue_says_what_models_cost(api: Api) -> None:
    gpt = await model_named(await api.sign_up(), "openai/gpt-5")
    assert (gpt["contextTokens"], gpt["maxOutputTokens"], gpt["viewerHasAccess"], gpt["deployments"]) == (400_000, 128_000, False, [])
    assert gpt["price"] | {"id": ""} == {
        "id": "", "version": "catalogue/openai/gpt-5/2025-08-07", "source": "CATALOGUE", "currency": "USD", "inputPerMTok": "1.25",
        "outputPerMTok": "10", "cacheReadPerMTok": "0.125", "cacheWritePerMTok": None, "reasoningPerMTok": None,
        "effectiveFrom": "2025-08-07T00:00:00.000Z", "effectiveTo": None, "markupPercent": None,
    }  # fmt: skip


async def test_models_are_found_page_by_page_and_by_what_they_can_do(api: Api) -> None:
    owner = await api.sign_up()
    everything = [model["key"] for model in (await models_of(owner, usable=False))["nodes"]]
    assert everything == sorted(everything)
    found: list[str] = []
    after = None
    while True:
        page = await models_of(owner, first=25, after=after, usable=False)
        found += [model["key"] for model in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert found == everything
    embedding = await models_of(owner, usable=False, can=["EMBEDDING"])
    assert "embedded/wordllama" in [model["key"] for model in embedding["nodes"]]
    assert all(model["capabilities"] == ["EMBEDDING"] for model in embedding["nodes"])
    assert (await models_of(owner, can=["TEXT", "EMBEDDING"]))["nodes"] == []


async def test_whatever_has_an_id_is_found_by_it(api: Api) -> None:
    owner = await api.sign_up()
    gpt = await model_named(owner, "openai/gpt-5")
    scripted = await model_named(owner, "platform/scripted")
    ids = [gpt["id"], gpt["provider"]["id"], gpt["price"]["id"], scripted["deployments"][0]["id"]]
    query = """
        query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id
          ... on Model { key } ... on Provider { key } ... on ModelPrice { version } ... on ModelDeployment { order } } }"""
    kinds = [node["__typename"] for node in (await owner.data(query, ids=ids))["nodes"]]
    assert kinds == ["Model", "Provider", "ModelPrice", "ModelDeployment"]
    made = await done(owner, "apiKeyCreate", "secretOnce", name="CI", scopes=["chats:read"])
    assert (await api.as_(made["secretOnce"]).data(query, ids=ids))["nodes"] == [None] * 4


async def test_everybody_sees_models_and_administrators_see_providers(api: Api, process: Process) -> None:
    owner = await api.sign_up()
    providers = "{ providers(first: 100) { totalCount nodes { key name custom needsKey } } }"
    shown = (await owner.data(providers))["providers"]
    assert {"openai", "anthropic", "google", "mistral", "groq", "platform", "embedded"} <= {one["key"] for one in shown["nodes"]}
    assert shown["totalCount"] == len(shown["nodes"])
    # This installation asks some of its models with its own key, or with none.
    assert {one["key"] for one in shown["nodes"] if not one["needsKey"]} == {"platform", "embedded"}
    viewer = await member(owner, process, "viewer")
    assert (await models_of(viewer))["totalCount"] == 2
    assert await code_of(viewer, providers) == "PERMISSION_DENIED"
    made = await done(owner, "apiKeyCreate", "secretOnce", name="CI", scopes=["chats:read"])
    assert await code_of(api.as_(made["secretOnce"]), MODELS, first=1) == "PERMISSION_DENIED"
