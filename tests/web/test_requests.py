"""HTTP requests: odd ones get a clear error in the API's own form, and nothing is ever a 500."""

import json
from typing import Any

import aiohttp
import pytest

from tests.running import Api, Server

VIEWER = "{ viewer { user { email } } }"


async def sent(server: Server, body: bytes | str, **headers: str) -> tuple[int, dict[str, str], Any]:
    given = {"content-type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{server.url}/graphql", data=body if isinstance(body, bytes) else body.encode(), headers=given) as answer,
    ):
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}, await answer.json()


@pytest.mark.parametrize("body", ['"abc"', "5", "null", "[1]", "[]", "{}", '{"query": 5}', '{"query": "{ apiInfo }", "variables": []}'])
async def test_bodies_of_another_shape_are_refused_with_a_code(server: Server, body: str) -> None:
    status, _, answer = await sent(server, body)
    assert status == 422
    assert answer["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b'{"query": "\xff"}'])
async def test_bodies_that_are_not_json_are_refused_with_a_code(server: Server, body: bytes) -> None:
    status, _, answer = await sent(server, body)
    assert (status, answer["errors"][0]["extensions"]["code"]) == (400, "BAD_REQUEST")


async def test_a_body_beyond_the_limit_is_refused(server: Server) -> None:
    status, _, answer = await sent(server, b'{"query": "' + b"#" * 300_000 + b'"}')
    assert (status, answer["errors"][0]["extensions"]["code"]) == (413, "BODY_LIMIT")


@pytest.mark.parametrize(
    "media", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonx"]
)
async def test_what_a_form_of_another_site_could_send_is_refused(server: Server, media: str) -> None:
    status, _, answer = await sent(server, json.dumps({"query": VIEWER}), content_type=media)
    assert (status, answer["errors"][0]["extensions"]["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


async def test_an_operation_without_a_viewer_is_unauthenticated_and_names_its_field(api: Api) -> None:
    answer = await api.post(VIEWER)
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert answer["errors"][0]["path"] == ["viewer"]


async def test_a_wrong_token_is_unauthenticated(api: Api, server: Server) -> None:
    for token in ("nonsense", "pns_" + "A" * 43, "pny_live_" + "A" * 44 + "_" + "A" * 43 + "_AAAAAA"):
        status, _, answer = await sent(server, json.dumps({"query": VIEWER}), authorization=f"Bearer {token}")
        assert (status, answer["errors"][0]["extensions"]["code"]) == (401, "UNAUTHENTICATED"), token


async def test_a_ninety_byte_bomb_is_refused_before_anything_runs(api: Api) -> None:
    ada = await api.sign_up()
    bomb = "{ chats(first: 100) { nodes { messages(first: 100) { nodes { children(first: 100) { nodes { id } } } } } } }"
    answer = await ada.post(bomb)
    assert answer["errors"][0]["extensions"]["code"] == "COST_LIMIT"
    assert "data" not in answer


async def test_page_sizes_in_variables_count_too(api: Api) -> None:
    ada = await api.sign_up()
    document = "query ($n: Int!) { chats(first: $n) { nodes { messages(first: $n) { nodes { siblings { id } } } } } }"
    assert "errors" not in await ada.post(document, n=3)
    assert (await ada.post(document, n=100))["errors"][0]["extensions"]["code"] == "COST_LIMIT"


async def test_aliases_and_depth_count_through_fragments(api: Api) -> None:
    ada = await api.sign_up()
    aliases = "fragment F on Query { " + " ".join(f"a{n}: apiInfo {{ version }}" for n in range(30)) + " } { ...F ...G } "
    aliases += "fragment G on Query { " + " ".join(f"b{n}: apiInfo {{ version }}" for n in range(30)) + " }"
    assert (await ada.post(aliases))["errors"][0]["extensions"]["code"] == "COST_LIMIT"
    deep = "{ chats(first: 1) { nodes " + "{ head { chat " * 12 + "{ id }" + " } }" * 12 + " } }"
    assert (await ada.post(deep))["errors"][0]["extensions"]["code"] == "DEPTH_LIMIT"


async def test_doubling_fragments_cost_nothing_to_refuse(api: Api) -> None:
    ada = await api.sign_up()
    bomb = (
        "{ ...F0 } "
        + " ".join(f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(60))
        + " fragment F60 on Query { viewer { user { id } } }"
    )
    answer = await ada.post(bomb)
    assert answer["errors"][0]["extensions"]["code"] == "COST_LIMIT"


async def test_answers_carry_a_request_id_and_safe_headers(server: Server) -> None:
    _, headers, _ = await sent(server, json.dumps({"query": VIEWER}), x_request_id="my-request-0001")
    assert headers["x-request-id"] == "my-request-0001"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    _, headers, _ = await sent(server, json.dumps({"query": VIEWER}), x_request_id="bad id; <script>")
    assert headers["x-request-id"].isalnum()


@pytest.mark.parametrize("path", ["/graphql", "/graphiql", "/share", "/health/live", "/nowhere"])
async def test_every_answer_carries_what_keeps_browsers_safe(server: Server, path: str) -> None:
    """OWASP's cheat sheets on HTTP headers and on REST."""
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}{path}", allow_redirects=False) as answer:
        headers = {name.lower(): value for name, value in answer.headers.items()}
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-eval" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
    assert path == "/graphql" or "geolocation=()" in headers["permissions-policy"]
    assert not {"server", "x-powered-by"} & set(headers)


async def test_health_says_that_it_lives_and_what_is_down(server: Server, environment: dict[str, str]) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{server.url}/health/live") as answer:
            assert answer.status == 200
        async with session.get(f"{server.url}/health/ready") as answer:
            assert (await answer.json())["parts"] == {"postgresql": "ok", "postgresql_system": "ok", "valkey": "ok", "s3": "ok"}


async def test_the_newer_media_type_has_statuses_of_its_own(server: Server) -> None:
    accept = "application/graphql-response+json"
    for document, status in (("{ apiInfo { version } }", 200), ("{ nothing }", 422), ("{", 400)):
        got, headers, _ = await sent(server, json.dumps({"query": document}), accept=accept)
        assert (got, headers["content-type"]) == (status, f"{accept}; charset=utf-8")


async def test_overlapping_fields_are_refused_without_being_compared(api: Api) -> None:
    for document in (
        "{" + "apiInfo { version } " * 700 + "}",
        "{" + 'node(id: "x") { id } ' * 430 + "}",
        "{ apiInfo { " + "version " * 500 + "} }",
    ):
        assert (await api.post(document))["errors"][0]["extensions"]["code"] == "COST_LIMIT"
    assert "errors" not in await api.post("{" + "apiInfo { version } " * 20 + "}")


async def test_defaults_and_odd_numbers_do_not_hide_a_page_size(api: Api) -> None:
    ada = await api.sign_up()
    inner = "tenant { members(first: $n) { nodes { tenant { members(first: $n) { nodes { tenant { name } } } } } } }"
    assert "errors" not in await ada.post(f"query ($n: Int = 2) {{ {inner} }}")
    assert (await ada.post(f"query ($n: Int = 100) {{ {inner} }}"))["errors"][0]["extensions"]["code"] == "COST_LIMIT"
    assert (await ada.post(f"query ($n: Int) {{ {inner} }}", n=100.0))["errors"][0]["extensions"]["code"] == "COST_LIMIT"


async def test_a_nul_in_an_argument_is_the_callers_mistake(api: Api) -> None:
    ada = await api.sign_up()
    answer = await ada.post("query ($text: String) { tenant { members(first: 5, query: $text) { nodes { id } } } }", text="a\0b")
    assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize("metadata", ["{a: 99999999999999999999999}", "{a: 1e999}", "{a: " + "[" * 40 + "]" * 40 + "}"])
async def test_metadata_that_nobody_could_read_again_is_refused_and_makes_no_chat(api: Api, metadata: str) -> None:
    ada = await api.sign_up()
    document = f'mutation {{ chatCreate(input: {{idempotencyKey: "k", metadata: {metadata}}}) {{ chat {{ id }} errors {{ code path }} }} }}'
    payload = (await ada.data(document))["chatCreate"]
    assert payload == {"chat": None, "errors": [{"code": "VALIDATION", "path": ["metadata"]}]}
    assert (await ada.data("{ chats(first: 5) { nodes { id } } }"))["chats"]["nodes"] == []


@pytest.mark.parametrize(
    "body",
    [
        '{"query": "{ __typename }", "query": "{ viewer { user { id } } }"}',
        '{"query": "{ __typename }", "variables": {"a": {"b": 1, "b" : 2}}}',
        '{"query": "{ __typename }", "variables": {"a": [{"b": 1, "\\u0062": 2}]}}',
    ],
)
async def test_a_key_that_comes_twice_is_refused(server: Server, body: str) -> None:
    status, _, answer = await sent(server, body)
    assert (status, answer["errors"][0]["extensions"]["code"]) == (400, "BAD_REQUEST")


@pytest.mark.parametrize("levels", [900, 100_000])
async def test_a_body_that_is_nested_without_end_is_refused(server: Server, levels: int) -> None:
    nested = '{"query": "{ __typename }", "variables": ' + '{"a":' * levels + "1" + "}" * levels + "}"
    status, _, answer = await sent(server, nested[:260_000])
    assert (status, answer["errors"][0]["extensions"]["code"] in ("BAD_REQUEST", "DEPTH_LIMIT")) == (400, True)


async def test_quotes_in_documents_are_no_keys(server: Server) -> None:
    body = json.dumps({"query": '{ a: __typename @include(if: true) node(id: "\\":") { id } }', "variables": {"x": '"y": 1, "y": 2'}})
    status, _, answer = await sent(server, body)
    assert status == 200
    assert answer["data"]["a"] == "Query"
