"""Chats through the endpoint: begun, listed, changed, shown and deleted."""

from typing import Any
from uuid import uuid4

import pytest

from tests.api.people import code_of, done, me, member, refused
from tests.chat.talking import ask, hear, new_chat
from tests.running import Api
from web.works import Process

CHAT = "chat { id title visibility metadata archivedAt createdAt updatedAt revision viewerCan owner { id } head { id } }"
LIST = """
    query (
      $first: Int, $last: Int, $after: String, $before: String
      $archived: Boolean = false, $shared: Boolean = false, $span: TimeRange
    ) {
      chats(
        first: $first, last: $last, after: $after, before: $before
        archived: $archived, sharedWithMe: $shared, updatedBetween: $span
      ) {
        nodes { id title } edges { cursor } totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
      }
    }"""
UPDATE = """
    mutation ($input: ChatUpdateInput!) {
      chatUpdate(input: $input) { chat { id } errors { code ... on ConflictError { currentRevision } } }
    }"""
SHOWN = """
    query ($id: ID!) {
      node(id: $id) { ... on Chat { viewerCan owner { id } messages(first: 9) { nodes { role author { ... on User { id } } } } } }
    }"""
NODE = "query ($id: ID!) { node(id: $id) { id ... on Chat { title } } }"


def key() -> str:
    return uuid4().hex


async def created(api: Api, **given: Any) -> Any:
    return (await done(api, "chatCreate", CHAT, idempotencyKey=key(), **given))["chat"]


async def listed(api: Api, **arguments: Any) -> list[str]:
    nodes = (await api.data(LIST, **({"first": 50} if "last" not in arguments else {}), **arguments))["chats"]["nodes"]
    return [node["id"] for node in nodes]


async def test_a_chat_is_begun_and_found_again(api: Api) -> None:
    ada = await api.sign_up()
    chat = await created(ada, title=" Über 数学 ", metadata={"colour": ["blue", None, 1.5]})
    assert chat["id"].startswith("chat_")
    assert chat["title"] == "Über 数学"
    assert chat["metadata"] == {"colour": ["blue", None, 1.5]}
    assert (chat["visibility"], chat["revision"], chat["archivedAt"], chat["head"]) == ("PRIVATE", 1, None, None)
    assert chat["viewerCan"] == ["read", "comment", "write", "manage", "delete"]
    assert chat["owner"] == {"id": (await me(ada))["viewer"]["user"]["id"]}
    assert (await ada.data(NODE, id=chat["id"]))["node"] == {"id": chat["id"], "title": "Über 数学"}
    assert await listed(ada) == [chat["id"]]


async def test_a_chat_may_begin_with_a_message(api: Api) -> None:
    ada = await api.sign_up()
    fields = (
        "chat { id head { role status } } run { id status chat { id } input { role parts { ... on TextPart { text } } } } "
        "message { id role } runs { id input { id } } reused"
    )
    given = {"idempotencyKey": key(), "firstMessage": {"content": [{"text": "!script tokens=3"}]}}
    payload, again = [await done(ada, "chatCreate", fields, **given) for _ in range(2)]
    assert (payload["reused"], again["reused"], again["chat"]["id"]) == (False, True, payload["chat"]["id"])
    assert (payload["message"]["role"], again["message"]) == ("USER", payload["message"])
    assert payload["runs"] == again["runs"] == [{"id": payload["run"]["id"], "input": {"id": payload["message"]["id"]}}]
    assert payload["run"]["chat"] == {"id": payload["chat"]["id"]}
    assert payload["run"]["input"] == {"role": "USER", "parts": [{"text": "!script tokens=3"}]}
    assert payload["chat"]["head"]["role"] == "ASSISTANT"
    assert (await hear(ada, payload["run"]["id"])).text.split() == ["word0", "word1", "word2"]


async def test_the_same_key_makes_one_chat(api: Api) -> None:
    ada, same = await api.sign_up(), key()
    chats = [(await done(ada, "chatCreate", "chat { id }", idempotencyKey=same, title="One"))["chat"]["id"] for _ in range(2)]
    assert chats[0] == chats[1]
    assert await listed(ada) == chats[:1]
    assert (await refused(ada, "chatCreate", idempotencyKey=same, title="Two"))["code"] == "IDEMPOTENCY_MISMATCH"
    assert await listed(ada) == chats[:1]


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"title": ""}, ["title"]),
        ({"title": "   "}, ["title"]),
        ({"title": "x" * 201}, ["title"]),
        ({"metadata": "x" * 16_384}, ["metadata"]),
        ({"firstMessage": {"content": []}}, ["firstMessage", "content"]),
        ({"firstMessage": {"content": [{"text": "x"}], "modelIds": []}}, ["firstMessage", "modelIds"]),
        ({"firstMessage": {"content": [{"text": "  "}]}}, ["firstMessage", "content"]),
        ({"idempotencyKey": ""}, ["idempotencyKey"]),
        ({"idempotencyKey": "k" * 256}, ["idempotencyKey"]),
    ],
)
async def test_a_chat_that_breaks_a_rule_is_not_begun(api: Api, given: dict[str, Any], path: list[str]) -> None:
    ada = await api.sign_up()
    error = await refused(ada, "chatCreate", **{"idempotencyKey": key(), **given})
    assert (error["__typename"], error["path"]) == ("ValidationError", path)
    assert await listed(ada) == []
    await created(ada, title="x" * 200, metadata="x" * 16_000, firstMessage={"content": [{"text": "!script tokens=1"}]})


async def test_a_change_leaves_what_is_not_given(api: Api) -> None:
    ada = await api.sign_up()
    chat = await created(ada, title="Before", metadata={"a": 1})

    async def change(**given: Any) -> Any:
        return (await done(ada, "chatUpdate", CHAT, chatId=chat["id"], **given))["chat"]

    shown = await change(visibility="TENANT")
    assert (shown["title"], shown["metadata"], shown["visibility"], shown["revision"]) == ("Before", {"a": 1}, "TENANT", 2)
    renamed = await change(title="After", expectedRevision=2)
    assert (renamed["title"], renamed["visibility"]) == ("After", "TENANT")
    assert renamed["updatedAt"] > chat["updatedAt"]
    cleared = await change(title=None, metadata=None)
    assert (cleared["title"], cleared["metadata"], cleared["revision"]) == (None, None, 4)
    archived = await change(archived=True)
    assert archived["archivedAt"] is not None
    assert await listed(ada) == []
    assert await listed(ada, archived=True) == [chat["id"]]
    assert (await change(archived=False))["archivedAt"] is None
    assert (await change())["revision"] == 6


async def test_a_change_that_comes_too_late_or_breaks_a_rule_changes_nothing(api: Api) -> None:
    ada = await api.sign_up()
    chat = await created(ada, title="Mine")
    payload = await ada.data(UPDATE, input={"chatId": chat["id"], "title": "Late", "expectedRevision": 7})
    assert payload["chatUpdate"] == {"chat": None, "errors": [{"code": "CONFLICT", "currentRevision": 1}]}
    for given, path in (({"title": ""}, "title"), ({"visibility": None}, "visibility"), ({"archived": None}, "archived")):
        error = await refused(ada, "chatUpdate", chatId=chat["id"], **given)
        assert (error["code"], error["path"]) == ("VALIDATION", [path])
    assert (await ada.data(NODE, id=chat["id"]))["node"]["title"] == "Mine"


async def test_a_list_is_read_page_by_page_in_both_directions(api: Api) -> None:
    ada = await api.sign_up()
    made = [await new_chat(ada, f"Chat {number}") for number in range(5)]
    newest = made[::-1]
    first = (await ada.data(LIST, first=2))["chats"]
    assert [node["id"] for node in first["nodes"]] == newest[:2]
    assert (first["pageInfo"]["hasNextPage"], first["pageInfo"]["hasPreviousPage"], first["totalCount"]) == (True, False, None)
    second = (await ada.data(LIST, first=2, after=first["pageInfo"]["endCursor"]))["chats"]
    assert [node["id"] for node in second["nodes"]] == newest[2:4]
    assert await listed(ada, after=second["pageInfo"]["endCursor"]) == newest[4:]
    assert await listed(ada, last=2) == newest[3:]
    back = (await ada.data(LIST, last=2, before=second["pageInfo"]["startCursor"]))["chats"]
    assert [node["id"] for node in back["nodes"]] == newest[:2]
    assert back["pageInfo"]["hasPreviousPage"] is False


async def test_a_list_needs_a_size_and_a_cursor_of_its_own(api: Api) -> None:
    ada, eve = await api.sign_up(), await api.sign_up()
    await new_chat(ada)
    await new_chat(eve)
    mine = (await ada.data(LIST, first=1))["chats"]["pageInfo"]["endCursor"]
    for arguments in ({}, {"first": 0}, {"first": 101}, {"first": 1, "last": 1}, {"first": 1, "after": "AAAA"}):
        assert await code_of(ada, LIST, **arguments) == "BAD_USER_INPUT", arguments
    assert await code_of(ada, LIST, first=1, shared=True, after=mine) == "BAD_USER_INPUT"
    assert await code_of(eve, LIST, first=1, after=mine) == "BAD_USER_INPUT"
    assert await code_of(ada, LIST, first=1, after=mine) is None


async def test_a_list_keeps_to_a_span_of_time(api: Api) -> None:
    ada = await api.sign_up()
    one, two = await created(ada), await created(ada)
    assert await listed(ada, span={"from": one["updatedAt"], "to": "2999-01-01T00:00:00Z"}) == [two["id"], one["id"]]
    assert await listed(ada, span={"from": "2999-01-01T00:00:00Z", "to": "2999-01-02T00:00:00Z"}) == []
    assert await listed(ada, span={"from": "2000-01-01T00:00:00Z", "to": one["createdAt"]}) == []


async def test_what_is_said_moves_a_chat_to_the_top(api: Api) -> None:
    ada = await api.sign_up()
    old, new = await new_chat(ada), await new_chat(ada)
    assert await listed(ada) == [new, old]
    await hear(ada, await ask(ada, old, "!script tokens=1"))
    assert await listed(ada) == [old, new]


async def test_a_private_chat_is_nothing_to_other_members(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    bob = await member(ada, process, "admin")
    chat_id = await new_chat(ada, "Secret")
    run_id = await ask(ada, chat_id, "!script tokens=2")
    heard = await hear(ada, run_id)
    message_id = heard.events[1]["outputMessageIds"][0]
    ids = [chat_id, run_id, message_id]
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    assert (await bob.data(query, ids=ids))["nodes"] == [None, None, None]
    assert await listed(bob) == []
    assert await listed(bob, shared=True) == []
    for field, name, id_, more in (
        ("chatUpdate", "chatId", chat_id, {"title": "Taken"}),
        ("chatDelete", "chatId", chat_id, {}),
        ("messageSend", "chatId", chat_id, {"content": [{"text": "hi"}], "idempotencyKey": key()}),
        ("runCancel", "runId", run_id, {}),
    ):
        there, missing = [await refused(bob, field, **{name: text}, **more) for text in (id_, id_[:-32] + "0" * 32)]
        assert there == missing, field
        assert there["__typename"] == "NotFoundError"
    assert (await ada.data(query, ids=ids))["nodes"] == [{"id": text} for text in ids]
    assert (await ada.data(NODE, id=chat_id))["node"]["title"] == "Secret"


async def test_a_chat_that_is_shown_is_read_and_not_written(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    bob, guest = await member(ada, process, "admin"), await member(ada, process, "viewer")
    chat_id = await new_chat(ada, "Open")
    await hear(ada, await ask(ada, chat_id, "!script tokens=2"))
    await done(ada, "chatUpdate", chatId=chat_id, visibility="TENANT")
    assert await listed(bob, shared=True) == [chat_id]
    assert await listed(bob) == []
    assert await listed(ada, shared=True) == []
    owner_id = (await me(ada))["viewer"]["user"]["id"]
    seen = (await bob.data(SHOWN, id=chat_id))["node"]
    assert (seen["viewerCan"], seen["owner"]) == (["read"], {"id": owner_id})
    assert [node["author"] for node in seen["messages"]["nodes"]] == [{"id": owner_id}, None]
    hidden = (await guest.data(SHOWN, id=chat_id))["node"]
    assert (hidden["viewerCan"], hidden["owner"]) == (["read"], None)
    assert [node["role"] for node in hidden["messages"]["nodes"]] == ["USER", "ASSISTANT"]
    for field, given in (
        ("chatUpdate", {"chatId": chat_id, "title": "Taken"}),
        ("chatDelete", {"chatId": chat_id}),
        ("messageSend", {"chatId": chat_id, "content": [{"text": "hi"}], "idempotencyKey": key()}),
    ):
        assert (await refused(bob, field, **given))["code"] == "PERMISSION_DENIED", field
    await done(ada, "chatUpdate", chatId=chat_id, visibility="PRIVATE")
    assert (await bob.data(SHOWN, id=chat_id))["node"] is None


async def test_a_deleted_chat_is_gone_with_all_that_was_said(api: Api) -> None:
    ada = await api.sign_up()
    kept, chat_id = await new_chat(ada), await new_chat(ada)
    run_id = await ask(ada, chat_id, "!script tokens=2")
    message_id = (await hear(ada, run_id)).events[1]["outputMessageIds"][0]
    assert (await done(ada, "chatDelete", "deletedId", chatId=chat_id))["deletedId"] == chat_id
    nodes = await ada.data("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=[chat_id, run_id, message_id, kept])
    assert nodes["nodes"] == [None, None, None, {"id": kept}]
    assert (await refused(ada, "chatDelete", chatId=chat_id))["code"] == "NOT_FOUND"


async def test_roles_decide_who_reads_writes_and_deletes(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    guest, creator = await member(ada, process, "viewer"), await member(ada, process, "creator")
    assert (await refused(guest, "chatCreate", idempotencyKey=key()))["requiredScopes"] == ["chats:write"]
    assert (await refused(guest, "chatDelete", chatId="chat_" + "0" * 32))["requiredScopes"] == ["chats:delete"]
    assert await listed(guest) == []
    chat = await created(creator)
    await done(creator, "chatDelete", chatId=chat["id"])
    writer = api.as_((await done(ada, "apiKeyCreate", "secretOnce", name="writer", scopes=["chats:write"]))["secretOnce"])
    assert await code_of(writer, LIST, first=1) == "PERMISSION_DENIED"
    assert await code_of(api.as_(None), LIST, first=1) == "UNAUTHENTICATED"


async def test_pinned_chats_are_listed_by_themselves_and_the_list_keeps_its_order(api: Api) -> None:
    ada = await api.sign_up()
    made = [await new_chat(ada, f"Chat {number}") for number in range(4)]
    query = """query ($pinned: Boolean, $after: String) {
        chats(first: 1, pinned: $pinned, after: $after) { nodes { id } pageInfo { endCursor } } }"""

    async def all_of(pinned: bool | None) -> list[str]:  # noqa: FBT001 - the filter's value
        found, after = [], None
        while (page := (await ada.data(query, pinned=pinned, after=after))["chats"])["nodes"]:
            found.append(page["nodes"][0]["id"])
            after = page["pageInfo"]["endCursor"]
        return found

    for chat_id in (made[2], made[0]):
        shown = (await done(ada, "chatUpdate", "chat { pinnedAt }", chatId=chat_id, pinned=True))["chat"]
        assert shown["pinnedAt"] is not None
    assert await all_of(pinned=True) == [made[0], made[2]]
    assert await all_of(pinned=False) == [made[3], made[1]]
    assert await all_of(pinned=None) == [made[0], made[2], made[3], made[1]]
    assert (await done(ada, "chatUpdate", "chat { pinnedAt }", chatId=made[0], pinned=False))["chat"]["pinnedAt"] is None
    assert await all_of(pinned=True) == [made[2]]
    await done(ada, "chatUpdate", chatId=made[2], archived=True)
    assert await all_of(pinned=True) == []
    assert (await refused(ada, "chatUpdate", chatId=made[1], pinned=None))["path"] == ["pinned"]
    assert await code_of(ada, "{ chats(first: 1, pinned: true, sharedWithMe: true) { nodes { id } } }") == "BAD_USER_INPUT"
