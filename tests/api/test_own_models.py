"""What a tenant brings of its own, through the endpoint: providers, keys that were tried, models, prices and policies."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from stack.addresses import Addresses
from tests.api.people import code_of, done, member, mutate, refused
from tests.api.test_models import model_named, models_of
from tests.chat.talking import new_chat, say
from tests.chat.test_at_rest import dump_of_database
from tests.db.databases import connected
from tests.inference.key_server import KeyServer
from tests.running import Api, running_web
from web.works import Process

KEY, OTHER, WRONG = "sk-right-0123456789", "sk-other-0123456789", "sk-wrong-0123456789"
CREDENTIAL = "credential { id label owner last4 createdAt rotatedAt provider { key } }"
DEPLOYMENT = "id region weight order tpm rpm endpoint credentialOwner draining"
MODEL = f"model {{ id key name custom revision viewerHasAccess provider {{ key }} deployments {{ {DEPLOYMENT} }} }}"
POLICY_FIELDS = """{ id name strategy candidates { id } fallbacks { on to { key } } maxRetries stickyPromptCache midStream allowedRegions
    revision }"""
POLICY = f"policy {POLICY_FIELDS}"


@pytest.fixture(scope="module")
async def endpoint() -> AsyncIterator[KeyServer]:
    async with KeyServer(KEY, OTHER) as server:
        yield server


@pytest.fixture(scope="module")
async def house(environment: dict[str, str], endpoint: KeyServer) -> AsyncIterator[Api]:
    """A web process whose operator lets tenants name the endpoint on loopback."""
    async with running_web({**environment, "PENNY_MODEL_PRIVATE_ENDPOINTS": endpoint.base_url}) as (url, _), Api(url) as client:
        yield client


@pytest.fixture
async def owner(house: Api, endpoint: KeyServer) -> Api:
    endpoint.status = None
    endpoint.seen.clear()
    return await house.sign_up()


async def provider_of(api: Api, server: KeyServer, /, **given: Any) -> Any:
    values = {"key": "acme", "name": "Acme", "endpoint": server.base_url} | given
    return (await done(api, "providerUpsert", "provider { id key revision endpoint needsKey custom }", **values))["provider"]


async def key_for(api: Api, provider: Any, /, **given: Any) -> Any:
    return (await done(api, "providerCredentialSet", CREDENTIAL, **({"providerId": provider["id"], "secret": KEY} | given)))["credential"]


async def model_of(owner: Api, provider: Any, **given: Any) -> Any:
    values = {"providerId": provider["id"], "key": "large", "name": "Large", "contextTokens": 8000, "capabilities": ["TEXT", "TOOLS"]}
    return (await done(owner, "modelUpsert", MODEL, **(values | given)))["model"]


async def credentials_of(api: Api, provider: Any) -> list[Any]:
    query = (
        "query ($id: ID!) { node(id: $id) { ... on Provider { credentials(first: 100) { totalCount nodes { id label owner last4 } } } } }"
    )
    found: list[Any] = (await api.data(query, id=provider["id"]))["node"]["credentials"]["nodes"]
    return found


async def test_a_key_is_tried_and_its_models_can_be_asked_at_once(owner: Api, endpoint: KeyServer) -> None:
    provider = await provider_of(owner, endpoint)
    assert provider | {"id": ""} == {
        "id": "", "key": "acme", "revision": 1, "endpoint": endpoint.base_url, "needsKey": True, "custom": True,
    }  # fmt: skip
    model = await model_of(owner, provider)
    assert (model["key"], model["custom"], model["viewerHasAccess"]) == ("acme/large", True, False)
    assert [one["credentialOwner"] for one in model["deployments"]] == ["TENANT"]
    credential = await key_for(owner, provider, label="Contract of 2026")
    assert endpoint.seen == [KEY]
    assert credential | {"id": "", "createdAt": ""} == {
        "id": "", "label": "Contract of 2026", "owner": "TENANT", "last4": KEY[-4:], "createdAt": "", "rotatedAt": None,
        "provider": {"key": "acme"},
    }  # fmt: skip
    assert [one["key"] for one in (await models_of(owner))["nodes"]] == ["acme/large", "embedded/wordllama", "platform/scripted"]
    assert (await model_named(owner, "acme/large"))["deployments"][0]["endpoint"] == endpoint.base_url


async def test_a_new_key_was_never_used_and_one_whose_provider_moved_is_not_sent(owner: Api, endpoint: KeyServer) -> None:
    provider = await provider_of(owner, endpoint)
    fields = "credential { id status lastUsedAt keyVersion { version state createdAt } provider { health } }"
    given = {"providerId": provider["id"], "secret": KEY}
    credential = (await done(owner, "providerCredentialSet", fields, **given))["credential"]
    assert (credential["status"], credential["lastUsedAt"], credential["provider"]["health"]) == ("UNUSED", None, "UNKNOWN")
    assert (credential["keyVersion"]["version"], credential["keyVersion"]["state"]) == (1, "ACTIVE")
    await provider_of(owner, endpoint, id=provider["id"], endpoint="https://elsewhere.example.com/v1", expectedRevision=1)
    query = "query ($id: ID!) { node(id: $id) { ... on ProviderCredential { status } } }"
    assert (await owner.data(query, id=credential["id"]))["node"]["status"] == "DETACHED"


async def test_a_key_that_could_not_be_tried_is_not_kept(owner: Api) -> None:
    """Tests have no network: the catalogue's providers do not answer."""
    openai = (await model_named(owner, "openai/gpt-5"))["provider"]
    attempts = "attempts { number model failure message startedAt billed { amount } deployment { id } }"
    query = f"""mutation ($input: ProviderCredentialSetInput!) {{ providerCredentialSet(input: $input) {{
        errors {{ code ... on ModelUnavailableError {{ {attempts} }} }} }} }}"""
    (error,) = (await owner.data(query, input={"providerId": openai["id"], "secret": KEY}))["providerCredentialSet"]["errors"]
    assert error["code"] == "MODEL_UNAVAILABLE"
    (attempt,) = error["attempts"]
    assert (attempt["number"], attempt["model"], attempt["billed"], attempt["deployment"]) == (1, "openai", None, None)
    assert attempt["failure"] in {"SERVER_ERROR", "TIMEOUT"}
    assert KEY not in str(error)
    assert await credentials_of(owner, openai) == []


@pytest.mark.parametrize(("status", "code"), [(None, "CREDENTIAL_INVALID"), (403, "CREDENTIAL_INVALID"), (500, "MODEL_UNAVAILABLE")])
async def test_a_key_that_the_provider_does_not_take_is_not_kept(owner: Api, endpoint: KeyServer, status: int | None, code: str) -> None:
    provider = await provider_of(owner, endpoint)
    endpoint.status = status
    error = await refused(owner, "providerCredentialSet", providerId=provider["id"], secret=WRONG)
    assert error["code"] == code
    assert WRONG not in str(error)
    assert endpoint.seen == [WRONG]
    assert await credentials_of(owner, provider) == []


@pytest.mark.parametrize("secret", ["short", "with space in it", "a" * 5000, "line\nbreak-in-the-key", "schlüssel-mit-umlaut"])
async def test_a_text_that_is_no_key_is_not_sent_anywhere(owner: Api, endpoint: KeyServer, secret: str) -> None:
    provider = await provider_of(owner, endpoint)
    error = await refused(owner, "providerCredentialSet", providerId=provider["id"], secret=secret)
    assert (error["code"], error["path"]) == ("VALIDATION", ["secret"])
    assert endpoint.seen == []


async def test_a_key_that_is_replaced_keeps_its_id(owner: Api, endpoint: KeyServer) -> None:
    provider = await provider_of(owner, endpoint)
    first = await key_for(owner, provider)
    assert first["label"] == "Acme"
    assert (await refused(owner, "providerCredentialSet", id=first["id"], secret=WRONG))["code"] == "CREDENTIAL_INVALID"
    assert [one["last4"] for one in await credentials_of(owner, provider)] == [KEY[-4:]]
    endpoint.keys.add("sk-later-abcd")
    payload = await done(owner, "providerCredentialSet", CREDENTIAL, id=first["id"], secret="sk-later-abcd")
    assert payload["credential"]["id"] == first["id"]
    assert (payload["credential"]["last4"], payload["credential"]["label"]) == ("bcd", "Acme")
    assert payload["credential"]["rotatedAt"]
    assert [one["last4"] for one in await credentials_of(owner, provider)] == ["bcd"]


async def test_a_message_is_taken_for_a_model_whose_key_cannot_be_read(
    owner: Api, endpoint: KeyServer, stack: Addresses, database: str
) -> None:
    """Keys are opened for the run, which says how it went, and not while somebody says something."""
    provider = await provider_of(owner, endpoint)
    model = await model_of(owner, provider)
    credential = await key_for(owner, provider)
    async with connected(stack, "postgres", database) as admin:
        spoilt = "UPDATE penny.provider_credentials SET secret = reverse(secret) WHERE id = $1"
        assert await admin.execute(spoilt, UUID(credential["id"].partition("_")[2])) == "UPDATE 1"
    sent = await say(owner, await new_chat(owner), "Hello?", modelIds=[model["id"]])
    assert (sent["errors"], len(sent["runs"])) == ([], 1)


async def test_a_key_that_is_forgotten_is_gone(owner: Api, endpoint: KeyServer) -> None:
    provider = await provider_of(owner, endpoint)
    await model_of(owner, provider)
    credential = await key_for(owner, provider)
    assert (await model_named(owner, "acme/large"))["viewerHasAccess"]
    assert (await done(owner, "providerCredentialDelete", "deletedId", credentialId=credential["id"]))["deletedId"] == credential["id"]
    assert not (await model_named(owner, "acme/large"))["viewerHasAccess"]
    assert await credentials_of(owner, provider) == []
    assert (await refused(owner, "providerCredentialDelete", credentialId=credential["id"]))["__typename"] == "NotFoundError"


async def test_a_members_own_key_serves_and_shows_itself_to_nobody_else(
    house: Api, owner: Api, endpoint: KeyServer, process: Process
) -> None:
    provider = await provider_of(owner, endpoint)
    await model_of(owner, provider)
    creator = await member(owner, process, "creator")
    assert (await refused(creator, "providerCredentialSet", providerId=provider["id"], secret=KEY))["code"] == "PERMISSION_DENIED"
    own = await key_for(creator, provider, owner="USER", label="Mine")
    mine = await model_named(creator, "acme/large")
    assert (mine["viewerHasAccess"], mine["deployments"][0]["credentialOwner"]) == (True, "USER")
    assert mine["deployments"][0]["endpoint"] is None
    assert [one["label"] for one in await credentials_of(creator, provider)] == ["Mine"]
    assert not (await model_named(owner, "acme/large"))["viewerHasAccess"]
    assert await credentials_of(owner, provider) == []
    assert (await owner.data("query ($id: ID!) { node(id: $id) { id } }", id=own["id"]))["node"] is None
    assert (await refused(owner, "providerCredentialDelete", credentialId=own["id"]))["__typename"] == "NotFoundError"
    assert (await refused(owner, "providerCredentialSet", id=own["id"], secret=OTHER))["__typename"] == "NotFoundError"
    tenants = await key_for(owner, provider, secret=OTHER)
    assert [one["label"] for one in await credentials_of(creator, provider)] == ["Mine"]
    assert (await refused(creator, "providerCredentialDelete", credentialId=tenants["id"]))["__typename"] == "NotFoundError"
    assert (await model_named(creator, "acme/large"))["deployments"][0]["credentialOwner"] == "USER"
    viewer = await member(owner, process, "viewer")
    assert (await refused(viewer, "providerCredentialSet", providerId=provider["id"], secret=KEY, owner="USER"))[
        "code"
    ] == "PERMISSION_DENIED"


async def test_whoever_moves_an_endpoint_gets_no_key_by_it(owner: Api, endpoint: KeyServer, environment: dict[str, str]) -> None:
    provider = await provider_of(owner, endpoint)
    await model_of(owner, provider)
    await key_for(owner, provider)
    assert (await model_named(owner, "acme/large"))["viewerHasAccess"]
    await provider_of(owner, endpoint, id=provider["id"], endpoint="https://elsewhere.example.com/v1", expectedRevision=1)
    assert not (await model_named(owner, "acme/large"))["viewerHasAccess"]
    await provider_of(owner, endpoint, id=provider["id"], expectedRevision=2)
    assert (await model_named(owner, "acme/large"))["viewerHasAccess"]
    assert endpoint.seen == [KEY]


async def test_no_key_lies_anywhere_in_clear(owner: Api, endpoint: KeyServer, stack: Addresses, database: str) -> None:
    secret = f"sk-{uuid4().hex}"
    endpoint.keys.add(secret)
    await key_for(owner, await provider_of(owner, endpoint), secret=secret)
    dump = await dump_of_database(stack.database_url("postgres", database))
    assert secret[-4:].encode() in dump
    assert secret.encode() not in dump
    assert secret[3:20].encode() not in dump


@pytest.mark.parametrize(
    "address",
    ["http://example.com/v1", "https://127.0.0.1/v1", "https://10.0.0.1/v1", "https://[::1]/v1", "https://user:pw@example.com/v1",
     "https://example.com/v1?key=1", "https://example.com:8443/v1", "http://127.0.0.1:1/v1"],
)  # fmt: skip
async def test_an_endpoint_is_public_or_one_that_the_operator_named(owner: Api, endpoint: KeyServer, address: str) -> None:
    error = await refused(owner, "providerUpsert", key="acme", name="Acme", endpoint=address)
    assert (error["code"], error["path"]) == ("VALIDATION", ["endpoint"])
    providers = (await owner.data("{ providers(first: 100) { nodes { key } } }"))["providers"]["nodes"]
    assert "acme" not in [one["key"] for one in providers]


async def test_names_are_unique_and_revisions_are_watched(owner: Api, endpoint: KeyServer) -> None:
    provider = await provider_of(owner, endpoint)
    for key in ("acme", "openai", "platform"):
        assert (await refused(owner, "providerUpsert", key=key, name="Again", endpoint=endpoint.base_url))["code"] == "CONFLICT"
    changed = await provider_of(owner, endpoint, id=provider["id"], name="Acme Inc.", expectedRevision=1)
    assert (changed["id"], changed["revision"]) == (provider["id"], 2)
    stale = {"id": provider["id"], "key": "acme", "name": "Late", "endpoint": endpoint.base_url, "expectedRevision": 1}
    assert (await refused(owner, "providerUpsert", **stale))["code"] == "CONFLICT"
    model = await model_of(owner, provider)
    again = {"providerId": provider["id"], "key": "large", "name": "Twin", "contextTokens": 1, "capabilities": ["TEXT"]}
    assert (await refused(owner, "modelUpsert", **again))["code"] == "CONFLICT"
    renamed = await model_of(owner, provider, id=model["id"], key="larger", expectedRevision=1)
    assert (renamed["id"], renamed["key"], renamed["revision"]) == (model["id"], "acme/larger", 2)
    assert renamed["deployments"] == model["deployments"]


async def test_a_model_is_asked_at_the_places_that_are_given(owner: Api, endpoint: KeyServer) -> None:
    provider = await provider_of(owner, endpoint, needsKey=False)
    elsewhere = await provider_of(owner, endpoint, key="acme-eu", needsKey=False)
    places = [
        {"region": "us", "weight": 3, "order": 1, "tpm": 1000, "rpm": 10},
        {"providerId": elsewhere["id"], "region": "eu", "remoteName": "Large_v2"},
    ]
    model = await model_of(owner, provider, deployments=places)
    assert [(one["region"], one["weight"], one["order"], one["tpm"], one["rpm"]) for one in model["deployments"]] == [
        ("eu", 1, 0, None, None),
        ("us", 3, 1, 1000, 10),
    ]
    eu, us = model["deployments"]
    assert model["viewerHasAccess"]
    changed = await model_of(owner, provider, id=model["id"], deployments=[{"id": us["id"], "region": "us"}])
    assert [(one["id"], one["weight"]) for one in changed["deployments"]] == [(us["id"], 1)]
    gone = await mutate(owner, "modelUpsert", MODEL, id=model["id"], providerId=provider["id"], key="large", name="Large",
                        contextTokens=8000, capabilities=["TEXT"], deployments=[{"id": eu["id"]}])  # fmt: skip
    assert [error["__typename"] for error in gone["errors"]] == ["NotFoundError"]
    assert [one["id"] for one in (await model_named(owner, "acme/large"))["deployments"]] == [us["id"]]


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"key": "With Space"}, ["key"]),
        ({"contextTokens": 0}, ["contextTokens"]),
        ({"maxOutputTokens": 9000}, ["maxOutputTokens"]),
        ({"capabilities": []}, ["capabilities"]),
        ({"name": "  "}, ["name"]),
        ({"deployments": []}, ["deployments"]),
        ({"deployments": [{"weight": 0}]}, ["deployments", "weight"]),
        ({"deployments": [{"rpm": 0}]}, ["deployments", "rpm"]),
        ({"deployments": [{"region": "e u"}]}, ["deployments", "region"]),
        ({"deployments": [{"remoteName": "a b"}]}, ["deployments", "remoteName"]),
    ],
)
async def test_a_model_that_breaks_a_rule_is_not_made(owner: Api, endpoint: KeyServer, given: dict[str, Any], path: list[str]) -> None:
    provider = await provider_of(owner, endpoint)
    values = {"providerId": provider["id"], "key": "large", "name": "Large", "contextTokens": 8000, "capabilities": ["TEXT"]}
    error = await refused(owner, "modelUpsert", **(values | given))
    assert (error["code"], error["path"]) == ("VALIDATION", path)
    assert "acme/large" not in [one["key"] for one in (await models_of(owner, usable=False))["nodes"]]


async def test_the_tenants_own_price_counts_for_its_own_keys_alone(owner: Api, endpoint: KeyServer) -> None:
    provider = await provider_of(owner, endpoint, needsKey=False)
    model = await model_of(owner, provider)
    price = "price { id version source currency inputPerMTok outputPerMTok cacheReadPerMTok effectiveFrom effectiveTo }"
    set_ = (await done(owner, "modelPriceSet", price, modelId=model["id"], currency="EUR", inputPerMTok="0.000000125", outputPerMTok=2))[
        "price"
    ]
    assert (set_["source"], set_["currency"], set_["inputPerMTok"], set_["outputPerMTok"]) == ("TENANT_CONTRACT", "EUR", "0.000000125", "2")
    assert (await model_named(owner, "acme/large"))["price"]["version"] == set_["version"]
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    await done(owner, "modelPriceSet", price, modelId=model["id"], inputPerMTok=5, outputPerMTok=5, effectiveFrom=later)
    assert (await model_named(owner, "acme/large"))["price"]["version"] == set_["version"]
    newer = (await done(owner, "modelPriceSet", price, modelId=model["id"], inputPerMTok=3, outputPerMTok=4))["price"]
    assert (await model_named(owner, "acme/large"))["price"]["version"] == newer["version"]
    scripted = await model_named(owner, "platform/scripted")
    await done(owner, "modelPriceSet", price, modelId=scripted["id"], inputPerMTok=0, outputPerMTok=0)
    assert (await model_named(owner, "platform/scripted"))["price"] is None
    found = await owner.data("query ($id: ID!) { node(id: $id) { ... on ModelPrice { version } } }", id=set_["id"])
    assert found["node"] == {"version": set_["version"]}


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"inputPerMTok": "-1"}, ["inputPerMTok"]),
        ({"cacheReadPerMTok": "1000000000.5"}, ["cacheReadPerMTok"]),
        ({"currency": "eur"}, ["currency"]),
        ({"effectiveFrom": "2026-01-02T00:00:00Z", "effectiveTo": "2026-01-01T00:00:00Z"}, ["effectiveTo"]),
    ],
)
async def test_a_price_that_breaks_a_rule_is_not_set(owner: Api, given: dict[str, Any], path: list[str]) -> None:
    gpt = await model_named(owner, "openai/gpt-5")
    error = await refused(owner, "modelPriceSet", **({"modelId": gpt["id"], "inputPerMTok": 1, "outputPerMTok": 1} | given))
    assert (error["code"], error["path"]) == ("VALIDATION", path)
    assert (await model_named(owner, "openai/gpt-5"))["price"] == gpt["price"]


async def test_a_float_is_no_price(owner: Api) -> None:
    gpt = await model_named(owner, "openai/gpt-5")
    document = "mutation ($input: ModelPriceSetInput!) { modelPriceSet(input: $input) { price { id } } }"
    response = await owner.post(document, input={"modelId": gpt["id"], "inputPerMTok": 0.1, "outputPerMTok": 1})
    assert "decimal text" in response["errors"][0]["message"]
    assert Decimal((await model_named(owner, "openai/gpt-5"))["price"]["inputPerMTok"]) == Decimal("1.25")


async def test_a_place_that_is_drained_is_not_chosen_and_comes_back(owner: Api, house: Api) -> None:
    (place,) = (await model_named(owner, "platform/scripted"))["deployments"]
    drained = await done(owner, "deploymentDrain", f"deployment {{ {DEPLOYMENT} }}", deploymentId=place["id"])
    assert drained["deployment"]["draining"]
    assert "platform/scripted" not in [one["key"] for one in (await models_of(owner))["nodes"]]
    other = await house.sign_up()
    assert "platform/scripted" in [one["key"] for one in (await models_of(other))["nodes"]]
    await done(owner, "deploymentDrain", "deployment { id }", deploymentId=place["id"])
    back = await done(owner, "deploymentDrain", "deployment { draining }", deploymentId=place["id"], draining=False)
    assert not back["deployment"]["draining"]
    assert "platform/scripted" in [one["key"] for one in (await models_of(owner))["nodes"]]


async def test_a_policy_says_where_and_what_follows_a_failure(owner: Api, endpoint: KeyServer) -> None:
    provider = await provider_of(owner, endpoint, needsKey=False)
    model = await model_of(owner, provider, deployments=[{"region": "us"}, {"region": "eu"}])
    us, eu = model["deployments"]
    scripted = await model_named(owner, "platform/scripted")
    given = {
        "name": "Europe first", "candidates": [eu["id"], us["id"]], "maxRetries": 3, "midStream": "RESTART", "stickyPromptCache": False,
        "fallbacks": [{"on": ["TIMEOUT", "RATE_LIMIT"], "to": [scripted["id"]]}], "allowedRegions": ["eu", "us"],
    }  # fmt: skip
    policy = (await done(owner, "routingPolicyUpsert", POLICY, **given))["policy"]
    assert policy | {"id": ""} == {
        "id": "", "name": "Europe first", "strategy": "PRIORITY", "candidates": [{"id": eu["id"]}, {"id": us["id"]}],
        "fallbacks": [{"on": ["RATE_LIMIT", "TIMEOUT"], "to": [{"key": "platform/scripted"}]}], "maxRetries": 3, "stickyPromptCache": False,
        "midStream": "RESTART", "allowedRegions": ["eu", "us"], "revision": 1,
    }  # fmt: skip
    changed = await done(owner, "routingPolicyUpsert", POLICY, id=policy["id"], name="Anywhere", expectedRevision=1)
    assert (changed["policy"]["candidates"], changed["policy"]["fallbacks"], changed["policy"]["revision"]) == ([], [], 2)
    assert (await refused(owner, "routingPolicyUpsert", id=policy["id"], name="Late", expectedRevision=1))["code"] == "CONFLICT"
    assert (await refused(owner, "routingPolicyUpsert", name="Anywhere"))["code"] == "CONFLICT"
    shown = (await owner.data(f"{{ routingPolicies(first: 10) {{ totalCount nodes {POLICY.removeprefix('policy')} }} }}"))[
        "routingPolicies"
    ]
    assert shown == {"totalCount": 1, "nodes": [changed["policy"]]}


@pytest.mark.parametrize(
    ("given", "code", "path"),
    [
        ({"maxRetries": 11}, "VALIDATION", ["maxRetries"]),
        ({"name": ""}, "VALIDATION", ["name"]),
        ({"allowedRegions": ["not a region"]}, "VALIDATION", ["allowedRegions"]),
        ({"fallbacks": [{"on": [], "to": []}]}, "VALIDATION", ["fallbacks"]),
        ({"candidates": [f"dep_{uuid4().hex}"]}, "NOT_FOUND", ["candidates"]),
        ({"fallbacks": [{"on": ["AUTH"], "to": [f"mdl_{uuid4().hex}"]}]}, "NOT_FOUND", ["fallbacks", "to"]),
    ],
)
async def test_a_policy_that_breaks_a_rule_is_not_made(owner: Api, given: dict[str, Any], code: str, path: list[str]) -> None:
    error = await refused(owner, "routingPolicyUpsert", **({"name": "Odd"} | given))
    assert (error["code"], error["path"]) == (code, path)
    assert (await owner.data("{ routingPolicies(first: 1) { totalCount } }"))["routingPolicies"]["totalCount"] == 0


async def test_another_tenant_sees_and_changes_nothing_of_it(house: Api, owner: Api, endpoint: KeyServer, process: Process) -> None:
    provider = await provider_of(owner, endpoint)
    credential = await key_for(owner, provider)
    model = await model_of(owner, provider)
    policy = (await done(owner, "routingPolicyUpsert", POLICY, name="Ours"))["policy"]
    price = (await done(owner, "modelPriceSet", "price { id }", modelId=model["id"], inputPerMTok=1, outputPerMTok=1))["price"]
    stranger = await house.sign_up()
    ids = [provider["id"], credential["id"], model["id"], model["deployments"][0]["id"], policy["id"], price["id"]]
    found = await stranger.data("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=ids)
    assert found["nodes"] == [None] * len(ids)
    asked = len(endpoint.seen)
    new = {"key": "k", "name": "N", "contextTokens": 1, "capabilities": ["TEXT"]}
    for field, given in (
        ("providerUpsert", {"id": provider["id"], "key": "theirs", "name": "N", "endpoint": endpoint.base_url}),
        ("providerCredentialSet", {"providerId": provider["id"], "secret": KEY}),
        ("providerCredentialSet", {"id": credential["id"], "secret": KEY}),
        ("providerCredentialDelete", {"credentialId": credential["id"]}),
        ("modelUpsert", {"providerId": provider["id"], **new}),
        ("modelPriceSet", {"modelId": model["id"], "inputPerMTok": 1, "outputPerMTok": 1}),
        ("routingPolicyUpsert", {"id": policy["id"], "name": "Theirs"}),
        ("routingPolicyUpsert", {"name": "Theirs", "candidates": [model["deployments"][0]["id"]]}),
        ("deploymentDrain", {"deploymentId": model["deployments"][0]["id"]}),
    ):
        assert (await refused(stranger, field, **given))["__typename"] == "NotFoundError", field
    assert len(endpoint.seen) == asked
    assert not (await model_named(owner, "acme/large"))["deployments"][0]["draining"]
    creator = await member(owner, process, "creator")
    for field, given in (
        ("providerUpsert", {"key": "mine", "name": "N", "endpoint": endpoint.base_url}),
        ("modelUpsert", {"providerId": provider["id"], **new}),
        ("modelPriceSet", {"modelId": model["id"], "inputPerMTok": 1, "outputPerMTok": 1}),
        ("routingPolicyUpsert", {"name": "Mine"}),
        ("deploymentDrain", {"deploymentId": model["deployments"][0]["id"]}),
    ):
        assert (await refused(creator, field, **given))["__typename"] == "PermissionDeniedError", field
    assert await code_of(creator, "{ routingPolicies(first: 1) { totalCount } }") == "PERMISSION_DENIED"
    assert [one["id"] for one in await credentials_of(owner, provider)] == [credential["id"]]
    shown = (await owner.data("{ routingPolicies(first: 10) { nodes { name } } }"))["routingPolicies"]["nodes"]
    assert shown == [{"name": "Ours"}]
