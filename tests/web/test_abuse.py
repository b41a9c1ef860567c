"""What an attacker sends to a GraphQL server, each refused with a code, and nothing of it done."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from graphql import get_introspection_query

from tests.api.people import address
from tests.running import Api, Server, running_web
from tests.web.test_http import GRAPHQL, send

SIGN_IN = 'signIn(input: {{email: "{email}", password: "wrong-{number:04}"}}) {{ tokenOnce errors {{ __typename code }} }}'


@pytest.fixture(scope="module")
async def closed(environment: dict[str, str]) -> AsyncIterator[str]:
    """A web process that tells nobody its schema, and takes batches."""
    settings = {"INTROSPECTION": "false", "GRAPHQL_MAX_BATCH": "100", "SIGN_IN_ACCOUNT_ATTEMPTS": "3"}
    async with running_web(environment | {f"PENNY_{name}": value for name, value in settings.items()}) as (url, _):
        yield url


DOUBLING = " ".join(f"fragment F{level} on Query {{ a: __typename ...F{level + 1} ...F{level + 1} }}" for level in range(30))
DEEP = "{ chats(first: 1) { nodes { " + "messages(first: 1) { nodes { chat { " * 5 + "id" + " } } }" * 5 + " } } }"
REFERENCES = "type { name ofType { name ofType { name ofType { name } } } }"
SCHEMA_ALIASES = (
    "{ __schema { " + " ".join(f"a{number}: types {{ fields {{ name args {{ {REFERENCES} }} }} }}" for number in range(45)) + " } }"
)
CYCLE = "fragment A on Query { ...B } fragment B on Query { ...A }"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ " + " ".join(f"a{number}: __typename" for number in range(51)) + " }", "COST_LIMIT"),
        ("{ ...F } fragment F on Query { " + " ".join(f"a{number}: __typename" for number in range(51)) + " }", "COST_LIMIT"),
        ("{ ...F0 } " + DOUBLING + " fragment F30 on Query { __typename }", "COST_LIMIT"),
        ("{ ...A } " + CYCLE, "GRAPHQL_VALIDATION_FAILED"),
        ("{ __typename " + "@include(if: true)" * 500 + " }", "COST_LIMIT"),
        ("{ __typename " + "@nothing" * 1500 + " }", "COST_LIMIT"),
        ("query " + "@nothing" * 6 + " { __typename }", "COST_LIMIT"),
        ("query ($a: Int " + "@nothing" * 6 + ") { __typename }", "COST_LIMIT"),
        ("{ ... " + "@nothing" * 6 + " { __typename } }", "COST_LIMIT"),
        ("{ ...F } fragment F on Query " + "@nothing" * 6 + " { __typename }", "COST_LIMIT"),
        (DEEP, "DEPTH_LIMIT"),
        ("{ __typename " * 2000, "GRAPHQL_PARSE_FAILED"),
        ("{ " + "a { " * 1500 + "}" * 1500 + " }", "GRAPHQL_PARSE_FAILED"),
        ("{ " + "__typename " * 4000 + "}", "GRAPHQL_PARSE_FAILED"),
        (SCHEMA_ALIASES, "COST_LIMIT"),
        ("{ __schema { types { fields { type { fields { type { fields { type { name } } } } } } } } }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ nodes(ids: [" + '"a" ' * 1001 + "]) { id } }", "COST_LIMIT"),
        ("{ chats(first: 100) { nodes { messages(first: 100) { nodes { run { id } } } } } }", "COST_LIMIT"),
        ("mutation { " + " ".join(f"a{number}: signOut {{ signedOut }}" for number in range(6)) + " }", "COST_LIMIT"),
    ],
    ids=[
        "aliases", "aliases in a fragment", "doubling fragments", "cyclic fragments", "directives", "unknown directives",
        "directives of an operation", "directives of a variable", "directives of an inline fragment", "directives of a fragment", "depth",
        "open braces", "endless nesting", "tokens",
        "aliases of the schema", "recursion in introspection", "a long list", "pages of pages", "mutations",
    ],
)  # fmt: skip
async def test_documents_that_would_cost_too_much_are_refused_before_they_run(api: Api, server: Server, query: str, code: str) -> None:
    ada = await api.sign_up()
    answer = await send(server.url, json_={"query": query}, accept=GRAPHQL, authorization=f"Bearer {ada.token}")
    assert (answer.status in (400, 422), answer.code) == (True, code), answer.body["errors"][0]
    assert "data" not in answer.body
    assert await ada.data("{ viewer { user { name } } }") == {"viewer": {"user": {"name": "Ada"}}}


@pytest.mark.parametrize(
    "variables", [{"ids": ["x"] * 1001}, {"ids": [["x"] * 1001]}, {"ids": ["x" * 210_000]}, {"ids": [{"x" * 210_000: 1}]}]
)
async def test_variables_beyond_the_limits_are_refused_before_they_are_read(api: Api, server: Server, variables: dict[str, Any]) -> None:
    ada = await api.sign_up()
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    answer = await send(server.url, json_={"query": query, "variables": variables}, accept=GRAPHQL, authorization=f"Bearer {ada.token}")
    assert (answer.status, answer.code) == (422, "COST_LIMIT")
    assert answer.body["errors"][0]["extensions"]["requested"] > answer.body["errors"][0]["extensions"]["maximum"]


def guesses(email: str, count: int) -> list[str]:
    return [SIGN_IN.format(email=email, number=number) for number in range(count)]


def codes(body: Any) -> list[str]:
    """The codes of all refusals in an answer, those of a batch too."""
    return [
        one["code"]
        for answer in (body if isinstance(body, list) else [body])
        for field in answer["data"].values()
        for one in field["errors"]
    ]


@pytest.mark.parametrize("way", ["aliases", "fragments", "batch"])
async def test_guessing_passwords_many_at_a_time_is_slowed_as_if_they_came_alone(closed: str, api: Api, way: str) -> None:
    email = address()
    await api.sign_up(email=email)
    tried = guesses(email, 5)
    if way == "batch":
        asked: Any = [{"query": f"mutation {{ {one} }}"} for one in tried]
    elif way == "aliases":
        asked = {"query": "mutation { " + " ".join(f"a{number}: {one}" for number, one in enumerate(tried)) + " }"}
    else:
        fragments = " ".join(f"fragment F{number} on Mutation {{ a{number}: {one} }}" for number, one in enumerate(tried))
        asked = {"query": "mutation { " + " ".join(f"...F{number}" for number in range(5)) + " } " + fragments}
    answer = await send(closed, json_=asked)
    assert codes(answer.body) == ["VALIDATION"] * 3 + ["RATE_LIMITED"] * 2


async def test_a_closed_schema_tells_nothing_by_introspection_or_by_suggestions(closed: str) -> None:
    for query in (get_introspection_query(), '{ __type(name: "Chat") { name } }', "{ __schema { queryType { name } } }"):
        answer = await send(closed, json_={"query": query}, accept=GRAPHQL)
        assert (answer.status, answer.code, "data" in answer.body) == (422, "GRAPHQL_VALIDATION_FAILED", False)
    for query, variables in (
        ("{ viewr { user { id } } }", {}),
        ("query ($input: SignInInpu!) { __typename }", {}),
        ("mutation ($input: SignInInput!) { signIn(input: $input) { errors { code } } }", {"input": {"emial": "x"}}),
        ("{ node(idd: 1) { id } }", {}),
        ("{ chats(first: 1, orderBy: {field: UPDATED_A}) { nodes { id } } }", {}),
    ):
        answer = await send(closed, json_={"query": query, "variables": variables}, accept=GRAPHQL)
        assert answer.status == 422
        assert "did you mean" not in json.dumps(answer.body).lower()


async def test_an_open_schema_helps_who_mistypes(server: Server) -> None:
    answer = await send(server.url, json_={"query": "{ viewr { user { id } } }"}, accept=GRAPHQL)
    assert "Did you mean 'viewer'" in answer.body["errors"][0]["message"]


async def test_sockets_take_no_frames_beyond_the_limit_and_no_words_that_are_no_text(server: Server) -> None:
    large = json.dumps({"type": "ping", "payload": {"x": "x" * 1_100_000}})
    for sent, code in ((large, 1009), (b"\xff\xfe", 4400)):
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{server.url}/graphql", protocols=["graphql-transport-ws"]) as socket,
        ):
            await (socket.send_str(sent) if isinstance(sent, str) else socket.send_bytes(sent))
            async with asyncio.timeout(10):
                while (await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                    pass
            assert socket.close_code == code
