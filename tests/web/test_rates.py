"""Who asks too much is told so, in headers, over HTTP and over sockets, and what an operation costs is said with its answer."""

import asyncio
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from auth.rates import Charge
from auth.tokens import new_api_key
from auth.viewers import Viewer
from db.pools import DatabaseIsUnavailable
from errors import Unauthenticated
from resolvers.operations import Caller
from schema.schema import build_schema
from settings import Settings
from tests.chat.talking import new_chat
from tests.running import Api, Server, running_web
from tests.web.test_sockets import begun, connected, received, subscribe
from web.door import Door
from web.works import Process

CHATS = "query ($n: Int!) { chats(first: $n) { nodes { id messages(last: 10) { nodes { id } pageInfo { hasNextPage } } } } }"
RATE_LIMIT = "{ rateLimit { requestedCost limit remaining restorePerSecond resetAt } }"


async def sent(url: str, query: str, token: str | None = None, **headers: str) -> tuple[int, dict[str, str], Any]:
    given = {**headers, **({"authorization": f"Bearer {token}"} if token else {})}
    async with aiohttp.ClientSession() as session, session.post(f"{url}/graphql", json={"query": query}, headers=given) as answer:
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}, await answer.json()


async def test_every_answer_says_what_it_was_charged_and_what_it_cost(api: Api) -> None:
    ada = await api.sign_up()
    empty = (await ada.post(CHATS, n=20))["extensions"]["cost"]
    await new_chat(ada)
    one = (await ada.post(CHATS, n=20))["extensions"]["cost"]
    full = (await ada.post(CHATS, n=1))["extensions"]["cost"]
    assert empty["requested"] == one["requested"] > 20 * full["requested"] / 2
    assert 0 < empty["actual"] < one["actual"] <= full["requested"]
    assert full["actual"] == one["actual"]


async def test_the_bucket_is_told_in_headers_and_by_the_api(api: Api, server: Server) -> None:
    ada = await api.sign_up()
    status, headers, answer = await sent(server.url, RATE_LIMIT, ada.token)
    told = answer["data"]["rateLimit"]
    assert status == 200
    assert headers["ratelimit-policy"].startswith(f'"principal";q={told["limit"]};w=')
    assert headers["ratelimit"].startswith('"principal";r=')
    assert 0 < told["remaining"] <= told["limit"]  # a point comes back in a millisecond
    assert told["requestedCost"] == 1
    _, headers, _ = await sent(server.url, RATE_LIMIT)
    assert headers["ratelimit"].startswith('"address";r=')


async def test_a_page_that_is_empty_was_looked_up_as_well(api: Api) -> None:
    ada = await api.sign_up()
    pages = " ".join(f"p{number}: chats(first: 5, pinned: true) {{ nodes {{ id }} }}" for number in range(30))
    search = '{ search(query: "nothing", first: 5) { nodes { __typename } } }'
    assert (await ada.post(f"{{ {pages} }}"))["extensions"]["cost"]["actual"] == 30
    assert (await ada.post(search))["extensions"]["cost"]["actual"] == 5


@pytest.fixture
async def narrow(environment: dict[str, str]) -> Any:
    """A web process that grants little to anybody."""
    little = {"POINTS": "40", "PER_SECOND": "1"}
    limits = {f"PENNY_RATE_LIMIT_{who}_{what}": value for who in ("PRINCIPAL", "ADDRESS", "CREDENTIAL") for what, value in little.items()}
    apart = {"PENNY_GRAPHQL_MAX_COST": "40", "PENNY_VALKEY_PREFIX": f"narrow-{uuid4()}"}
    async with running_web({**environment, **limits, **apart}) as (url, _):
        yield url


async def test_who_asks_too_much_is_refused_until_points_come_back(api: Api, narrow: str) -> None:
    ada = await api.sign_up()
    answers = [await sent(narrow, "{ viewer { permissions } }", ada.token, accept="application/graphql-response+json") for _ in range(60)]
    status, headers, answer = answers[-1]
    assert {one[0] for one in answers} == {200, 429}
    assert status == 429
    assert headers["content-type"].startswith("application/graphql-response+json")
    (error,) = answer["errors"]
    assert error["extensions"].keys() == {"code", "bucket", "retryAfterMs"}
    assert (error["extensions"]["code"], error["extensions"]["bucket"]) == ("THROTTLED", "principal")
    assert "data" not in answer
    assert 0 < int(headers["retry-after"]) <= 1 + error["extensions"]["retryAfterMs"] / 1000
    assert (headers["ratelimit-policy"], headers["ratelimit"]) == ('"principal";q=40;w=40', f'"principal";r=0;t={headers["retry-after"]}')
    # Over a socket it is the same bucket.
    async with connected(Server(narrow, {})) as socket:
        await begun(socket, ada.token)
        await socket.send_json(subscribe("{ viewer { permissions } }"))
        refused = await received(socket)
    assert refused["type"] == "error"
    assert refused["payload"][0]["extensions"]["code"] == "THROTTLED"
    # Others are served.
    bob = await api.sign_up()
    assert (await sent(narrow, "{ viewer { permissions } }", bob.token))[0] == 200


async def test_unknown_documents_are_paid_for_before_they_are_read(narrow: str) -> None:
    answers = [await sent(narrow, f"{{ nothing{number} }}") for number in range(6)]
    codes = [answer["errors"][0]["extensions"]["code"] for _, _, answer in answers]
    assert codes[:3] == ["GRAPHQL_VALIDATION_FAILED"] * 3
    assert codes[-1] == "THROTTLED"


async def test_reading_a_long_document_costs_more_than_reading_a_short_one(api: Api, narrow: str) -> None:
    ada = await api.sign_up()
    long = "{ __typename } #" + "x" * 4000  # more than four thousand characters, and ten points for each thousand begun
    for token in (None, ada.token):
        answer = (await sent(narrow, long, token))[2]
        assert answer["errors"][0]["extensions"]["code"] == "THROTTLED"
    assert (await sent(narrow, long[:3000], ada.token))[2]["data"] == {"__typename": "Query"}
    asked = "query ($d: String!) { documentCost(document: $d) { cost } }"
    async with aiohttp.ClientSession() as session:
        body = {"query": asked, "variables": {"d": long}}
        async with session.post(f"{narrow}/graphql", json=body) as answered:
            assert (await answered.json())["errors"][0]["extensions"]["code"] == "THROTTLED"


FORGED = "pns_" + "a" * 43


async def test_forged_credentials_are_paid_for_by_the_address_and_keep_nobody_out(api: Api, narrow: str) -> None:
    ada = await api.sign_up()
    assert (await sent(narrow, "{ __typename }", ada.token))[0] == 200
    forged = [FORGED, *(new_api_key(uuid4(), uuid4()) for _ in range(6))]
    statuses = [(await sent(narrow, "{ __typename }", token))[0] for token in forged]
    assert statuses[:3] == [401] * 3
    assert statuses[-1] == 429
    status, headers, answer = await sent(narrow, "{ __typename }", FORGED)
    assert (status, answer["errors"][0]["extensions"]["bucket"]) == (429, "credential")
    assert headers["ratelimit-policy"] == '"credential";q=40;w=40'
    assert (await sent(narrow, "{ __typename }", cookie=f"penny_session={FORGED}"))[0] == 429
    async with connected(Server(narrow, {})) as socket:
        await socket.send_json({"type": "connection_init", "payload": {"Authorization": f"Bearer {FORGED}"}})
        assert await received(socket) == 1013
    assert (await sent(narrow, "{ __typename }", ada.token))[0] == 200, "a credential that is known pays nothing"
    assert (await sent(narrow, "{ apiInfo { version } }"))[0] == 200, "who signs in has no credential yet"


async def test_what_is_asked_without_a_credential_keeps_nobody_out_who_has_one(api: Api, narrow: str) -> None:
    ada = await api.sign_up()
    while (await sent(narrow, f"{{ nothing{uuid4().hex} }}"))[0] == 200:
        pass
    assert (await sent(narrow, "{ viewer { permissions } }", ada.token))[0] == 200
    status, headers, answer = await sent(narrow, "{ __typename }")
    assert (status, answer["errors"][0]["extensions"]["bucket"]) == (429, "address")
    assert headers["ratelimit"].startswith('"address";r=0;')


async def test_a_credential_that_counts_is_looked_up_for_nothing(environment: dict[str, str], api: Api) -> None:
    ada = await api.sign_up()
    little = {"PENNY_RATE_LIMIT_CREDENTIAL_POINTS": "40", "PENNY_RATE_LIMIT_CREDENTIAL_PER_SECOND": "1", "PENNY_GRAPHQL_MAX_COST": "40"}
    never_known = {"PENNY_SESSION_CACHE_SECONDS": "0", "PENNY_VALKEY_PREFIX": f"narrow-{uuid4()}"}
    async with running_web({**environment, **little, **never_known}) as (url, _):
        assert {(await sent(url, "{ __typename }", ada.token))[0] for _ in range(30)} == {200}


@pytest.mark.parametrize(("failure", "is_paid"), [(Unauthenticated, True), (DatabaseIsUnavailable, False), (asyncio.CancelledError, False)])
async def test_a_look_up_that_found_nothing_out_is_given_back(
    process: Process, settings: Settings, monkeypatch: pytest.MonkeyPatch, failure: type[BaseException], *, is_paid: bool
) -> None:
    door = Door(settings, build_schema(settings))
    door.opened = process
    charged: list[Charge] = []
    charge = process.works.rates.charge

    async def noting(*given: Any, **more: Any) -> Charge:
        charged.append(await charge(*given, **more))
        return charged[-1]

    async def failing(*_: object) -> Viewer:
        raise failure("whatever it is")

    monkeypatch.setattr(process.works.rates, "charge", noting)
    monkeypatch.setattr("web.door.viewer_of_token", failing)
    with pytest.raises(failure):
        await door.viewer_of(FORGED, Caller(address="192.0.2.93", user_agent=None, request_id="rates"))
    (one,) = charged
    assert one.requested == settings.graphql_unknown_points > 0
    assert one.cost == (one.requested if is_paid else 0)


async def test_web_processes_count_together(environment: dict[str, str], api: Api) -> None:
    ada = await api.sign_up()
    limits = {"PENNY_RATE_LIMIT_PRINCIPAL_POINTS": "200", "PENNY_RATE_LIMIT_PRINCIPAL_PER_SECOND": "1", "PENNY_GRAPHQL_MAX_COST": "50"}
    limits["PENNY_VALKEY_PREFIX"] = f"together-{uuid4()}"
    async with running_web({**environment, **limits}) as (first, _), running_web({**environment, **limits}) as (second, _):

        async def served(url: str) -> int:
            count = 0
            while (await sent(url, "{ viewer { permissions } }", ada.token))[0] == 200:
                count += 1
            return count

        counts = await asyncio.gather(*(served(url) for url in (first, second) for _ in range(2)))
    # One point each, and ten for the document in each process.
    assert 150 <= sum(counts) <= 200
