"""Runs are routed by their policy through a real worker; each change is told in the log, and each attempt is counted once."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from inference.models import FailureKind
from stack.addresses import Addresses
from tests.api.people import done, refused
from tests.api.test_routes import explained
from tests.chat.houses import EVENTS, House
from tests.chat.talking import Heard, ask, hear, new_chat, say
from tests.db.databases import connected
from tests.inference.fault_server import WELL, WORDS, Fault
from tests.inference.speeches import USED
from tests.running import Api

TEXT, HALF = "".join(WORDS), "".join(WORDS[:3])


def told(heard: Heard, name: str) -> list[dict[str, Any]]:
    return [event for event in heard.events if event["__typename"] == name]


def check_offsets(heard: Heard) -> None:
    """No part is ever told anything but what follows."""
    ends: dict[str, int] = {}
    for event in told(heard, "TextDelta"):
        assert event["offset"] == ends.get(event["partId"], 0)
        ends[event["partId"]] = event["offset"] + len(event["text"])
    assert heard.seqs == list(range(1, len(heard.seqs) + 1))


async def attempts_of(stack: Addresses, house: House) -> list[Any]:
    async with connected(stack, "postgres", house.database) as admin:
        found: list[Any] = await admin.fetch(
            "SELECT * FROM penny.attempts WHERE model LIKE 'acme/%' AND tenant_id = (SELECT tenant_id FROM penny.attempts"
            " ORDER BY started_at DESC LIMIT 1) ORDER BY started_at"
        )
        return found


async def test_a_run_says_who_answers_and_why(house: House) -> None:
    policy_id = await house.policy("a")
    heard = await house.hear(policy_id)
    (started,) = told(heard, "RunStarted")
    route = {
        "model": "acme/a", "region": "eu", "credentialOwner": "TENANT", "reason": "It is the only one that fits.",
        "policy": {"id": policy_id}, "chosen": {"id": house.deployments["a"]},
    }  # fmt: skip
    assert (started["model"], started["route"]) == ("Model a", route | {"attempts": []})
    attempts = heard.end["route"].pop("attempts")
    assert heard.end["route"] == route
    assert [(one["number"], one["model"], one["failure"], one["message"]) for one in attempts] == [(1, "acme/a", None, None)]
    assert (heard.text, heard.end["status"]) == (TEXT, "COMPLETED")
    assert heard.end["usage"] == {
        "inputTokens": USED.input_tokens, "outputTokens": USED.output_tokens, "cacheReadTokens": USED.cache_read_tokens,
        "reasoningTokens": USED.reasoning_tokens, "estimated": False, "cost": None, "priceVersions": [],
    }  # fmt: skip


@pytest.mark.parametrize("kind", FailureKind)
async def test_a_failure_before_the_first_token_is_followed_and_told(house: House, kind: FailureKind) -> None:
    house.plan("a", Fault(refuse=kind))
    policy_id = await house.policy("a", fallbacks=[{"on": [kind.value], "to": [house.models["b"]]}])
    heard = await house.hear(policy_id)
    assert (heard.text, heard.end["status"]) == (TEXT, "COMPLETED")
    (change,) = told(heard, "RouteChanged")
    assert (change["attempt"]["failure"], change["attempt"]["deployment"]["id"]) == (kind.value, house.deployments["a"])
    assert (change["next"]["id"], change["decision"]["model"]) == (house.deployments["b"], "acme/b")
    assert change["decision"]["reason"] == f"The policy falls back to it after {kind}."
    assert (change["continuesPartial"], change["restarts"]) == (False, False)
    assert [(one["number"], one["failure"]) for one in heard.end["route"]["attempts"]] == [(1, kind.value), (2, None)]
    assert heard.end["usage"]["outputTokens"] == USED.output_tokens
    check_offsets(heard)


@pytest.mark.parametrize("mode", ["TERMINATE", "RESTART", "CONTINUE_PARTIAL"])
@pytest.mark.parametrize("kind", FailureKind)
async def test_a_failure_in_mid_answer_is_dealt_with_as_the_policy_says(
    house: House, stack: Addresses, kind: FailureKind, mode: str
) -> None:
    house.plan("a", Fault(error_at=(3, kind)))
    house.plan("b", Fault(words=WORDS[3:]) if mode == "CONTINUE_PARTIAL" else WELL)
    policy_id = await house.policy("a", fallbacks=[{"on": [kind.value], "to": [house.models["b"]]}], midStream=mode)
    heard = await house.hear(policy_id)
    check_offsets(heard)
    (output,) = heard.end["outputs"]
    changes = [(one["continuesPartial"], one["restarts"]) for one in told(heard, "RouteChanged")]
    if mode == "TERMINATE":
        assert (heard.end["status"], changes) == ("FAILED", [])
        assert output["parts"] == [{"text": HALF, "incomplete": False}]
    elif mode == "RESTART":
        assert (heard.end["status"], changes) == ("COMPLETED", [(False, True)])
        assert output["parts"] == [{"text": HALF, "incomplete": True}, {"text": TEXT, "incomplete": False}]
        assert [one["part"]["incomplete"] for one in told(heard, "PartCompleted")] == [True, False]
    else:
        assert (heard.end["status"], changes) == ("COMPLETED", [(True, False)])
        assert output["parts"] == [{"text": TEXT, "incomplete": False}]
    rows = await attempts_of(stack, house)
    assert [row["failure"] for row in rows] == ([kind] if mode == "TERMINATE" else [kind, None])
    assert all(row["ended_at"] is not None and row["output_tokens"] > 0 for row in rows)
    assert sum(row["output_tokens"] for row in rows) == heard.end["usage"]["outputTokens"]
    assert sum(row["input_tokens"] for row in rows) == heard.end["usage"]["inputTokens"]


@pytest.mark.parametrize("currency", ["EUR", "USD", None])
async def test_a_run_costs_what_its_attempts_cost(house: House, currency: str | None) -> None:
    house.plan("a", Fault(error_at=(3, FailureKind.SERVER_ERROR)))
    versions = [await house.price("a", 2)]
    if currency:
        versions.append(await house.price("b", 3, currency))
    rule = {"on": ["SERVER_ERROR"], "to": [house.models["b"]]}
    heard = await house.hear(await house.policy("a", fallbacks=[rule], midStream="RESTART"))
    billed = [one["billed"] for one in heard.end["route"]["attempts"]]
    whole = (USED.input_tokens + USED.cache_read_tokens) * 3 + (USED.output_tokens + USED.reasoning_tokens) * 30
    assert billed[1] == (currency and {"amount": str(Decimal(whole).scaleb(-6).normalize()), "currency": currency})
    usages = [one["usage"] for one in (*told(heard, "UsageTick"), heard.end)]
    cost = {"amount": str(sum(Decimal(one["amount"]) for one in billed)), "currency": "EUR"} if currency == "EUR" else None
    assert usages[-1] == usages[-1] | {"cost": cost, "priceVersions": versions}
    # What goes on is told without its cost.
    assert usages[0] == usages[-1] | {"cost": None, "priceVersions": []}


async def test_what_broke_off_is_not_told_to_the_next_model(house: House) -> None:
    house.plan("a", Fault(error_at=(3, FailureKind.SERVER_ERROR)))
    rule = {"on": ["SERVER_ERROR"], "to": [house.models["b"]]}
    policy_id, chat_id = await house.policy("a", fallbacks=[rule], midStream="RESTART"), await new_chat(house.api)
    await house.hear(policy_id, chat_id=chat_id)
    await house.hear(policy_id, chat_id=chat_id, model="b")
    said = [message["content"] for message in house.server.of(house.name("b"))[-1].body["messages"]]
    assert said == ["Tell me.", TEXT, "Tell me."]


async def test_a_run_that_nobody_can_answer_fails_with_all_that_was_tried(house: House) -> None:
    house.plan("a", Fault(status=503))
    heard = await house.hear(await house.policy("a", maxRetries=2))
    assert (heard.end["status"], heard.end["error"]["code"]) == ("FAILED", "PROVIDER_FAILED")
    assert [one["failure"] for one in heard.end["route"]["attempts"]] == ["SERVER_ERROR"] * 3
    assert [one["reason"] for one in heard.end["route"]["attempts"][1:]] == ["It is asked again."] * 2
    assert len(told(heard, "RouteChanged")) == 2


WRITTEN = b'{"error": {"message": "key sk-secret of host models.internal"}}'


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        pytest.param(Fault(status=503), "PROVIDER_FAILED", "failed to answer (HTTP status 503).", id="a fault of the provider's"),
        pytest.param(Fault(cut_at=3), "PROVIDER_FAILED", "broke off", id="a connection that breaks"),
        pytest.param(Fault(malformed_at=0), "PROVIDER_FAILED", "or what came was no answer.", id="nonsense"),
        pytest.param(Fault(refuse=FailureKind.TIMEOUT), "PROVIDER_TIMEOUT", "did not answer in time", id="a timeout"),
        pytest.param(Fault(status=400), "PROVIDER_REFUSED", "refused the question as it was put (HTTP status 400).", id="a bad question"),
        pytest.param(Fault(status=401), "CREDENTIAL_INVALID", "refused the credentials (HTTP status 401).", id="a wrong key"),
        pytest.param(Fault(status=404), "MODEL_UNAVAILABLE", "does not know the model", id="a model that is not there"),
        pytest.param(Fault(status=402), "PROVIDER_CREDIT_SPENT", "has no credit left.", id="an empty account"),
        pytest.param(Fault(status=429), "RATE_LIMITED", "asked too much at the moment (HTTP status 429).", id="too many questions"),
        pytest.param(Fault(refuse=FailureKind.CONTEXT_WINDOW), "CONTEXT_OVERFLOW", "too long for the model.", id="too long"),
        pytest.param(Fault(refuse=FailureKind.CONTENT_POLICY), "CONTENT_BLOCKED", "refused this content.", id="content"),
    ],
)
async def test_a_run_says_what_happened_and_nothing_that_the_provider_wrote(house: House, fault: Fault, code: str, said: str) -> None:
    house.plan("a", fault if fault.status is None else replace(fault, body=WRITTEN))
    heard = await house.hear(await house.policy("a", maxRetries=0))
    error = heard.end["error"]
    assert (heard.end["status"], error["code"]) == ("FAILED", code)
    assert said in error["message"]
    assert [one["message"] for one in heard.end["route"]["attempts"]] == [error["message"]]
    assert not any(word in error["message"] for word in ("secret", "internal", house.server.base_url.removeprefix("http://")))


async def test_a_model_that_is_left_alone_says_until_when_and_is_not_asked(house: House) -> None:
    house.plan("a", Fault(status=429, retry_after="300"), WELL)
    policy_id = await house.policy("a", maxRetries=0)
    began = datetime.now(UTC)
    refused_once = (await house.hear(policy_id)).end["error"]
    heard = await house.hear(policy_id)
    assert [refused_once["code"], heard.end["error"]["code"]] == ["RATE_LIMITED", "MODEL_COOLING_DOWN"]
    for error in (refused_once, heard.end["error"]):
        (again,) = re.findall(r" Ask again from (\S+Z) on\.$", error["message"])
        assert timedelta(0) <= datetime.fromisoformat(again) - began - timedelta(minutes=5) < timedelta(minutes=1)
    assert house.server.count(house.name("a")) == 1


async def test_a_region_that_is_not_allowed_is_not_asked(house: House) -> None:
    heard = await house.hear(await house.policy("a", allowedRegions=["us"]))
    assert (heard.end["status"], heard.end["route"]) == ("FAILED", None)
    assert heard.end["error"] == {"code": "MODEL_UNAVAILABLE", "message": "No model that may be asked can answer this."}
    assert told(heard, "RunStarted")[0]["route"] is None
    assert house.server.count(house.name("a")) == 0


async def test_an_answer_is_not_stopped_by_what_its_model_could_not_read(house: House) -> None:
    house.plan("a", Fault(hang_at=3), WELL)
    sent = await say(house.api, await new_chat(house.api), "Tell me.", modelIds=[house.models["a"]])
    run_id = sent["runs"][0]["id"]
    await hear(house.api, run_id, until=4)
    given = {"runId": run_id, "content": [{"text": "x" * 40_000}], "idempotencyKey": uuid4().hex}
    assert (await refused(house.api, "runSteer", **given))["code"] == "CONTEXT_OVERFLOW"
    query = "query ($id: ID!) { node(id: $id) { ... on Run { status } } }"
    assert (await house.api.data(query, id=run_id))["node"]["status"] == "RUNNING"
    steered = await done(house.api, "runSteer", "run { id }", **given | {"content": [{"text": "Tell me all."}]})
    assert (await hear(house.api, steered["run"]["id"])).end["status"] == "COMPLETED"


@pytest.mark.parametrize("field", ["messageEdit", "messageRegenerate", "runContinue"])
async def test_what_is_asked_again_goes_where_it_was_allowed_to_go(house: House, stack: Addresses, field: str) -> None:
    policy_id = await house.policy("b", allowedRegions=["eu"])
    chat_id = await new_chat(house.api)
    given: dict[str, Any] = {"modelIds": [house.models["b"]], "routingPolicyId": policy_id, "maxOutputTokens": 7}
    sent = await say(house.api, chat_id, "Tell me.", **given)
    await hear(house.api, sent["runs"][0]["id"])
    about = {"messageId": sent["message"]["id"]} if field != "runContinue" else {"runId": sent["runs"][0]["id"]}
    more: dict[str, dict[str, Any]] = {
        "messageEdit": {"content": [{"text": "Tell me all."}]},
        "messageRegenerate": {"modelIds": [house.models["b"]]},
    }
    selection = "run { id }" if field == "runContinue" else "runs { id }"
    payload = await done(house.api, field, selection, idempotencyKey=uuid4().hex, **about, **more.get(field, {}))
    run_id = (payload["run"] if field == "runContinue" else payload["runs"][0])["id"]
    assert (await hear(house.api, run_id)).end["status"] == "FAILED", "the policy's place is in another region"
    assert house.server.count(house.name("b")) == 0
    async with connected(stack, "postgres", house.database) as admin:
        rows = await admin.fetch(
            "SELECT routing_policy_id, max_output_tokens FROM penny.runs WHERE chat_id = $1", UUID(chat_id.partition("_")[2])
        )
    assert [tuple(row) for row in rows] == [(UUID(policy_id.partition("_")[2]), 7)] * 2


async def test_a_policy_of_another_tenant_is_not_found_and_nothing_is_sent(house: House, opened: tuple[Api, str]) -> None:
    policy_id = await house.policy("a")
    eve = await opened[0].sign_up()
    chat_id = await new_chat(eve)
    payload = await say(eve, chat_id, "x", routingPolicyId=policy_id)
    assert [(error["__typename"], error["path"]) for error in payload["errors"]] == [("NotFoundError", ["routingPolicyId"])]
    assert payload["runs"] is None


async def test_without_a_policy_the_platform_s_own_model_answers(house: House) -> None:
    chat_id = await new_chat(house.api)
    run_id = await ask(house.api, chat_id, "!script tokens=2")
    heard = Heard()
    async for payload in house.api.subscribe(EVENTS, runId=run_id):
        heard.events.append(payload["data"]["runEvents"])
    assert heard.end["route"]["model"] == "platform/scripted"
    assert heard.end["route"]["credentialOwner"] == "PLATFORM"


async def test_of_each_place_it_is_said_why_it_cannot_answer(house: House) -> None:
    """One is in a region that is not allowed, one left alone after a failure; a question may be too long for all, or a key lacking."""
    policy_id = await house.policy("a", "b", allowedRegions=["us"])
    decision = await explained(house.api, modelId=house.models["b"], routingPolicyId=policy_id)
    assert (decision["model"], decision["chosen"], decision["candidates"]) == (
        "acme/b",
        {"id": house.deployments["b"]},
        [candidate(house, "b", "us", "It is the only one that fits.", available=True)],
    )
    nowhere = await house.policy("a", allowedRegions=["mars"])
    decision = await explained(house.api, modelId=house.models["a"], routingPolicyId=nowhere)
    assert (decision["chosen"], decision["policy"], decision["reason"]) == (
        None, {"id": nowhere}, "No model that may be asked can answer this.",
    )  # fmt: skip
    assert decision["candidates"] == [candidate(house, "a", "eu", "not in an allowed region")]
    decision = await explained(house.api, modelId=house.models["a"], content=[{"text": "x" * 40_000}])
    assert (decision["chosen"], decision["candidates"]) == (None, [candidate(house, "a", "eu", "the message is too long for it")])
    assert re.fullmatch(r"The message takes about 10,\d+ tokens, and [\d,]+ can be read beside an answer.", decision["reason"])
    house.plan("a", Fault(status=429, retry_after="300"))
    await house.hear(await house.policy("a", maxRetries=0))
    decision = await explained(house.api, modelId=house.models["a"])
    (cooled,) = decision["candidates"]
    assert (cooled["available"], cooled["reason"].startswith("cooling down for ")) == (False, True)
    assert decision["reason"].startswith("All cool down;")
    await done(house.api, "deploymentDrain", deploymentId=house.deployments["a"])
    decision = await explained(house.api, modelId=house.models["a"])
    assert (decision["chosen"], decision["candidates"]) == (None, [candidate(house, "a", "eu", "it is drained")])
    assert decision["reason"] == "Model a cannot be asked: it is drained."
    # So it is where nobody named the model.
    (place,) = (await explained(house.api))["candidates"]
    await done(house.api, "deploymentDrain", deploymentId=place["deployment"]["id"])
    decision = await explained(house.api)
    place |= {"available": False, "reason": "it is drained"}
    assert (decision["chosen"], decision["candidates"]) == (None, [place])
    decision = await explained(house.api, routingPolicyId=await house.policy("a"))
    assert (decision["chosen"], decision["candidates"]) == (None, [candidate(house, "a", "eu", "it is drained"), place])


def candidate(house: House, letter: str, region: str, reason: str, *, available: bool = False) -> dict[str, Any]:
    deployment = {"id": house.deployments[letter]}
    return {"deployment": deployment, "model": f"acme/{letter}", "region": region, "available": available, "reason": reason}
