"""Documents by their ids: over POST, GET, WebSocket and batches, for those who may send others and for those who may not."""

import hashlib
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from valkey.asyncio import Valkey

from schema.ids import local_id
from tests.api.manifests import SIGN_IN, VIEWER, hash_of, live, publish, published
from tests.api.people import PUSHED_SECONDS, done, email_of, invited, member, refused, soon
from tests.chat.talking import ask, new_chat
from tests.running import PASSWORD, Api, Server, running_web
from tests.web.test_sockets import begun, connected, received, subscribe
from web.works import Process

GRAPHQL = "application/graphql-response+json"
ANSWER = {"viewer": {"user": {"name": "Ada"}}}
USES = """{
  documentManifests(first: 1) { nodes { lastUsedAt documents(first: 9) { nodes { operationName callsLast30d lastUsedAt } } } }
}"""
EVERYTHING = "subscription { viewerEvents { __typename } }"
RUN_EVENTS = "subscription RunEvents($runId: ID!) { runEvents(runId: $runId) { seq } }"
CHAT_CREATE = "mutation Begin($input: ChatCreateInput!) { chatCreate(input: $input) { chat { id } errors { code } } }"


def apollo(sha256: str, **more: Any) -> dict[str, Any]:
    return {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": sha256}}, **more}


async def post(api: Api, accept: str = GRAPHQL, **body: Any) -> tuple[int, Any]:
    headers = {"accept": accept} | ({"authorization": f"Bearer {api.token}"} if api.token else {})
    async with api._session.post(f"{api.url}/graphql", json=body, headers=headers) as response:
        return response.status, await response.json(content_type=None)


async def get(api: Api, headers: dict[str, str] | None = None, **parameters: str) -> aiohttp.ClientResponse:
    sent = {"accept": GRAPHQL, **(headers or {})} | ({"authorization": f"Bearer {api.token}"} if api.token else {})
    response = await api._session.get(f"{api.url}/graphql", params=parameters, headers=sent)
    await response.read()
    return response


def code(body: Any) -> str:
    (error,) = body["errors"]
    return str(error["extensions"]["code"])


async def client_key(api: Api, client: str = "mobile", scopes: tuple[str, ...] = ("chats:read", "chats:write")) -> Api:
    made = await done(api, "apiKeyCreate", "secretOnce", name=client, scopes=list(scopes), documentClient=client)
    return api.as_(made["secretOnce"])


@pytest.mark.parametrize(
    "asked",
    [
        {"documentId": f"sha256:{hash_of(VIEWER)}"},
        {"documentId": hash_of(VIEWER)},
        apollo(hash_of(VIEWER)),
        apollo(hash_of(VIEWER), query=""),
        {"doc_id": hash_of(VIEWER)},
        {"id": hash_of(VIEWER), "operationName": "Viewer"},
        {"documentId": hashlib.md5(VIEWER.encode()).hexdigest()},
    ],
    ids=range(7),
)
async def test_an_id_stands_for_its_document(api: Api, asked: dict[str, Any]) -> None:
    ada = await api.sign_up()
    assert await post(ada, **asked) == (404, await not_found(ada, asked))
    assert (await published(ada, {hashlib.md5(VIEWER.encode()).hexdigest(): VIEWER}))["errors"] == []
    status, body = await post(ada, **asked)
    assert (status, body["data"]) == (200, ANSWER)


async def not_found(api: Api, asked: dict[str, Any]) -> Any:
    """What an unknown id is told, in the words of whoever asked; in plain JSON the answer is well."""
    status, body = await post(api, "application/json", **asked)
    assert status == 200
    if "extensions" in asked:
        assert (code(body), body["errors"][0]["message"]) == ("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound")
    else:
        assert code(body) == "PERSISTED_DOCUMENT_NOT_FOUND"
    return body


async def test_a_document_is_its_tenant_s(api: Api) -> None:
    ada, stranger = await api.sign_up(), await api.sign_up()
    await publish(ada, VIEWER)
    _, body = await post(stranger, documentId=hash_of(VIEWER))
    assert code(body) == "PERSISTED_DOCUMENT_NOT_FOUND"


async def test_who_has_not_signed_in_sends_documents_that_anybody_may_send(api: Api) -> None:
    ada = await api.sign_up()
    signing_in = SIGN_IN.replace("SignIn(", f"In{uuid4().hex}(", 1)
    await publish(ada, VIEWER, signing_in)
    given = {"email": "nobody@example.com", "password": PASSWORD}
    _, body = await post(api, documentId=hash_of(signing_in), variables={"input": given})
    assert body["data"]["signIn"]["errors"] == [{"code": "VALIDATION"}]
    _, body = await post(api, documentId=hash_of(VIEWER))
    assert code(body) == "PERSISTED_DOCUMENT_NOT_FOUND"


async def test_a_get_may_be_kept_by_whoever_asked(api: Api) -> None:
    ada = await api.sign_up()
    bob = await api.sign_up()
    for one in (ada, bob):
        await publish(one, VIEWER, CHAT_CREATE)
    first = await get(ada, documentId=hash_of(VIEWER))
    assert (await first.json(content_type=None))["data"] == ANSWER
    assert first.headers.getall("cache-control") == ["private, no-cache"]
    assert {"Authorization", "Cookie", "Accept"} <= set(first.headers["vary"].split(", "))
    again = await get(ada, {"if-none-match": first.headers["etag"]}, documentId=hash_of(VIEWER))
    assert (again.status, await again.read(), again.headers["etag"]) == (304, b"", first.headers["etag"])
    changing = await get(ada, documentId=hash_of(CHAT_CREATE), variables='{"input": {"idempotencyKey": "k"}}')
    assert (changing.status, changing.headers["allow"], changing.headers["cache-control"]) == (405, "POST", "no-store")
    whole = await get(ada, query=VIEWER)
    assert whole.headers.getall("cache-control") == ["no-store"]
    unknown = await get(ada, documentId="a" * 64)
    assert (unknown.status, unknown.headers["cache-control"]) == (404, "no-store")
    assert (await ada.data("{ chats(first: 1) { nodes { id } } }"))["chats"]["nodes"] == []


async def test_documents_over_a_socket_come_with_an_empty_query(api: Api) -> None:
    ada = await api.sign_up()
    await publish(ada, VIEWER, RUN_EVENTS)
    run_id = await ask(ada, await new_chat(ada), "!script tokens=3")
    seqs = [
        event["data"]["runEvents"]["seq"]
        async for event in subscribed(ada, apollo(hash_of(RUN_EVENTS), query="", variables={"runId": run_id}))
    ]
    assert seqs == list(range(1, len(seqs) + 1))
    assert [event["data"] async for event in subscribed(ada, {"documentId": f"sha256:{hash_of(VIEWER)}", "query": ""})] == [ANSWER]
    assert [code(event) async for event in subscribed(ada, apollo("b" * 64, query=""))] == ["PERSISTED_QUERY_NOT_FOUND"]
    assert [code(event) async for event in subscribed(ada, {"query": ""})] == ["BAD_REQUEST"]


async def subscribed(api: Api, payload: dict[str, Any]) -> Any:
    """The results of one operation on a socket."""
    async with api._session.ws_connect(f"{api.url}/graphql", protocols=["graphql-transport-ws"]) as socket:
        await socket.send_json({"type": "connection_init", "payload": {"Authorization": f"Bearer {api.token}"}})
        assert (await socket.receive_json())["type"] == "connection_ack"
        await socket.send_json({"type": "subscribe", "id": "1", "payload": payload})
        while (message := await socket.receive_json())["type"] != "complete":
            if message["type"] == "error":
                yield {"errors": message["payload"]}
                return
            yield message["payload"]


async def test_a_client_s_key_sends_that_client_s_documents_and_nothing_else(api: Api) -> None:
    ada = await api.sign_up()
    other = "query Other { viewer { user { name } } }"
    await publish(ada, VIEWER, CHAT_CREATE, client="mobile")
    await publish(ada, other, client="web")
    key = await client_key(ada)
    assert (await post(key, documentId=hash_of(VIEWER)))[1]["data"] == ANSWER
    given = {"input": {"idempotencyKey": "k", "title": "x"}}
    for asked, expected in (
        ({"query": VIEWER}, "PERSISTED_DOCUMENT_REQUIRED"),
        ({"query": "{ __typename }"}, "PERSISTED_DOCUMENT_REQUIRED"),
        ({"query": CHAT_CREATE, "variables": given}, "PERSISTED_DOCUMENT_REQUIRED"),
        ({"documentId": hash_of(other)}, "PERSISTED_DOCUMENT_NOT_FOUND"),
        (apollo(hash_of(other), query=other), "PERSISTED_QUERY_NOT_FOUND"),
        (apollo(hash_of("{ __typename }"), query="{ __typename }"), "PERSISTED_QUERY_NOT_FOUND"),
    ):
        status, body = await post(key, **asked)
        assert (status, code(body)) == (403 if expected.endswith("REQUIRED") else 404, expected)
        assert [code(event) async for event in subscribed(key, {"query": "", **asked})] == [expected]
    assert code(await (await get(key, query=VIEWER)).json(content_type=None)) == "PERSISTED_DOCUMENT_REQUIRED"
    assert (await ada.data("{ chats(first: 1) { nodes { id } } }"))["chats"]["nodes"] == []
    assert (await post(key, documentId=hash_of(CHAT_CREATE), variables=given))[1]["data"]["chatCreate"]["errors"] == []


async def test_a_client_s_key_makes_no_other_keys(api: Api) -> None:
    ada = await api.sign_up()
    create = "mutation Key($input: ApiKeyCreateInput!) { apiKeyCreate(input: $input) { secretOnce errors { code } } }"
    await publish(ada, create, client="mobile")
    key = await client_key(ada, scopes=("keys:write",))
    for client, errors in ((None, [{"code": "PERMISSION_DENIED"}]), ("web", [{"code": "PERMISSION_DENIED"}]), ("mobile", [])):
        given: dict[str, Any] = {"input": {"name": "more", "scopes": [], "documentClient": client}}
        _, body = await post(key, documentId=hash_of(create), variables=given)
        assert body["data"]["apiKeyCreate"]["errors"] == errors, client
    keys = (await ada.data("{ viewer { apiKeys(first: 10) { nodes { documentClient } } } }"))["viewer"]["apiKeys"]["nodes"]
    assert [one["documentClient"] for one in keys] == ["mobile", "mobile"]


async def test_where_the_tenant_says_so_members_send_published_documents_alone(api: Api, server: Server, process: Process) -> None:
    ada = await api.sign_up()
    bob = await member(ada, process, "creator")
    await publish(ada, VIEWER)
    async with connected(server) as socket, connected(server) as hers:
        await begun(socket, bob.token)
        await begun(hers, ada.token)
        await socket.send_json(subscribe(EVERYTHING))
        await done(ada, "tenantUpdate", "tenant { settings revision }", settings={"trustedDocumentsOnly": True})
        assert await ended(socket) == 4403, "what was begun with any text is over"
        await required(bob)
        await hers.send_json(subscribe(VIEWER))
        assert (await received(hers))["type"] == "next"
    assert [code(event) async for event in subscribed(bob, {"query": EVERYTHING})] == ["PERSISTED_DOCUMENT_REQUIRED"]
    status, body = await post(bob, documentId=hash_of(VIEWER))
    assert (status, list(body["data"])) == (200, ["viewer"])
    assert await ada.data(VIEWER) == ANSWER, "whoever administers the API sends what they like"
    assert (await refused_by_all(bob))["code"] == "PERSISTED_DOCUMENT_REQUIRED"
    await done(ada, "tenantUpdate", settings={"trustedDocumentsOnly": None})


async def ended(socket: Any) -> Any:
    """The code with which a socket is closed, whatever was told before."""
    while isinstance(message := await received(socket), dict):
        assert message["type"] == "next"
    return message


SIGN_IN_AND_WRITE = """
    mutation ($input: SignInInput!, $chat: ChatCreateInput!) {
      signIn(input: $input) { tokenOnce viewer { permissions user { name } } errors { code } }
      chatCreate(input: $chat) { chat { id } errors { code } }
    }"""
SIGN_IN_AND_SEE = "mutation See($input: SignInInput!) { signIn(input: $input) { tokenOnce viewer { user { name } } errors { code } } }"
SWITCH = """
    mutation ($input: TenantSwitchInput!, $chat: ChatCreateInput!) {
      tenantSwitch(input: $input) { tokenOnce viewer { permissions } errors { code } }
      chatCreate(input: $chat) { chat { id } errors { code } }
    }"""
CHAT = {"idempotencyKey": "k", "title": "x"}


async def test_signing_in_inside_a_document_lets_nobody_send_what_is_not_published(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    bob = await member(ada, process, "creator")
    given = {"email": await email_of(bob), "password": PASSWORD, "transport": "BEARER"}
    seeing = SIGN_IN_AND_SEE.replace("See(", f"See{uuid4().hex}(")
    await publish(ada, seeing)
    await done(ada, "tenantUpdate", settings={"trustedDocumentsOnly": True})
    body = await api.post(SIGN_IN_AND_WRITE, input=given, chat=CHAT)
    assert [(error["path"], error["extensions"]["code"]) for error in body["errors"]] == [(["chatCreate"], "PERSISTED_DOCUMENT_REQUIRED")]
    entered = (await api.data(SIGN_IN_AND_SEE, input=given))["signIn"]
    assert (entered["viewer"], bool(entered["tokenOnce"]), entered["errors"]) == (None, True, [])
    _, published_one = await post(api, documentId=hash_of(seeing), variables={"input": given})
    assert published_one["data"]["signIn"]["viewer"]["user"]["name"], "by a published document they go on"
    await done(ada, "tenantUpdate", settings={"trustedDocumentsOnly": None})
    chats = (await bob.data("{ chats(first: 1) { nodes { id } } }"))["chats"]["nodes"]
    assert chats == []


async def test_switching_tenants_inside_a_document_lets_nobody_send_what_is_not_published(api: Api, process: Process) -> None:
    ada, bob = await api.sign_up(), await api.sign_up()
    tenant_id = (await ada.data("{ tenant { id } }"))["tenant"]["id"]
    _, invitation = await invited(ada, process, "creator", await email_of(bob))
    await done(bob, "invitationAccept", token=invitation)
    await done(ada, "tenantUpdate", settings={"trustedDocumentsOnly": True})
    body = await bob.post(SWITCH, input={"tenantId": tenant_id, "transport": "BEARER"}, chat=CHAT)
    assert body["errors"][0]["extensions"]["code"] == "PERSISTED_DOCUMENT_REQUIRED"
    await done(ada, "tenantUpdate", settings={"trustedDocumentsOnly": None})
    async with process.works.scopes.reading(local_id(tenant_id, "Tenant")) as scope:
        assert await scope.rows("SELECT id FROM penny.chats") == []


async def required(api: Api) -> None:
    async def look() -> None:
        if "errors" not in (await api.post(VIEWER)):
            raise LookupError

    await soon(look, seconds=PUSHED_SECONDS)


async def refused_by_all(api: Api) -> Any:
    return (await api.post("mutation { signOut { signedOut } }"))["errors"][0]["extensions"]


async def test_a_tenant_s_settings_are_of_their_types(api: Api) -> None:
    ada = await api.sign_up()
    for settings in ({"noSuch": True}, {"automaticDocuments": "yes"}, [True]):
        assert (await refused(ada, "tenantUpdate", settings=settings))["code"] == "VALIDATION"
    assert (await refused(ada, "tenantUpdate", name="Other", expectedRevision=7))["code"] == "CONFLICT"
    tenant = (await done(ada, "tenantUpdate", "tenant { name settings revision }", name="Other", expectedRevision=1))["tenant"]
    assert tenant == {"name": "Other", "settings": {}, "revision": 2}


async def test_clients_register_documents_where_the_tenant_allows_it(api: Api, server: Server, valkey: Valkey) -> None:
    ada = await api.sign_up()
    marked = f"query Automatic {{ __typename c{uuid4().hex}: __typename }}"
    sha256 = hash_of(marked)
    assert (await post(ada, **apollo(sha256, query=marked)))[0] == 200, "it runs"
    assert code((await post(ada, **apollo(sha256)))[1]) == "PERSISTED_QUERY_NOT_FOUND", "and is not kept"
    await done(ada, "tenantUpdate", settings={"automaticDocuments": True})

    async def registered() -> None:
        await post(ada, **apollo(sha256, query=marked))
        if (await post(ada, **apollo(sha256)))[0] != 200:
            raise LookupError

    await soon(registered)
    async with running_web(dict(server.environment)) as (elsewhere, _), Api(elsewhere, ada.token) as there:
        assert (await post(there, **apollo(sha256)))[0] == 200
    _, body = await post(ada, **apollo("c" * 64, query=marked))
    assert code(body) == "BAD_USER_INPUT"
    assert code((await post(ada, **apollo("c" * 64)))[1]) == "PERSISTED_QUERY_NOT_FOUND"
    stranger = await api.sign_up()
    assert code((await post(stranger, **apollo(sha256)))[1]) == "PERSISTED_QUERY_NOT_FOUND"
    kept = [value async for key in valkey.scan_iter("*documents:*:texts") for value in (await valkey.hgetall(key)).values()]  # type: ignore[misc] # typed for the blocking client too
    assert kept
    assert all(b"Automatic" not in value for value in kept), "what a client writes into a document may be anything"


async def test_what_is_published_or_taken_back_holds_in_every_process(api: Api, server: Server) -> None:
    ada = await api.sign_up()
    async with running_web(dict(server.environment)) as (elsewhere, _), Api(elsewhere, ada.token) as there:
        assert (await post(there, documentId=hash_of(VIEWER)))[0] == 404
        manifest_id = await publish(ada, VIEWER)
        await answers(there, 200)
        await done(ada, "documentManifestDelete", manifestId=manifest_id)
        await answers(there, 404)


async def answers(api: Api, status: int) -> None:
    async def look() -> None:
        if (await post(api, documentId=hash_of(VIEWER)))[0] != status:
            raise LookupError

    await soon(look, seconds=PUSHED_SECONDS)


async def test_uses_are_counted(api: Api, server: Server) -> None:
    ada = await api.sign_up()
    signing_in = SIGN_IN.replace("SignIn(", f"In{uuid4().hex}(", 1)
    await publish(ada, VIEWER, signing_in)
    given = {"input": {"email": "nobody@example.com", "password": PASSWORD}}
    async with (
        running_web({**server.environment, "PENNY_DOCUMENT_USES_SECONDS": "0.05"}) as (elsewhere, _),
        Api(elsewhere, ada.token) as there,
    ):
        for _ in range(3):
            assert (await post(there, documentId=hash_of(VIEWER)))[0] == 200
        assert (await post(there.as_(None), documentId=hash_of(signing_in), variables=given))[0] == 200

        async def counted() -> None:
            (manifest,) = (await ada.data(USES))["documentManifests"]["nodes"]
            viewer, sign_in = manifest["documents"]["nodes"]
            calls = [viewer["callsLast30d"], sign_in["callsLast30d"]]
            if calls != [3, 1]:
                raise LookupError(calls)
            assert manifest["lastUsedAt"] == max(viewer["lastUsedAt"], sign_in["lastUsedAt"])

        await soon(counted)


@pytest.mark.parametrize(
    "asked",
    [
        {"documentId": 5}, {"documentId": ["x"]}, {"doc_id": {}, "query": ""}, {"query": None}, {"id": 7},
        {"extensions": {"persistedQuery": {"version": 2, "sha256Hash": "x"}}}, {"extensions": {"persistedQuery": 1}},
        {"extensions": {"persistedQuery": {"version": 1}}},
    ],
)  # fmt: skip
async def test_what_is_no_id_is_told(api: Api, asked: dict[str, Any]) -> None:
    status, body = await post(api, **asked)
    assert (status, code(body)) == (422, "BAD_REQUEST")


async def test_odd_ids_are_not_found(api: Api) -> None:
    ada = await api.sign_up()
    for name in ("x", "sha256:", "\0", "a" * 5000, "sha256:" + "A" * 64, "'; --", "é"):
        status, body = await post(ada, documentId=name)
        assert (status, code(body)) in ((404, "PERSISTED_DOCUMENT_NOT_FOUND"), (422, "BAD_REQUEST")), name
    assert await live(ada) == []
