"""Answers that are kept: given again to whom they are for, by whichever of two processes, and no longer than they are right."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import orjson
import pytest

from db.scopes import TenantScopes
from schema.ids import local_id
from tests.api.manifests import hash_of, publish
from tests.api.people import done, email_of, invited, me, member, membership_id, soon
from tests.chat.talking import ask, new_chat
from tests.running import Api, Server, running_web
from web.works import Process

CHATS = "query Chats @cached { chats(first: 5) { nodes { title } } }"
SOME_CHATS = "query Some($first: Int = 1) @cached { chats(first: $first) { nodes { title } } }"
NODE = "query Node($id: ID!) @cached { node(id: $id) { ... on Chat { title } } }"
SAID = "query Said($id: ID!) @cached { node(id: $id) { ... on Chat { messages(last: 1) { nodes { role status } } } } }"
TENANT = "query Tenant @cached { tenant { name } }"
ROLES = "query Roles @cached { tenant { roles { name } } }"
TWO = "query Name @cached { tenant { name } } query Slug @cached { tenant { slug } }"
TYPES = "query Types @cached { __schema { queryType { name } } }"
NOBODYS = "query Limit @cached { rateLimit { limit } tenant { name } }"
PEOPLE = "query People @cached { tenant { members(first: 5) { nodes { user { name } } } } }"
LOOSE = "query Loose { tenant { name } }"
PUBLISHED = (CHATS, SOME_CHATS, NODE, SAID, TENANT, ROLES, TYPES, NOBODYS, LOOSE)
GRAPHQL = "application/graphql-response+json"


@pytest.fixture(scope="module")
async def apis(server: Server, environment: dict[str, str]) -> AsyncIterator[list[Api]]:
    """Clients of two web processes; the first has a worker beside it."""
    async with AsyncExitStack() as closing:
        url, _ = await closing.enter_async_context(running_web(environment))
        yield [await closing.enter_async_context(Api(one)) for one in (server.url, url)]


async def get(api: Api, text: str, headers: dict[str, str] | None = None, method: str = "GET", **variables: Any) -> aiohttp.ClientResponse:
    parameters = {"documentId": hash_of(text)} | ({"variables": orjson.dumps(variables).decode()} if variables else {})
    return await sent(api, method, {"params": parameters}, headers)


async def sent(api: Api, method: str, what: dict[str, Any], headers: dict[str, str] | None = None) -> aiohttp.ClientResponse:
    signed = {"authorization": f"Bearer {api.token}"} if api.token else {}
    response = await api._session.request(method, f"{api.url}/graphql", headers={"accept": GRAPHQL, **signed, **(headers or {})}, **what)
    await response.read()
    return response


def outcome(response: aiohttp.ClientResponse) -> str:
    return response.headers["cache-status"].removeprefix("penny; ").split(";")[0]


async def body(response: aiohttp.ClientResponse) -> Any:
    return await response.json(content_type=None)


async def kept(api: Api, text: str, **variables: Any) -> Any:
    """The data, as soon as it is what is kept: what was told of earlier changes may still be on its way."""

    async def look() -> Any:
        return (await body(given(await get(api, text, **variables))))["data"]

    return await soon(look)


def given(response: aiohttp.ClientResponse) -> aiohttp.ClientResponse:
    """The response where it is what was kept; else there is to be another try."""
    if outcome(response) != "hit":
        raise LookupError(response.headers["cache-status"])
    return response


async def data(api: Api, text: str, **variables: Any) -> Any:
    answer = await body(await get(api, text, **variables))
    assert "errors" not in answer, answer
    return answer["data"]


async def begun(apis: list[Api]) -> tuple[Api, Api]:
    """Sign somebody up and publish the documents; returns their clients at both processes."""
    ada = await apis[0].sign_up()
    await publish(ada, *PUBLISHED)
    return ada, apis[1].as_(ada.token)


async def rename_silently(scopes: TenantScopes, api: Api, name: str) -> None:
    """Change the tenant and tell nobody: whoever is given the old name was given what is kept."""
    tenant_id = local_id((await me(api))["tenant"]["id"], "Tenant")
    async with scopes.writing(tenant_id) as scope:
        assert await scope.run("UPDATE penny.tenants SET name = $2 WHERE tenant_id = $1", tenant_id, name) == 1


async def test_what_is_asked_again_is_given_again_with_the_truth_about_itself(apis: list[Api]) -> None:
    ada, _ = await begun(apis)
    for number in range(4):
        await new_chat(ada, f"chat {number}")

    async def look() -> tuple[aiohttp.ClientResponse, ...]:
        made = await get(ada, CHATS, {"cache-control": "no-cache"})
        held = {"if-none-match": made.headers["etag"]}
        return made, *[given(one) for one in (await get(ada, CHATS), await get(ada, CHATS, held), await get(ada, CHATS, method="HEAD"))]

    made, again, held, head = await soon(look)
    assert made.headers["cache-status"] == "penny; fwd=request; stored"
    assert 0 <= int(again.headers["cache-status"].partition("ttl=")[2]) <= 60
    assert "age" not in made.headers
    assert 0 <= int(again.headers["age"]) < 60
    one, other = await body(made), await body(again)
    assert one["data"] == other["data"] != {"chats": {"nodes": []}}
    assert one["extensions"]["cost"]["actual"] > other["extensions"]["cost"]["actual"] == 1
    assert one["extensions"]["cost"]["requested"] == other["extensions"]["cost"]["requested"]
    assert again.headers["etag"] == made.headers["etag"] == head.headers["etag"]
    assert again.headers.getall("cache-control") == ["private, no-cache"]
    assert (held.status, await held.read()) == (304, b"")
    assert (head.status, await head.read()) == (200, b"")


async def test_only_a_get_by_id_is_answered_with_what_is_kept(apis: list[Api], scopes: TenantScopes) -> None:
    ada, there = await begun(apis)

    async def look() -> None:
        names = [{"tenant": {"name": uuid4().hex}} for _ in range(2)]
        await done(ada, "tenantUpdate", name=names[0]["tenant"]["name"])
        assert await kept(ada, TENANT) == names[0]
        await rename_silently(scopes, ada, names[1]["tenant"]["name"])
        for method, what in (
            ("POST", {"json": {"documentId": hash_of(TENANT)}}),
            ("POST", {"json": {"query": TENANT}}),
            ("GET", {"params": {"query": TENANT}}),
            ("GET", {"params": {"documentId": hash_of(LOOSE)}}),
        ):
            response = await sent(ada, method, what)
            assert (await body(response))["data"] == names[1], what
            assert "cache-status" not in response.headers
        events = await sent(ada, "GET", {"params": {"documentId": hash_of(TENANT)}}, {"accept": "text/event-stream"})
        assert orjson.dumps(names[1]) in await events.read()
        assert await data(there, TENANT) == names[1], "each process keeps its own"
        for accept in (GRAPHQL, "application/json", "*/*"):
            response = await get(ada, TENANT, {"accept": accept, "origin": "https://elsewhere.example", "accept-encoding": "gzip"})
            assert (await body(given(response)))["data"] == names[0]
            assert "access-control-allow-origin" not in response.headers
        for headers in ({"cache-control": "max-age=0, no-cache"}, {}):
            assert (await body(await get(ada, TENANT, headers)))["data"] == names[1]

    await soon(look)


async def test_who_is_alike_shares_what_is_the_same_to_all_and_nothing_else(apis: list[Api], process: Process) -> None:
    ada, _ = await begun(apis)
    bob, eve = await member(ada, process, "creator"), await member(ada, process, "creator")
    await new_chat(bob, "Bob's own")

    async def look() -> None:
        await done(ada, "tenantUpdate", name=uuid4().hex)  # whatever was kept is not given any more
        assert await kept(bob, TENANT)
        assert outcome(await get(ada, TENANT)) == "fwd=miss", "who may do more is not alike"
        given(await get(eve, TENANT))

    await soon(look)
    assert await kept(bob, CHATS) == {"chats": {"nodes": [{"title": "Bob's own"}]}}
    hers = await get(eve, CHATS)
    assert (outcome(hers), (await body(hers))["data"]) == ("fwd=miss", {"chats": {"nodes": []}})


async def test_who_may_do_less_is_not_given_what_others_may_see(apis: list[Api]) -> None:
    ada, _ = await begun(apis)
    scopes = ["members:read", "chats:read"]
    more, less = [
        ada.as_((await done(ada, "apiKeyCreate", "secretOnce", name="key", scopes=granted))["secretOnce"])
        for granted in (scopes, scopes[1:])
    ]
    assert await kept(more, ROLES)
    refused = await get(less, ROLES)
    answer = await body(refused)
    assert (outcome(refused), answer["errors"][0]["extensions"]["code"]) == ("fwd=miss", "PERMISSION_DENIED")
    assert not (answer["data"] or {}).get("tenant")
    assert "stored" not in refused.headers["cache-status"], "what went wrong is not kept"
    again = await get(less, ROLES)
    assert outcome(again) == "fwd=miss"
    assert "etag" not in again.headers


async def test_tenants_and_strangers_are_given_nothing(apis: list[Api]) -> None:
    ada, _ = await begun(apis)
    bob = await apis[0].sign_up(tenant="Other")
    await publish(bob, *PUBLISHED)
    assert await kept(ada, TENANT) == {"tenant": {"name": "Acme"}}
    assert await data(bob, TENANT) == {"tenant": {"name": "Other"}}
    public = f"query P{uuid4().hex} @cached {{ apiInfo {{ version }} }}"
    await publish(ada, public, version="2")
    for _ in range(2):
        response = await get(apis[0], public)
        assert response.headers["cache-status"] == "penny; fwd=bypass; detail=signed-out"
    assert await kept(ada, public)


async def test_what_holds_for_the_moment_is_not_kept(apis: list[Api]) -> None:
    ada, _ = await begun(apis)
    for _ in range(2):
        assert (await get(ada, NOBODYS)).headers["cache-status"] == "penny; fwd=bypass; detail=fields"


@pytest.mark.parametrize("writer", [0, 1])
async def test_what_is_written_in_one_process_is_seen_in_the_other_at_once(apis: list[Api], writer: int) -> None:
    clients = await begun(apis)
    reader = clients[1 - writer]
    chat_id = await new_chat(clients[writer], "old")
    for number in range(20):
        await data(reader, NODE, id=chat_id)
        await done(clients[writer], "chatUpdate", chatId=chat_id, title=f"title {number}")
        assert await data(reader, NODE, id=chat_id) == {"node": {"title": f"title {number}"}}
    assert await kept(reader, NODE, id=chat_id)


async def test_what_a_colleague_and_the_worker_do_is_seen(apis: list[Api], process: Process) -> None:
    ada, there = await begun(apis)
    bob = await member(ada, process, "creator")
    chat_id = await new_chat(ada, "ours")
    await done(ada, "chatParticipantSet", chatId=chat_id, userId=(await me(bob))["viewer"]["user"]["id"], role="EDITOR")
    assert await kept(there, NODE, id=chat_id) == {"node": {"title": "ours"}}
    await done(bob, "chatUpdate", chatId=chat_id, title="his")
    assert await data(there, NODE, id=chat_id) == {"node": {"title": "his"}}
    await ask(ada, chat_id, "!script tokens=3 delay_ms=20")

    async def answered() -> None:
        (said,) = (await data(there, SAID, id=chat_id))["node"]["messages"]["nodes"]
        if (said["role"], said["status"]) != ("ASSISTANT", "COMPLETE"):
            raise LookupError(said)

    await soon(answered)


async def test_what_a_person_changes_in_one_tenant_is_seen_in_their_others(apis: list[Api], process: Process) -> None:
    ada, _ = await begun(apis)
    other = await apis[0].sign_up(tenant="Other")
    await publish(other, PEOPLE)
    bob = await member(ada, process, "creator")
    _, invitation = await invited(other, process, "creator", await email_of(bob))
    await done(bob, "invitationAccept", token=invitation)
    there = apis[1].as_(other.token)
    assert await kept(there, PEOPLE)
    await done(bob, "profileUpdate", name="Bob the Builder")

    async def seen() -> None:
        people = (await data(there, PEOPLE))["tenant"]["members"]["nodes"]
        if {"user": {"name": "Bob the Builder"}} not in people:
            raise LookupError(people)

    await soon(seen)


async def test_a_participant_who_is_taken_out_sees_nothing_more(apis: list[Api], process: Process) -> None:
    ada, _ = await begun(apis)
    bob = await member(ada, process, "creator")
    chat_id = await new_chat(ada, "ours")
    user_id = (await me(bob))["viewer"]["user"]["id"]
    await done(ada, "chatParticipantSet", chatId=chat_id, userId=user_id, role="VIEWER")
    places = [bob, apis[1].as_(bob.token)]
    for place in places:
        assert await kept(place, NODE, id=chat_id) == {"node": {"title": "ours"}}
    await done(ada, "chatParticipantSet", chatId=chat_id, userId=user_id, role=None)
    for place in places:
        assert await data(place, NODE, id=chat_id) == {"node": None}


async def test_a_member_of_another_role_is_given_nothing_of_the_one_before(apis: list[Api], process: Process) -> None:
    ada, _ = await begun(apis)
    able = (await done(ada, "roleUpsert", "role { id }", name="able", scopes=["members:read"]))["role"]["id"]
    unable = (await done(ada, "roleUpsert", "role { id }", name="unable", scopes=[]))["role"]["id"]
    bob = await member(ada, process, "able")
    places = [bob, apis[1].as_(bob.token)]
    for place in places:
        assert await kept(place, ROLES)
    await done(ada, "memberUpdate", membershipId=await membership_id(ada, await email_of(bob)), roleId=unable)
    assert await refusal(places[0], ROLES) == "PERMISSION_DENIED"
    await soon(lambda: is_refused(places[1], ROLES, "PERMISSION_DENIED"))
    await done(ada, "memberUpdate", membershipId=await membership_id(ada, await email_of(bob)), roleId=able)
    assert await soon(lambda: answered(places[1], ROLES))
    await done(ada, "roleUpsert", id=able, name="able", scopes=["chats:read"])
    assert await refusal(places[0], ROLES) == "PERMISSION_DENIED"


async def refusal(api: Api, text: str) -> str | None:
    answer = await body(await get(api, text))
    return answer["errors"][0]["extensions"]["code"] if "errors" in answer else None


async def is_refused(api: Api, text: str, code: str) -> None:
    if await refusal(api, text) != code:
        raise LookupError("it is still answered")


async def answered(api: Api, text: str) -> bool:
    if await refusal(api, text) is not None:
        raise LookupError("it is still refused")
    return True


@pytest.mark.parametrize("credential", ["session", "key"])
async def test_a_credential_that_was_revoked_is_given_nothing(apis: list[Api], credential: str) -> None:
    ada, _ = await begun(apis)
    made = await done(ada, "apiKeyCreate", "secretOnce apiKey { id }", name="key", scopes=["chats:read"])
    revoked = ada if credential == "session" else ada.as_(made["secretOnce"])
    places = [revoked, apis[1].as_(revoked.token)]
    for place in places:
        assert await kept(place, TENANT)
    if credential == "session":
        await ada.data("mutation { signOut { errors { code } } }")
    else:
        await done(ada, "apiKeyRevoke", apiKeyId=made["apiKey"]["id"])
    assert (await get(places[0], TENANT)).status == 401

    async def gone() -> None:
        if (await get(places[1], TENANT)).status != 401:
            raise LookupError("it still counts")

    await soon(gone)


async def test_a_schema_that_was_closed_is_told_no_more(apis: list[Api], process: Process) -> None:
    ada, _ = await begun(apis)
    bob = await member(ada, process, "creator")
    assert await kept(bob, TYPES)
    await done(ada, "tenantUpdate", settings={"schemaClosed": True})
    await soon(lambda: is_refused(bob, TYPES, "GRAPHQL_VALIDATION_FAILED"))


async def test_a_document_that_was_withdrawn_is_not_answered(apis: list[Api]) -> None:
    ada, there = await begun(apis)
    own = f"query W{uuid4().hex} @cached {{ tenant {{ name }} }}"
    manifest_id = await publish(ada, own, client="web")
    for place in (ada, there):
        assert await kept(place, own)
    await done(ada, "documentManifestDelete", manifestId=manifest_id)
    for place in (ada, there):
        await soon(partial(is_refused, place, own, "PERSISTED_DOCUMENT_NOT_FOUND"))


async def test_variables_are_told_apart_by_what_they_are(apis: list[Api]) -> None:
    ada, _ = await begun(apis)
    for number in range(3):
        await new_chat(ada, f"chat {number}")
    assert len((await kept(ada, SOME_CHATS, first=2))["chats"]["nodes"]) == 2
    assert len((await kept(ada, SOME_CHATS))["chats"]["nodes"]) == 1
    for same in (2.0, 1, 3):
        assert len((await data(ada, SOME_CHATS, first=same))["chats"]["nodes"]) == same
    for wrong in ("2", True, [2, 2], {"first": 2}):
        assert "errors" in await body(await get(ada, SOME_CHATS, first=wrong)), wrong
    assert len((await data(ada, SOME_CHATS, first=2, more="unknown"))["chats"]["nodes"]) == 2


async def test_operations_of_one_document_are_two(apis: list[Api]) -> None:
    ada, _ = await begun(apis)
    await done(ada, "tenantUpdate", settings={"automaticDocuments": True})
    parameters = {"extensions": orjson.dumps({"persistedQuery": {"version": 1, "sha256Hash": hash_of(TWO)}}).decode()}

    async def registered() -> None:
        if (await sent(ada, "GET", {"params": {**parameters, "query": TWO, "operationName": "Name"}})).status != 200:
            raise LookupError("it may not be registered yet")

    await soon(registered)
    for _ in range(3):
        for name, field in (("Name", "name"), ("Slug", "slug")):
            response = await sent(ada, "GET", {"params": {**parameters, "operationName": name}})
            assert list((await body(response))["data"]["tenant"]) == [field]

    async def look() -> None:
        assert list((await body(given(await sent(ada, "GET", {"params": {**parameters, "operationName": "Slug"}}))))["data"]["tenant"]) == [
            "slug"
        ]

    await soon(look)


async def test_a_flushed_valkey_brings_nothing_back(apis: list[Api], scopes: TenantScopes, process: Process) -> None:
    ada, _ = await begun(apis)
    assert await kept(ada, TENANT) == {"tenant": {"name": "Acme"}}
    tenant_id: UUID = local_id((await me(ada))["tenant"]["id"], "Tenant")
    await rename_silently(scopes, ada, "Silent")
    assert await process.valkey.delete(process.versions.key(tenant_id)) == 1
    assert await data(ada, TENANT) == {"tenant": {"name": "Silent"}}


async def test_metrics_and_headers_say_why_nothing_is_kept_where_it_is_switched_off(environment: dict[str, str]) -> None:
    async with running_web({**environment, "PENNY_GRAPHQL_CACHED_ANSWER_SECONDS": "0"}) as (url, _), Api(url) as api:
        ada = await api.sign_up()
        await publish(ada, *PUBLISHED)
        for _ in range(2):
            assert (await get(ada, TENANT)).headers["cache-status"] == "penny; fwd=bypass; detail=off"
        assert (await ada.data("{ apiInfo { limits { maxCachedSeconds } } }"))["apiInfo"]["limits"] == {"maxCachedSeconds": 0}
