"""What scanners of GraphQL servers look for, and what miners of schemas live on: nothing of it is found.

The checks are those of graphql-cop ., one by one and under its names. Where it would say that something is open because somebody chose
to open it, the test shows what makes that safe.
"""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
from graphql import GraphQLInputObjectType, GraphQLInterfaceType, GraphQLObjectType

from schema.schema import build_schema
from settings import Settings
from tests.running import Api, Server, running_web
from tests.web.test_http import send
from web.veils import VEIL

NAME = "query cop { __typename }"
FORM = "application/x-www-form-urlencoded"
# How many words clairvoyance 2.5.5 tries in one document.
BUCKET = 64


@pytest.fixture(scope="module")
async def closed(environment: dict[str, str]) -> AsyncIterator[str]:
    """A web process as it would face the world: the schema closed, GraphiQL off."""
    async with running_web(environment | {"PENNY_INTROSPECTION": "false", "PENNY_GRAPHIQL": "false"}) as (url, _):
        yield url


async def cop(url: str, query: str, **more: Any) -> Any:
    """Ask as graphql-cop does."""
    return (await send(url, json_={"query": query, "operationName": "cop"}, accept="*/*", **more)).body


async def test_alias_overloading(closed: str) -> None:
    body = await cop(closed, "query cop { " + " ".join(f"alias{number}: __typename" for number in range(101)) + " }")
    assert "data" not in body


async def test_array_based_query_batching(closed: str) -> None:
    answer = await send(closed, json_=[{"query": NAME}] * 10, accept="*/*")
    assert (answer.status, isinstance(answer.body, list)) == (422, False)


async def test_introspection_based_circular_query(server: Server, closed: str) -> None:
    query = "query cop { __schema { types { " + "fields { type { " * 4 + "name" + " } }" * 4 + " } } }"
    for url in (server.url, closed):
        assert "data" not in await cop(url, query)


async def test_directive_overloading(server: Server, closed: str) -> None:
    for url in (server.url, closed):
        assert len((await cop(url, "query cop { __typename " + "@aa" * 10 + " }"))["errors"]) == 1


async def test_field_duplication(server: Server, closed: str) -> None:
    for url in (server.url, closed):
        assert "data" not in await cop(url, "query cop { " + "__typename \n" * 500 + "}")


async def test_field_suggestions(closed: str) -> None:
    assert "Did you mean" not in json.dumps(await cop(closed, "query cop { __schema { directive } }"))


async def test_introspection(closed: str) -> None:
    assert "data" not in await cop(closed, "query cop { __schema { types { name fields { name } } } }")


async def test_mutation_is_allowed_over_get(server: Server) -> None:
    asked = {"query": "mutation cop { __typename }"}
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}/graphql", params=asked) as answer:
        assert (answer.status, answer.headers["allow"]) == (405, "POST")
        assert "data" not in await answer.json()


async def test_get_method_query_support_lets_no_page_read_for_who_is_signed_in(api: Api, server: Server) -> None:
    """By choice: what is read by GET may be kept by browsers. It changes nothing, and a foreign page may not use the cookie."""
    ada = await api.sign_up()
    asked = {"query": "query cop { viewer { user { email } } }"}
    for origin in ({"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}):
        headers = {"cookie": f"penny_session={ada.token}", **origin}
        async with aiohttp.ClientSession() as session, session.get(f"{server.url}/graphql", params=asked, headers=headers) as answer:
            assert answer.status == 403
            assert "example.com" not in await answer.text()
            assert "access-control-allow-origin" not in answer.headers


async def test_graphql_ide(closed: str) -> None:
    async with aiohttp.ClientSession() as session:
        for path in ("/graphql", "/graphiql", "/", "/playground", "/console"):
            async with session.get(f"{closed}{path}", headers={"accept": "text/html"}) as answer:
                assert answer.status in (404, 406), path
                assert "graphiql" not in (await answer.text()).lower()


async def test_post_based_url_encoded_query(server: Server) -> None:
    async with aiohttp.ClientSession() as session, session.post(f"{server.url}/graphql", data={"query": NAME}) as answer:
        assert (answer.status, answer.request_info.headers["content-type"]) == (415, FORM)
        assert "data" not in await answer.json()


async def test_trace_mode(server: Server) -> None:
    assert "tracing" not in json.dumps(await cop(server.url, NAME)).lower()


async def test_unhandled_errors_detection(server: Server) -> None:
    body = await cop(server.url, "qwerty cop { abc }")
    assert [error["extensions"] for error in body["errors"]] == [{"code": "GRAPHQL_PARSE_FAILED"}]


def probes(settings: Settings) -> Iterator[str]:
    """Documents as clairvoyance makes them, with the best list of words that there is: every name of the schema."""
    schema = build_schema(settings)._schema
    types = {name: made for name, made in schema.type_map.items() if not name.startswith("__")}
    fields: dict[str, Any] = {}
    for made in types.values():
        if isinstance(made, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
            fields |= made.fields
    words = sorted({*types, *fields})
    for start in range(0, len(words), BUCKET):
        bucket = words[start : start + BUCKET]
        yield "query { " + " ".join(bucket) + " }"
        yield "mutation { " + " ".join(bucket) + " }"
        yield "query { viewer { " + " ".join(bucket) + " } }"
        yield "query { chats(" + " ".join(f"{word}: 7" for word in bucket) + ") { lol } }"
        yield "mutation { signIn(input: {" + " ".join(f"{word}: 7" for word in bucket) + "}) { lol } }"
    for field in ("viewer", "chats", "apiInfo", "models", "node", "nodes"):
        yield f"query {{ {field} }}"
        yield f"query {{ {field} {{ lol }} }}"
        yield f"query {{ {field}(id: 42) {{ lol }} }}"
    for name in types:
        yield f"query ($x: {name}) {{ __typename }}"
        yield f"query {{ ... on {name} {{ lol }} }}"


async def mined(url: str, documents: Iterator[str]) -> set[str]:
    """Everything that a miner is told: no document that fits says anything, and none of these fits."""
    told: set[str] = set()
    async with Api(url) as api:
        for document in documents:
            answer = await api.post(document)
            told |= {error["message"] for error in answer.get("errors", [])}
            assert len(answer.get("errors", [])) <= 1, document
    return told


async def test_who_tries_every_name_of_a_closed_schema_is_told_none(closed: str, settings: Settings) -> None:
    told = await mined(closed, probes(settings))
    assert VEIL in told
    # What is said beside is about the miner's own document.
    assert {message for message in told if "schema" not in message} <= {"Variable '$x' is never used.", "Too many fields overlap."}, told


async def test_variables_of_a_closed_schema_do_not_tell_what_is_missing(closed: str, server: Server, api: Api) -> None:
    query = "mutation ($input: SignInInput!) { signIn(input: $input) { errors { code } } }"
    for given in ({}, {"emial": "x"}, {"email": 5, "password": "x"}, None, "x", {"email": "x", "password": "x", "transport": "X"}):
        asked = {"query": query, "variables": {"input": given}}
        answer = await send(closed, json_=asked)
        assert [error["message"] for error in answer.body["errors"]] == [VEIL]
        assert answer.body["errors"][0]["extensions"] == {"code": "BAD_USER_INPUT"}
        assert len((await send(server.url, json_=asked)).body["errors"][0]["message"]) > len(VEIL), "an open one says what is wrong"
    ada = await api.sign_up()
    stream = "subscription ($id: ID!) { runEvents(runId: $id) { __typename } }"
    async with Api(closed, ada.token) as reader:
        events = [one async for one in reader.subscribe(stream, id={"a": 1})]
    assert [error["message"] for error in events[0]["errors"]] == [VEIL]
