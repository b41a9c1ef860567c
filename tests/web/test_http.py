"""GraphQL over HTTP as released in September 2026: methods, media types, statuses, batches, compression and cookies."""

import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from yarl import URL

from tests.running import PASSWORD, Api, Server, running_web

GRAPHQL = "application/graphql-response+json"
NODE = "query ($id: ID!) { node(id: $id) { id } }"
CREATE = 'mutation { chatCreate(input: {title: "By address", idempotencyKey: "get"}) { chat { id } } }'


class Answer:
    def __init__(self, response: aiohttp.ClientResponse, body: Any) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = body

    @property
    def code(self) -> Any:
        return self.body["errors"][0]["extensions"]["code"]


async def send(url: str, method: str = "POST", *, of: str = "", json_: Any = None, **headers: str) -> Answer:
    """Send a request; `of` are the parameters in the address."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    address = URL(f"{url}/graphql{'?' if of else ''}{of}", encoded=True)
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
        session.request(method, address, json=json_, headers=given, allow_redirects=False) as response,
    ):
        text = await response.text()
        return Answer(response, json.loads(text) if text else None)


@pytest.fixture(scope="module")
async def other(environment: dict[str, str]) -> AsyncIterator[str]:
    """A web process with batches on, statuses that every proxy knows, and a page of another origin allowed."""
    settings = {
        "GRAPHQL_MAX_BATCH": "3",
        "GRAPHQL_PARTIAL_STATUS": "false",
        "ALLOWED_ORIGINS": "https://app.example",
        "SERVER_TIMING": "true",
    }
    async with running_web(environment | {f"PENNY_{name}": value for name, value in settings.items()}) as (url, _):
        yield url


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        (GRAPHQL, GRAPHQL),
        (f"application/json;q=0.5, {GRAPHQL}", GRAPHQL),
        (f"{GRAPHQL};q=0, */*;q=0.1", "application/json"),
        (f"{GRAPHQL}, application/graphql+json, application/json, text/event-stream, multipart/mixed", GRAPHQL),
        (f"{GRAPHQL}; charset=utf-8", GRAPHQL),
    ],
)
async def test_the_answer_has_the_media_type_that_the_client_likes_best(server: Server, accept: str, media: str) -> None:
    answer = await send(server.url, json_={"query": "{ __typename }"}, accept=accept)
    assert (answer.status, answer.headers["content-type"]) == (200, f"{media}; charset=utf-8")
    assert answer.body["data"] == {"__typename": "Query"}
    assert "Accept" in answer.headers["vary"]


@pytest.mark.parametrize("accept", ["text/html", "application/xml", f"{GRAPHQL};q=0", "application/json; charset=utf-16"])
async def test_a_media_type_that_nobody_speaks_is_406(server: Server, accept: str) -> None:
    answer = await send(server.url, json_={"query": "{ __typename }"}, accept=accept)
    assert (answer.status, answer.code) == (406, "NOT_ACCEPTABLE")


@pytest.mark.parametrize(
    ("query", "variables", "status", "code"),
    [
        ("{ viewer {", {}, 400, "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", {}, 422, "GRAPHQL_VALIDATION_FAILED"),
        (NODE, {}, 422, "BAD_USER_INPUT"),
        (NODE, {"id": []}, 422, "BAD_USER_INPUT"),
        ("query A { __typename } query B { __typename }", {}, 422, "BAD_USER_INPUT"),
        ("{ __typename viewer { user { id } } }", {}, 294, "UNAUTHENTICATED"),
        ("subscription { viewerEvents { __typename } }", {}, 406, "NOT_ACCEPTABLE"),
    ],
)
async def test_statuses_say_what_went_wrong(server: Server, query: str, variables: dict[str, Any], status: int, code: str) -> None:
    new = await send(server.url, json_={"query": query, "variables": variables}, accept=GRAPHQL)
    old = await send(server.url, json_={"query": query, "variables": variables}, accept="application/json")
    assert (new.status, new.code) == (status, code)
    assert (old.status, old.code) == (status if status == 406 else 200, code)
    assert ("data" in new.body) == (status == 294)
    assert new.headers["cache-control"] == "no-store"


async def test_partial_data_keeps_a_status_that_every_proxy_knows_where_it_is_set_so(other: str) -> None:
    answer = await send(other, json_={"query": "{ __typename viewer { user { id } } }"}, accept=GRAPHQL)
    assert (answer.status, answer.code) == (200, "UNAUTHENTICATED")


async def test_a_query_may_come_by_get(api: Api, server: Server) -> None:
    ada = await api.sign_up()
    of = urlencode({"query": "query A { __typename } query B { viewer { user { name } } }", "operationName": "B", "variables": "{}"})
    answer = await send(server.url, "GET", of=of, authorization=f"Bearer {ada.token}", accept=GRAPHQL)
    assert (answer.status, answer.body["data"]) == (200, {"viewer": {"user": {"name": "Ada"}}})


async def test_a_head_is_answered_as_a_get_without_a_body(api: Api, server: Server) -> None:
    ada = await api.sign_up()
    known = {"authorization": f"Bearer {ada.token}", "accept": GRAPHQL, "accept_encoding": "identity"}
    of = urlencode({"query": "{ viewer { user { name } } }"})
    asked, told = await send(server.url, "GET", of=of, **known), await send(server.url, "HEAD", of=of, **known)
    assert (told.status, told.body) == (200, None)
    assert {told.headers[name] == asked.headers[name] for name in ("content-type", "content-length", "cache-control")} == {True}
    assert (await send(server.url, "HEAD", of=urlencode({"query": CREATE}), **known)).status == 405
    assert (await ada.data("{ chats(first: 5) { nodes { id } } }"))["chats"]["nodes"] == []
    follows = urlencode({"query": "subscription { viewerEvents { __typename } }"})
    assert (await send(server.url, "HEAD", of=follows, **(known | {"accept": "text/event-stream"}))).status == 406


async def test_who_is_not_known_is_told_how_to_say_who_it_is(server: Server) -> None:
    answer = await send(server.url, json_={"query": "{ __typename }"}, authorization="Bearer pns_" + "A" * 43)
    assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")


async def test_a_mutation_by_get_is_refused_and_makes_nothing(api: Api, server: Server) -> None:
    ada = await api.sign_up()
    answer = await send(server.url, "GET", of=urlencode({"query": CREATE}), authorization=f"Bearer {ada.token}")
    assert (answer.status, answer.headers["allow"], answer.code) == (405, "POST", "METHOD_NOT_ALLOWED")
    assert (await ada.data("{ chats(first: 5) { nodes { id } } }"))["chats"]["nodes"] == []


@pytest.mark.parametrize(
    ("of", "status"),
    [
        ("variables=%7B%7D", 422),
        ("query=%7B__typename%7D&variables=%7B", 400),
        ("query=%7B__typename%7D&variables=%5B%5D", 422),
        ("query=%7B__typename%7D&query=%7Bviewer%7Bid%7D%7D", 400),
        ("query=%ff%fe", 400),
        ("query=" + "&a=".join("1" * 20), 400),
        ("query=%7B__typename%7D&extensions=5", 422),
    ],
)
async def test_odd_addresses_are_refused_with_a_code(server: Server, of: str, status: int) -> None:
    answer = await send(server.url, "GET", of=of, accept=GRAPHQL)
    assert (answer.status, answer.code) == (status, "BAD_REQUEST")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_other_methods_are_told_which_there_are(server: Server, method: str) -> None:
    answer = await send(server.url, method)
    assert (answer.status, answer.headers["allow"], answer.code) == (405, "GET, HEAD, POST, OPTIONS", "METHOD_NOT_ALLOWED")


async def test_a_browser_that_is_pointed_at_the_api_is_shown_graphiql(server: Server) -> None:
    answer = await send(server.url, "GET", accept="text/html,application/xhtml+xml,*/*;q=0.8")
    assert (answer.status, answer.headers["location"]) == (303, "/graphiql")
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}/", allow_redirects=False) as root:
        assert (root.status, root.headers["location"]) == (302, "/graphiql")


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate, gzip"])
async def test_a_body_that_must_be_unpacked_first_is_refused(server: Server, coding: str) -> None:
    answer = await send(server.url, json_={"query": "{ __typename }"}, content_encoding=coding)
    assert (answer.status, answer.code) == (415, "UNSUPPORTED_MEDIA_TYPE")


async def test_batches_are_off_until_they_are_let_in(server: Server) -> None:
    answer = await send(server.url, json_=[{"query": "{ __typename }"}])
    assert (answer.status, answer.code) == (422, "BAD_REQUEST")


async def test_each_of_a_batch_is_answered_in_its_place(other: str, api: Api) -> None:
    ada = await api.sign_up()
    asked = [{"query": "{ viewer { user { name } } }"}, {"query": "{ nothing }"}, {"query": "{ __typename }"}]
    answer = await send(other, json_=asked, authorization=f"Bearer {ada.token}")
    first, second, third = answer.body
    assert (answer.status, first["data"], third["data"]) == (200, {"viewer": {"user": {"name": "Ada"}}}, {"__typename": "Query"})
    assert second["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


async def test_a_batch_follows_no_subscription(other: str, api: Api) -> None:
    ada = await api.sign_up()
    asked = [{"query": "subscription { viewerEvents { __typename } }"}, {"query": "{ __typename }"}]
    answer = await send(other, json_=asked, authorization=f"Bearer {ada.token}", accept="text/event-stream")
    first, second = answer.body
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json; charset=utf-8")
    assert (first["errors"][0]["extensions"]["code"], "data" in first, second["data"]) == ("NOT_ACCEPTABLE", False, {"__typename": "Query"})


@pytest.mark.parametrize("asked", [[], [{"query": "{ __typename }"}] * 4, [5], [[{"query": "{ __typename }"}]]])
async def test_batches_beyond_the_limit_or_of_another_shape_are_refused_whole(other: str, asked: list[Any]) -> None:
    answer = await send(other, json_=asked)
    assert (answer.status, answer.code) == (422, "BAD_REQUEST")


async def test_answers_are_packed_for_who_takes_gzip(api: Api, server: Server) -> None:
    query = "{ __schema { types { name description } } }"
    plain = await send(server.url, json_={"query": query}, accept_encoding="identity")
    small = await send(server.url, json_={"query": "{ __typename }"}, accept_encoding="gzip")
    large = await send(server.url, json_={"query": query}, accept_encoding="br, gzip;q=0.8")
    refused = await send(server.url, json_={"query": query}, accept_encoding="gzip;q=0, *")
    assert large.headers["content-encoding"] == "gzip"
    assert int(large.headers["content-length"]) * 3 < int(plain.headers["content-length"])
    assert large.body["data"] == plain.body["data"]
    assert all("content-encoding" not in answer.headers for answer in (plain, small, refused))


async def test_pages_of_allowed_origins_may_read_answers_and_no_others(other: str) -> None:
    preflight = {"access_control_request_method": "POST", "access_control_request_headers": "content-type"}
    asked = await send(other, "OPTIONS", origin="https://app.example", **preflight)
    read = await send(other, json_={"query": "{ __typename }"}, origin="https://app.example")
    assert (asked.status, asked.headers["access-control-allow-origin"]) == (204, "https://app.example")
    assert "authorization" in asked.headers["access-control-allow-headers"]
    assert (read.headers["access-control-allow-origin"], read.headers["access-control-allow-credentials"]) == (
        "https://app.example",
        "true",
    )
    assert "ratelimit" in read.headers["access-control-expose-headers"]
    for origin in ("https://evil.example", "null", "https://app.example.evil.example"):
        asked = await send(other, "OPTIONS", origin=origin, **preflight)
        read = await send(other, json_={"query": "{ __typename }"}, origin=origin)
        assert not [name for name in (*asked.headers, *read.headers) if name.lower().startswith("access-control")]


async def test_developers_are_told_where_the_time_went(other: str, server: Server) -> None:
    told = (await send(other, json_={"query": "{ __typename }"})).headers["server-timing"]
    assert [part.partition(";")[0] for part in told.split(", ")] == ["auth", "admission", "execution", "total"]
    assert "server-timing" not in (await send(server.url, json_={"query": "{ __typename }"})).headers


async def test_a_cookie_does_not_speak_for_the_addresses_of_other_sites(api: Api, server: Server) -> None:
    """A page elsewhere can make a browser send a GET without an Origin: it says then that it crosses sites."""
    ada = await api.sign_up()
    email = (await ada.data("{ viewer { user { email } } }"))["viewer"]["user"]["email"]
    signed_in = await send(
        server.url,
        json_={
            "query": "mutation ($input: SignInInput!) { signIn(input: $input) { viewer { user { id } } errors { message } } }",
            "variables": {"input": {"email": email, "password": PASSWORD}},
        },
    )
    cookie = signed_in.headers["set-cookie"].partition(";")[0]
    of = urlencode({"query": "{ viewer { user { name } } }"})
    own = await send(server.url, "GET", of=of, cookie=cookie, sec_fetch_site="same-origin")
    foreign = [await send(server.url, "GET", of=of, cookie=cookie, sec_fetch_site=site) for site in ("cross-site", "same-site")]
    assert own.body["data"] == {"viewer": {"user": {"name": "Ada"}}}
    assert [(answer.status, answer.code) for answer in foreign] == [(403, "FORBIDDEN")] * 2


async def test_a_batch_charges_each_of_its_operations(other: str, api: Api) -> None:
    ada = await api.sign_up()
    asked = {"query": "{ chats(first: 50) { nodes { id title } } }"}
    answer = await send(other, json_=[asked, asked], authorization=f"Bearer {ada.token}")
    alone = await send(other, json_=asked, authorization=f"Bearer {ada.token}")
    assert [one["extensions"]["cost"] for one in answer.body] == [alone.body["extensions"]["cost"]] * 2
    assert "ratelimit" in answer.headers
