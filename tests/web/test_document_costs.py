"""What a document would cost is said before it is sent; nothing of it runs, and asking is paid for."""

from typing import Any
from uuid import uuid4

import pytest

from tests.api.manifests import SIGN_IN, VIEWER, flat, live, publish, published
from tests.api.people import code_of
from tests.chat.talking import new_chat
from tests.running import Api, running_web
from tests.web.test_rates import CHATS, sent

COST = """query Cost($document: String!, $operationName: String, $variables: JSON) {
  documentCost(document: $document, operationName: $operationName, variables: $variables) { refusal operationName cost depth aliases }
}"""
CREATE = """mutation Create($input: ChatCreateInput!) { chatCreate(input: $input) { chat { id } errors { code } } }"""


async def appraised(api: Api, document: str, operation_name: str | None = None, **variables: Any) -> dict[str, Any]:
    told: dict[str, Any] = (await api.data(COST, document=document, operationName=operation_name, variables=variables))["documentCost"]
    return told


async def test_the_cost_is_what_is_charged(api: Api) -> None:
    ada = await api.sign_up()
    for size in (1, 20):
        told = await appraised(ada, CHATS, n=size)
        assert told == {
            "refusal": None, "operationName": None, "cost": (await ada.post(CHATS, n=size))["extensions"]["cost"]["requested"],
            "depth": 5, "aliases": 0,
        }  # fmt: skip
    two = "query Small { viewer { permissions } } query Large { a: chats(first: 50) { nodes { id } } }"
    small, large = await appraised(ada, two, "Small"), await appraised(ada, two, "Large")
    assert (small["operationName"], large["operationName"], large["aliases"]) == ("Small", "Large", 1)
    assert small["cost"] < 50 < large["cost"]


async def test_anybody_may_ask_and_nothing_runs(api: Api) -> None:
    told = await appraised(api, CREATE, input={"idempotencyKey": "k"})
    assert told["refusal"] is None
    ada = await api.sign_up()
    await new_chat(ada)
    assert (await appraised(ada, CREATE, input={"idempotencyKey": "k"}))["cost"] == told["cost"] > 0
    assert len((await ada.data("{ chats(first: 9) { nodes { id } } }"))["chats"]["nodes"]) == 1


@pytest.mark.parametrize(
    ("document", "refusal", "cost"),
    [
        ("{", "Syntax Error", False),
        ("{ nothing }", "Cannot query field 'nothing'", False),
        ("query A { __typename } query B { __typename }", "Name one of the document's operations", False),
        ("fragment F on Query { __typename }", "Fragment 'F' is never used", False),
        ("{ chats(first: 100) { nodes { messages(last: 100) { nodes { id chat { id } } } } } }", "costs too much", True),
        ("{" + " ".join(f"a{n}: __typename" for n in range(60)) + "}", "too many aliases", True),
        ("{ a: chats(first: 999999) { nodes { messages(last: 999999) { nodes { id chat { id } } } } } }", "costs too much", True),
    ],
)
async def test_what_would_not_run_is_told_with_its_numbers(api: Api, document: str, refusal: str, *, cost: bool) -> None:
    told = await appraised(api, document)
    assert refusal in told["refusal"]
    assert (told["cost"] is not None, told["depth"] is not None) == (cost, cost)


async def test_variables_are_an_object(api: Api) -> None:
    answer = await api.post(COST, document="{ __typename }", variables=[1])
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["BAD_USER_INPUT"]


async def test_asking_is_paid_for(environment: dict[str, str]) -> None:
    little = {"PENNY_RATE_LIMIT_ADDRESS_POINTS": "60", "PENNY_RATE_LIMIT_ADDRESS_PER_SECOND": "1", "PENNY_GRAPHQL_MAX_COST": "40"}
    async with running_web({**environment, **little, "PENNY_VALKEY_PREFIX": f"asking-{uuid4()}"}) as (url, _):
        ask = '{ documentCost(document: "{ __typename }") { cost } }'
        answers = [(await sent(url, ask))[2] for _ in range(8)]
    # Ten for what is asked after each time, one for asking, and ten once for a document that nobody knew.
    assert [answer["data"]["documentCost"]["cost"] for answer in answers[:4]] == [1] * 4
    refused = answers[-1]
    assert refused["data"] is None
    assert refused["errors"][0]["extensions"]["code"] == "THROTTLED"


async def test_asking_after_what_is_known_costs_no_reading(environment: dict[str, str]) -> None:
    little = {"PENNY_RATE_LIMIT_ADDRESS_POINTS": "60", "PENNY_RATE_LIMIT_ADDRESS_PER_SECOND": "1", "PENNY_GRAPHQL_MAX_COST": "40"}
    async with running_web({**environment, **little, "PENNY_VALKEY_PREFIX": f"knowing-{uuid4()}"}) as (url, _):
        assert (await sent(url, "{ __typename }"))[2]["data"] == {"__typename": "Query"}
        ask = '{ documentCost(document: "{ __typename }") { cost } }'
        answers = [(await sent(url, ask))[2] for _ in range(20)]
    # Ten for each of the two documents, once, and one for each time that it is asked.
    assert [answer["data"]["documentCost"]["cost"] for answer in answers] == [1] * 20


async def test_each_document_that_is_published_is_paid_for_before_anything_is_written(api: Api, environment: dict[str, str]) -> None:
    ada = await api.sign_up()
    little = {"PENNY_GRAPHQL_UNKNOWN_POINTS": "1000", "PENNY_RATE_LIMIT_PRINCIPAL_POINTS": "4000", "PENNY_GRAPHQL_MAX_COST": "4000"}
    little |= {"PENNY_RATE_LIMIT_PRINCIPAL_PER_SECOND": "1", "PENNY_VALKEY_PREFIX": f"publishing-{uuid4()}"}
    async with running_web({**environment, **little}) as (url, _), Api(url, ada.token) as other:
        # 1,000 for the operation, which is read once, and 50 each time it is sent; 1,000 for each document that is new.
        refused = await published(other, flat(VIEWER, SIGN_IN, "{ __typename }"))
        assert ([error["code"] for error in refused["errors"]], refused["manifest"]) == (["RATE_LIMITED"], None)
        assert await live(ada) == []
        made = await published(other, flat(VIEWER, SIGN_IN))
        assert (made["errors"], made["manifest"]["documentCount"]) == ([], 2), "these two are paid for"
        again = await published(other, {**flat(VIEWER, SIGN_IN), "viewer": VIEWER}, version="2")
        assert (again["errors"], again["manifest"]["documentCount"]) == ([], 2)


async def test_documents_of_manifests_are_judged_once_and_that_is_paid_for(api: Api, environment: dict[str, str]) -> None:
    ada = await api.sign_up()
    await publish(ada, VIEWER, SIGN_IN, version="1")
    await publish(ada, VIEWER, version="2")
    # 1,000 for the operation, 1,000 for each document, and about 500 for asking three times: not enough is left for one document more.
    little = {"PENNY_GRAPHQL_UNKNOWN_POINTS": "1000", "PENNY_RATE_LIMIT_PRINCIPAL_POINTS": "4000", "PENNY_GRAPHQL_MAX_COST": "4000"}
    little |= {"PENNY_RATE_LIMIT_PRINCIPAL_PER_SECOND": "1", "PENNY_VALKEY_PREFIX": f"judging-{uuid4()}"}
    async with running_web({**environment, **little}) as (url, _), Api(url, ada.token) as other:
        ask = "query ($n: Int!) { documentManifests(first: $n) { nodes { breakingChanges } } }"
        # One after the other: two that are looked at in the same moment, as graphql-core does it, may both pay for what they share.
        for count in (1, 2, 2):
            assert (await other.data(ask, n=count))["documentManifests"]["nodes"] == [{"breakingChanges": []}] * count
        await publish(ada, "{ __typename }", version="3")
        assert await code_of(other, ask, n=2) == "THROTTLED"
