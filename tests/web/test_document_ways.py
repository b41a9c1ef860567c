"""Documents by their ids in batches and as events, and guessing with them: the limits of a document that comes whole hold there too."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from tests.api.manifests import VIEWER, hash_of, publish
from tests.api.people import address
from tests.chat.talking import ask, new_chat
from tests.running import Api, Server, running_web
from tests.web.test_abuse import codes
from tests.web.test_persisted import ANSWER, CHAT, CHAT_CREATE, RUN_EVENTS, apollo, client_key, code, subscribed
from tests.web.test_sockets import begun, connected, received

REQUIRED, NOT_FOUND, APOLLO_S = "PERSISTED_DOCUMENT_REQUIRED", "PERSISTED_DOCUMENT_NOT_FOUND", "PERSISTED_QUERY_NOT_FOUND"


@pytest.fixture(scope="module")
async def batching(environment: dict[str, str]) -> AsyncIterator[str]:
    """A web process that takes batches, and lets nobody guess often."""
    settings = {"PENNY_GRAPHQL_MAX_BATCH": "10", "PENNY_SIGN_IN_ACCOUNT_ATTEMPTS": "3"}
    async with running_web(environment | settings) as (url, _):
        yield url


async def batch(api: Api, url: str, *asked: dict[str, Any]) -> list[Any]:
    headers = {"authorization": f"Bearer {api.token}"} if api.token else {}
    async with api._session.post(f"{url}/graphql", json=list(asked), headers=headers) as answer:
        told = await answer.json()
    assert isinstance(told, list)
    return told


async def test_a_batch_of_a_client_s_key_holds_that_client_s_documents_and_nothing_else(api: Api, batching: str) -> None:
    ada = await api.sign_up()
    other = "query Other { viewer { user { name } } }"
    await publish(ada, VIEWER, CHAT_CREATE, client="mobile")
    await publish(ada, other, client="web")
    key, given = await client_key(ada), {"input": CHAT}
    first, *refused, last = await batch(
        key,
        batching,
        {"documentId": f"sha256:{hash_of(VIEWER)}"},
        {"query": VIEWER},
        {"query": CHAT_CREATE, "variables": given},
        {"documentId": hash_of(other)},
        apollo(hash_of(other), query=other),
        apollo(hash_of(CHAT_CREATE), query="{ __typename }"),
    )
    assert first["data"] == ANSWER
    assert [code(one) for one in refused] == [REQUIRED, REQUIRED, NOT_FOUND, APOLLO_S]
    assert last["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT", "the id is what counts, and not the text beside it"
    assert (await ada.data("{ chats(first: 1) { nodes { id } } }"))["chats"]["nodes"] == []
    made, seen = await batch(key, batching, {"documentId": hash_of(CHAT_CREATE), "variables": given}, {"documentId": hash_of(VIEWER)})
    assert (made["data"]["chatCreate"]["errors"], seen["data"]) == ([], ANSWER)


async def told(api: Api, url: str, method: str = "POST", **asked: Any) -> list[Any]:
    """The results of a request whose answer comes as events."""
    headers = {"accept": "text/event-stream", "authorization": f"Bearer {api.token}"}
    given = (
        {"json": asked} if method == "POST" else {"params": {name: v if isinstance(v, str) else json.dumps(v) for name, v in asked.items()}}
    )
    async with api._session.request(method, f"{url}/graphql", headers=headers, **given) as answer:
        text = await answer.text()
    if answer.content_type != "text/event-stream":
        return [json.loads(text)]
    events = [one for one in text.split("\n\n") if one.startswith("event: next")]
    return [json.loads(one.partition("data: ")[2]) for one in events]


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_events_of_a_client_s_key_are_those_of_that_client_s_documents(api: Api, batching: str, method: str) -> None:
    ada = await api.sign_up()
    other = RUN_EVENTS.replace("RunEvents", "Other", 1)
    await publish(ada, VIEWER, RUN_EVENTS, client="mobile")
    await publish(ada, other, client="web")
    key = await client_key(ada)
    given = {"runId": await ask(ada, await new_chat(ada), "!script tokens=3")}
    seqs = [one["data"]["runEvents"]["seq"] for one in await told(key, batching, method, documentId=hash_of(RUN_EVENTS), variables=given)]
    assert seqs == list(range(1, len(seqs) + 1))
    assert len(seqs) > 3
    assert [one["data"] for one in await told(key, batching, method, documentId=hash_of(VIEWER))] == [ANSWER]
    for asked, expected in (
        ({"query": RUN_EVENTS}, REQUIRED),
        ({"query": VIEWER}, REQUIRED),
        ({"documentId": hash_of(other)}, NOT_FOUND),
        (apollo(hash_of(other), query=other), APOLLO_S),
    ):
        assert [code(one) for one in await told(key, batching, method, variables=given, **asked)] == [expected]
    assert [
        one["data"]["runEvents"]["seq"] async for one in subscribed(key, {"documentId": hash_of(RUN_EVENTS), "variables": given})
    ] == seqs


ALIASED = "mutation Many{mark}($input: SignInInput!) {{ {fields} }}"
ONE = "mutation One{mark}($input: SignInInput!) {{ signIn(input: $input) {{ errors {{ code }} }} }}"


@pytest.mark.parametrize("way", ["aliases of a document", "a batch of documents", "documents over a socket"])
async def test_guessing_by_documents_is_slowed_as_if_they_came_alone(api: Api, batching: str, way: str) -> None:
    email, mark = address(), uuid4().hex
    ada = await api.sign_up(email=email)
    fields = " ".join(f"a{number}: signIn(input: $input) {{ errors {{ code }} }}" for number in range(5))
    many, one = ALIASED.format(mark=mark, fields=fields), ONE.format(mark=mark)
    await publish(ada, many, one)
    asked = {"variables": {"input": {"email": email, "password": "wrong"}}}
    if way == "aliases of a document":
        async with api._session.post(f"{batching}/graphql", json={"documentId": hash_of(many), **asked}) as answer:
            found = codes(await answer.json())
    elif way == "a batch of documents":
        found = codes(await batch(api, batching, *[{"documentId": hash_of(one), **asked}] * 5))
    else:
        found = []
        async with connected(Server(batching, {})) as socket:
            await begun(socket)
            for number in range(5):
                await socket.send_json({"type": "subscribe", "id": str(number), "payload": {"documentId": hash_of(one), **asked}})
            while len(found) < 5:
                if (message := await received(socket))["type"] == "next":
                    found += codes(message["payload"])
    assert sorted(found) == ["RATE_LIMITED"] * 2 + ["VALIDATION"] * 3
