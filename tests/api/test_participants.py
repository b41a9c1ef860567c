"""Sharing a chat with people: what each role may do, what lists show, and how fast it ends."""

import dataclasses
from typing import Any
from uuid import UUID, uuid4

import pytest

from chat.participants import Participants
from errors import Invalid
from tests.api.people import done, email_of, me, member, membership_id, mutate, refused
from tests.api.test_chats import listed
from tests.chat.talking import EVENTS, ask, hear, new_chat, say
from tests.running import Api
from web.works import Process

PEOPLE = """
    query ($id: ID!, $first: Int!, $after: String) {
      node(id: $id) { ... on Chat { visibility revision viewerCan participants(first: $first, after: $after) {
        nodes { id role chat { id } user { id } } pageInfo { hasNextPage endCursor }
      } } }
    }"""
SEEN = "query ($id: ID!) { node(id: $id) { ... on Chat { title viewerCan messages(first: 9) { nodes { role } } } } }"


async def user_of(api: Api) -> str:
    return str((await me(api))["viewer"]["user"]["id"])


async def put(owner: Api, chat_id: str, person: Api, role: str | None) -> Any:
    payload = await done(
        owner, "chatParticipantSet", "participant { id role user { id } }", chatId=chat_id, userId=await user_of(person), role=role
    )
    return payload["participant"]


async def people_of(api: Api, chat_id: str, first: int = 9, after: str | None = None) -> Any:
    return (await api.data(PEOPLE, id=chat_id, first=first, after=after))["node"]


async def test_a_private_chat_is_shared_from_its_first_participant_on(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    bob, eve = await member(ada, process, "creator"), await member(ada, process, "creator")
    chat_id = await new_chat(ada, "Ours")
    made = await put(ada, chat_id, bob, "VIEWER")
    assert (made["role"], made["user"]) == ("VIEWER", {"id": await user_of(bob)})
    chat = await people_of(ada, chat_id)
    assert (chat["visibility"], chat["revision"]) == ("SHARED", 2)
    assert chat["participants"]["nodes"] == [
        {"id": made["id"], "role": "VIEWER", "chat": {"id": chat_id}, "user": {"id": await user_of(bob)}}
    ]
    assert (await bob.data(SEEN, id=chat_id))["node"]["title"] == "Ours"
    assert await listed(bob, shared=True) == [chat_id]
    assert await listed(bob) == []
    for nobody in (eve, await api.sign_up()):
        assert (await nobody.data(SEEN, id=chat_id))["node"] is None
        assert (await nobody.data(SEEN, id=made["id"]))["node"] is None
        assert await listed(nobody, shared=True) == []


async def test_the_same_role_again_changes_nothing_and_another_one_keeps_the_participant(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    bob = await member(ada, process, "creator")
    chat_id = await new_chat(ada)
    first = await put(ada, chat_id, bob, "VIEWER")
    assert await put(ada, chat_id, bob, "VIEWER") == first
    assert await put(ada, chat_id, bob, "EDITOR") == {**first, "role": "EDITOR"}
    assert len((await people_of(ada, chat_id))["participants"]["nodes"]) == 1
    assert await put(ada, chat_id, bob, None) is None
    assert await put(ada, chat_id, bob, None) is None
    assert (await people_of(ada, chat_id))["participants"]["nodes"] == []


RIGHTS = {
    "VIEWER": ["read"],
    "COMMENTER": ["read", "comment"],
    "EDITOR": ["read", "comment", "write"],
    "OWNER": ["read", "comment", "write", "manage", "delete"],
}


@pytest.mark.parametrize("role", RIGHTS)
async def test_a_role_allows_what_it_says_and_no_more(api: Api, process: Process, role: str) -> None:
    ada = await api.sign_up()
    bob, eve = await member(ada, process, "creator"), await member(ada, process, "creator")
    chat_id = await new_chat(ada, "Ours")
    run_id = await ask(ada, chat_id, "!script tokens=1")
    await hear(ada, run_id)
    await put(ada, chat_id, bob, role)
    seen = (await bob.data(SEEN, id=chat_id))["node"]
    assert seen["viewerCan"] == RIGHTS[role]
    assert [node["role"] for node in seen["messages"]["nodes"]] == ["USER", "ASSISTANT"]
    attempts: list[tuple[str, str, dict[str, Any]]] = [
        ("write", "chatUpdate", {"chatId": chat_id, "title": "Bob's"}),
        ("write", "messageSend", {"chatId": chat_id, "content": [{"text": "!script tokens=1"}], "idempotencyKey": uuid4().hex}),
        ("write", "runCancel", {"runId": run_id}),
        ("manage", "chatUpdate", {"chatId": chat_id, "archived": False}),
        ("manage", "chatUpdate", {"chatId": chat_id, "visibility": "TENANT"}),
        ("manage", "chatUpdate", {"chatId": chat_id, "title": "Both", "visibility": "TENANT"}),
        ("manage", "chatParticipantSet", {"chatId": chat_id, "userId": await user_of(eve), "role": "VIEWER"}),
        ("delete", "chatDelete", {"chatId": chat_id}),
    ]
    for needed, field, given in attempts:
        errors = (await mutate(bob, field, **given))["errors"]
        assert [error["code"] for error in errors] == ([] if needed in RIGHTS[role] else ["PERMISSION_DENIED"]), (field, given)
    if role != "OWNER":
        chat = await people_of(ada, chat_id)
        assert (chat["visibility"], len(chat["participants"]["nodes"])) == ("SHARED", 1)
        assert (await ada.data(SEEN, id=chat_id))["node"]["title"] == ("Bob's" if role == "EDITOR" else "Ours")


async def test_what_an_editor_says_is_theirs_and_is_answered(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    bob = await member(ada, process, "creator")
    chat_id = await new_chat(ada)
    await put(ada, chat_id, bob, "EDITOR")
    heard = await hear(ada, await ask(bob, chat_id, "!script tokens=2"))
    assert heard.end["status"] == "COMPLETED"
    query = "query ($id: ID!) { node(id: $id) { ... on Chat { messages(first: 1) { nodes { author { ... on User { id } } } } } } }"
    assert (await ada.data(query, id=chat_id))["node"]["messages"]["nodes"] == [{"author": {"id": await user_of(bob)}}]


async def test_a_role_in_a_chat_is_no_more_than_the_role_in_the_tenant(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    guest = await member(ada, process, "viewer")
    chat_id = await new_chat(ada)
    await put(ada, chat_id, guest, "OWNER")
    seen = await people_of(guest, chat_id)
    assert seen["viewerCan"] == ["read"]
    assert [(one["role"], one["user"]) for one in seen["participants"]["nodes"]] == [("OWNER", {"id": await user_of(guest)})]
    assert (await refused(guest, "chatUpdate", chatId=chat_id, title="Mine"))["code"] == "PERMISSION_DENIED"


async def test_a_private_chat_remembers_its_participants_and_shows_them_nothing(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    bob = await member(ada, process, "creator")
    chat_id = await new_chat(ada)
    await put(ada, chat_id, bob, "EDITOR")
    await done(ada, "chatUpdate", chatId=chat_id, visibility="PRIVATE")
    assert (await bob.data(SEEN, id=chat_id))["node"] is None
    assert await listed(bob, shared=True) == []
    await done(ada, "chatUpdate", chatId=chat_id, visibility="TENANT")
    assert "write" in (await bob.data(SEEN, id=chat_id))["node"]["viewerCan"]
    assert await listed(bob, shared=True) == [chat_id], "once, though it is shown to the tenant too"
    await done(ada, "chatUpdate", chatId=chat_id, visibility="SHARED")
    assert await listed(bob, shared=True) == [chat_id]


async def test_lists_mix_what_is_shared_and_what_is_shown_by_last_change(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    bob = await member(ada, process, "creator")
    made = [await new_chat(ada, f"Chat {number}") for number in range(6)]
    for number, chat_id in enumerate(made):
        if number % 2:
            await put(ada, chat_id, bob, "VIEWER")
        else:
            await done(ada, "chatUpdate", chatId=chat_id, visibility="TENANT")
    expected = made[::-1]
    assert await listed(bob, shared=True) == expected
    await hear(ada, await ask(ada, made[1], "!script tokens=1"))
    expected = [made[1], *(one for one in expected if one != made[1])]
    assert await listed(bob, shared=True) == expected
    query = """query ($first: Int, $last: Int, $after: String, $before: String) {
        chats(first: $first, last: $last, after: $after, before: $before, sharedWithMe: true) {
          nodes { id } pageInfo { hasNextPage startCursor endCursor } } }"""
    found, after = [], None
    for _ in range(3):
        page = (await bob.data(query, first=2, after=after))["chats"]
        found += [node["id"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
    assert (found, page["pageInfo"]["hasNextPage"]) == (expected, False)
    back = (await bob.data(query, last=2, before=page["pageInfo"]["startCursor"]))["chats"]
    assert [node["id"] for node in back["nodes"]] == expected[2:4]
    await done(ada, "chatUpdate", chatId=made[3], archived=True)
    assert await listed(bob, shared=True, archived=True) == [made[3]]
    assert made[3] not in await listed(bob, shared=True)


async def test_participants_are_read_page_by_page(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    people = [await member(ada, process, "creator") for _ in range(3)]
    chat_id = await new_chat(ada)
    ids = [(await put(ada, chat_id, person, "VIEWER"))["id"] for person in people]
    first = (await people_of(ada, chat_id, first=2))["participants"]
    assert ([node["id"] for node in first["nodes"]], first["pageInfo"]["hasNextPage"]) == (ids[:2], True)
    rest = (await people_of(ada, chat_id, first=2, after=first["pageInfo"]["endCursor"]))["participants"]
    assert [node["id"] for node in rest["nodes"]] == ids[2:]


async def test_everybody_may_leave_and_only_owners_take_others_out(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    bob, eve = await member(ada, process, "creator"), await member(ada, process, "creator")
    chat_id = await new_chat(ada)
    await put(ada, chat_id, bob, "EDITOR")
    await put(ada, chat_id, eve, "VIEWER")
    denied = await refused(bob, "chatParticipantSet", chatId=chat_id, userId=await user_of(eve), role=None)
    assert denied["code"] == "PERMISSION_DENIED"
    raised = await refused(bob, "chatParticipantSet", chatId=chat_id, userId=await user_of(bob), role="OWNER")
    assert raised["code"] == "PERMISSION_DENIED"
    assert len((await people_of(ada, chat_id))["participants"]["nodes"]) == 2
    await put(eve, chat_id, eve, None)
    assert (await eve.data(SEEN, id=chat_id))["node"] is None
    assert [one["user"]["id"] for one in (await people_of(ada, chat_id))["participants"]["nodes"]] == [await user_of(bob)]


async def test_what_cannot_be_shared_is_refused_and_changes_nothing(api: Api, process: Process) -> None:
    ada, stranger = await api.sign_up(), await api.sign_up()
    bob = await member(ada, process, "creator")
    chat_id, own = await new_chat(ada), await user_of(ada)
    theirs = await new_chat(stranger)
    nobody = "usr_" + uuid4().hex
    cases: list[tuple[dict[str, Any], str, list[str]]] = [
        ({"chatId": chat_id, "userId": own, "role": "VIEWER"}, "CONFLICT", ["userId"]),
        ({"chatId": chat_id, "userId": own, "role": None}, "CONFLICT", ["userId"]),
        ({"chatId": chat_id, "userId": nobody, "role": "VIEWER"}, "NOT_FOUND", ["userId"]),
        ({"chatId": chat_id, "userId": await user_of(stranger), "role": "VIEWER"}, "NOT_FOUND", ["userId"]),
        ({"chatId": chat_id, "userId": "chat_" + "0" * 32, "role": "VIEWER"}, "NOT_FOUND", ["userId"]),
        ({"chatId": theirs, "userId": await user_of(bob), "role": "VIEWER"}, "NOT_FOUND", ["chatId"]),
        ({"chatId": chat_id, "userId": await user_of(bob)}, "VALIDATION", ["role"]),
    ]
    for given, code, path in cases:
        error = await refused(ada, "chatParticipantSet", **given)
        assert (error["code"], error["path"]) == (code, path), given
    chat = await people_of(ada, chat_id)
    assert (chat["visibility"], chat["revision"], chat["participants"]["nodes"]) == ("PRIVATE", 1, [])
    assert (await refused(bob, "chatParticipantSet", chatId=chat_id, userId=await user_of(bob), role="OWNER"))["code"] == "NOT_FOUND"


async def test_whoever_is_taken_out_hears_nothing_more_of_an_answer(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    bob = await member(ada, process, "creator")
    chat_id = await new_chat(ada)
    await put(ada, chat_id, bob, "VIEWER")
    run_id = await ask(ada, chat_id, "!script tokens=3000 delay_ms=10")
    stream = bob.subscribe(EVENTS, runId=run_id)
    assert (await anext(aiter(stream)))["data"]["runEvents"]["__typename"] == "RunQueued"
    await put(ada, chat_id, bob, None)
    last: dict[str, Any] = {}
    async for payload in stream:
        last = payload
    assert last["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    await done(ada, "runCancel", runId=run_id)


async def test_a_retry_tells_nothing_to_whoever_was_taken_out(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    bob = await member(ada, process, "creator")
    chat_id, key = await new_chat(ada), uuid4().hex
    await put(ada, chat_id, bob, "EDITOR")
    assert (await say(bob, chat_id, "!script tokens=1", key=key))["errors"] == []
    assert (await say(bob, chat_id, "!script tokens=1", key=key))["reused"] is True
    await put(ada, chat_id, bob, None)
    again = await say(bob, chat_id, "!script tokens=1", key=key)
    assert (again["message"], again["runs"], [error["code"] for error in again["errors"]]) == (None, None, ["NOT_FOUND"])


async def test_whoever_leaves_the_tenant_leaves_its_chats(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    bob = await member(ada, process, "creator")
    chat_id = await new_chat(ada)
    await put(ada, chat_id, bob, "EDITOR")
    await done(ada, "memberRemove", membershipId=await membership_id(ada, await email_of(bob)))
    assert (await people_of(ada, chat_id))["participants"]["nodes"] == []
    tenant_id = UUID((await me(ada))["tenant"]["id"].removeprefix("ten_"))
    async with process.works.scopes.reading(tenant_id) as scope:
        row = await scope.row(
            "SELECT participant_ids, participant_roles FROM penny.chats WHERE id = $1", UUID(chat_id.removeprefix("chat_"))
        )
    assert row is not None
    assert (row["participant_ids"], row["participant_roles"]) == ([], [])


async def test_a_chat_has_no_more_participants_than_the_setting_says(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    bob, eve = await member(ada, process, "creator"), await member(ada, process, "creator")
    chat_id = await new_chat(ada)
    assert ada.token
    viewer = await process.works.sessions.viewer_of(ada.token)
    chat, one, other = (UUID(text.partition("_")[2]) for text in (chat_id, await user_of(bob), await user_of(eve)))
    settings = dataclasses.replace(process.works.settings, chat_max_participants=1)
    few = Participants(scopes=process.works.scopes, settings=settings)
    await few.put(viewer, chat, one, "VIEWER")
    with pytest.raises(Invalid, match="at most 1 participants"):
        await few.put(viewer, chat, other, "VIEWER")
    changed = await few.put(viewer, chat, one, "EDITOR")
    assert changed is not None
    assert changed["role"] == "EDITOR"
    assert len((await people_of(ada, chat_id))["participants"]["nodes"]) == 1


REACHED = """
    query ($run: ID!, $message: ID!) {
      runs(first: 9) { nodes { id chat { title } input { parts { __typename } } outputs { children(first: 9) { nodes { id } } } } }
      run: node(id: $run) { id } message: node(id: $message) { id }
    }"""


@pytest.mark.parametrize("how", ["taken out", "made private"])
async def test_whoever_sees_a_chat_no_more_reaches_it_by_nothing_that_was_theirs(api: Api, process: Process, how: str) -> None:
    ada = await api.sign_up()
    bob = await member(ada, process, "creator")
    chat_id, own_chat_id = await new_chat(ada, "Ours"), await new_chat(bob, "Mine")
    await put(ada, chat_id, bob, "EDITOR")
    first, sent = await ask(bob, own_chat_id, "!script tokens=1"), await say(bob, chat_id, "!script tokens=1")
    run_id, message_id = sent["runs"][0]["id"], sent["message"]["id"]
    for begun in (first, run_id):
        await hear(bob, begun)
    found = await bob.data(REACHED, run=run_id, message=message_id)
    assert [run["id"] for run in found["runs"]["nodes"]] == [run_id, first]
    if how == "taken out":
        await put(ada, chat_id, bob, None)
    else:
        await done(ada, "chatUpdate", chatId=chat_id, visibility="PRIVATE")
    await hear(bob, last := await ask(bob, own_chat_id, "!script tokens=1"))
    found = await bob.data(REACHED, run=run_id, message=message_id)
    assert [(run["id"], run["chat"]["title"]) for run in found["runs"]["nodes"]] == [(last, "Mine"), (first, "Mine")]
    assert (found["run"], found["message"]) == (None, None)
    page = await bob.data("{ runs(first: 1) { nodes { id } pageInfo { hasNextPage endCursor } } }")
    after = page["runs"]["pageInfo"]["endCursor"]
    rest = await bob.data("query ($after: String) { runs(first: 1, after: $after) { nodes { id } pageInfo { hasNextPage } } }", after=after)
    assert (page["runs"]["pageInfo"]["hasNextPage"], rest["runs"]) == (True, {"nodes": [{"id": first}], "pageInfo": {"hasNextPage": False}})
