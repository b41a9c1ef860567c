"""Links that show a chat: to whom, how much of it, and for how long; and what somebody with a link tries beside that."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from stack.addresses import Addresses
from tests.api.people import code_of, done, email_of, me, member, membership_id, mutate, refused, role_id
from tests.api.test_participants import put, user_of
from tests.chat.talking import ask, hear, new_chat, say
from tests.db.databases import connected
from tests.running import Api
from web.works import Process

SHARED = """
    query ($token: String!, $first: Int, $last: Int, $after: String, $before: String) {
      sharedChat(token: $token) {
        title live sharedBy expiresAt
        messages(first: $first, last: $last, after: $after, before: $before) {
          nodes { role authorName status parts { __typename ... on TextPart { text } ... on NoticePart { kind } } }
          pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
        }
      }
    }"""
SHARE = """share {
    id url audience live revokedAt viewCount expiresAt chat { id } snapshotLeaf { id } users { id } createdBy { ... on User { id } }
}"""
OF_CHAT = (
    "query ($id: ID!) { node(id: $id) { ... on Chat { head { id } shares { id url viewCount } messages(first: 20) { nodes { id } } } } }"
)


async def share(owner: Api, chat_id: str, audience: str = "ANYONE", **given: Any) -> Any:
    given = {"idempotencyKey": uuid4().hex, **given}
    return (await done(owner, "chatShareCreate", SHARE, chatId=chat_id, audience=audience, **given))["share"]


def token_of(made: Any) -> str:
    return str(made["url"]).partition("#")[2]


async def texts(reader: Api, token: str) -> list[str]:
    """What a link says, message by message."""
    shown = (await reader.data(SHARED, token=token, first=50))["sharedChat"]["messages"]["nodes"]
    return ["".join(part.get("text", f"({part.get('kind')})") for part in message["parts"]) for message in shown]


async def gone(reader: Api, token: str) -> bool:
    return await code_of(reader, SHARED, token=token, first=1) == "NOT_FOUND"


async def talk(api: Api, chat_id: str, *words: str) -> list[str]:
    """Have words answered; returns the ids of the branch's messages."""
    for word in words:
        await hear(api, await ask(api, chat_id, f"!script text={word}"))
    return [node["id"] for node in (await api.data(OF_CHAT, id=chat_id))["node"]["messages"]["nodes"]]


def row_id(global_id: str) -> UUID:
    return UUID(global_id.partition("_")[2])


async def test_a_link_shows_a_chat_to_somebody_who_did_not_sign_in(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada, "Über 数学")
    ids = await talk(ada, chat_id, "one")
    made = await share(ada, chat_id)
    assert (made["audience"], made["live"], made["revokedAt"], made["users"]) == ("ANYONE", False, None, [])
    assert (made["chat"], made["snapshotLeaf"]) == ({"id": chat_id}, {"id": ids[-1]})
    assert made["createdBy"] == {"id": await user_of(ada)}
    assert "/share#psh_" in made["url"]
    shown = (await api.as_(None).data(SHARED, token=token_of(made), first=50))["sharedChat"]
    assert (shown["title"], shown["live"], shown["sharedBy"], shown["expiresAt"]) == ("Über 数学", False, "Ada", None)
    assert [(one["role"], one["authorName"], one["status"]) for one in shown["messages"]["nodes"]] == [
        ("USER", "Ada", "COMPLETE"),
        ("ASSISTANT", None, "COMPLETE"),
    ]
    assert await texts(api.as_(None), token_of(made)) == ["!script text=one", "one"]
    assert (await ada.data(OF_CHAT, id=chat_id))["node"]["shares"] == [{"id": made["id"], "url": made["url"], "viewCount": 1}]


async def test_a_snapshot_stays_as_it_was_and_a_live_link_follows(api: Api) -> None:
    ada, nobody = await api.sign_up(), api.as_(None)
    chat_id = await new_chat(ada, "Before")
    await talk(ada, chat_id, "one")
    snapshot, live = token_of(await share(ada, chat_id)), token_of(await share(ada, chat_id, live=True))
    ids = await talk(ada, chat_id, "two")
    await done(ada, "chatUpdate", chatId=chat_id, title="After")
    assert await texts(nobody, snapshot) == ["!script text=one", "one"]
    assert (await texts(nobody, live))[1::2] == ["one", "two"]
    titles = [(await nobody.data(SHARED, token=token, first=1))["sharedChat"]["title"] for token in (snapshot, live)]
    assert titles == ["Before", "After"]
    # Another branch becomes the head: the old one is in the snapshot that was made of it, and in no other link.
    old = token_of(await share(ada, chat_id, leaf=ids[-1]))
    sent = await say(ada, chat_id, "!script text=three", parentMessageId=ids[1])
    await hear(ada, sent["runs"][0]["id"])
    assert (await texts(nobody, old))[1::2] == ["one", "two"]
    assert (await texts(nobody, live))[1::2] == ["one", "three"]
    assert (await texts(nobody, snapshot))[1::2] == ["one"]


async def test_what_was_redacted_is_in_no_link(api: Api) -> None:
    ada, nobody = await api.sign_up(), api.as_(None)
    chat_id = await new_chat(ada)
    ids = await talk(ada, chat_id, "one", "two")
    links = [token_of(await share(ada, chat_id)), token_of(await share(ada, chat_id, live=True))]
    await done(ada, "messageRedact", messageId=ids[1])
    for token in links:
        assert await texts(nobody, token) == ["!script text=one", "(redacted)", "!script text=two", "two"]


async def test_a_link_is_read_page_by_page(api: Api) -> None:
    ada, nobody = await api.sign_up(), api.as_(None)
    chat_id = await new_chat(ada)
    await talk(ada, chat_id, "one", "two")
    token, other = token_of(await share(ada, chat_id)), token_of(await share(ada, chat_id, live=True))
    first = (await nobody.data(SHARED, token=token, first=3))["sharedChat"]["messages"]
    assert (len(first["nodes"]), first["pageInfo"]["hasNextPage"]) == (3, True)
    cursor = first["pageInfo"]["endCursor"]
    rest = (await nobody.data(SHARED, token=token, first=3, after=cursor))["sharedChat"]["messages"]
    assert ([one["parts"][0]["text"] for one in rest["nodes"]], rest["pageInfo"]["hasNextPage"]) == (["two"], False)
    last = (await nobody.data(SHARED, token=token, last=1))["sharedChat"]["messages"]
    assert [one["parts"][0]["text"] for one in last["nodes"]] == ["two"]
    before = (await nobody.data(SHARED, token=token, last=2, before=last["pageInfo"]["startCursor"]))["sharedChat"]["messages"]
    assert [one["role"] for one in before["nodes"]] == ["ASSISTANT", "USER"]
    assert await code_of(nobody, SHARED, token=other, first=3, after=cursor) == "BAD_USER_INPUT"


async def test_a_revoked_link_shows_nothing_from_then_on(api: Api) -> None:
    ada, nobody = await api.sign_up(), api.as_(None)
    chat_id = await new_chat(ada)
    await talk(ada, chat_id, "one")
    made, kept = await share(ada, chat_id), await share(ada, chat_id, live=True)
    revoked = (await done(ada, "chatShareRevoke", SHARE, shareId=made["id"]))["share"]
    assert revoked["revokedAt"] is not None
    assert await gone(nobody, token_of(made))
    assert await gone(ada, token_of(made))
    assert (await done(ada, "chatShareRevoke", SHARE, shareId=made["id"]))["share"]["revokedAt"] == revoked["revokedAt"]
    assert await texts(nobody, token_of(kept)) == ["!script text=one", "one"]


async def test_a_link_is_made_once_for_each_key(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    bob = await member(ada, process, "creator")
    chat_id, key = await new_chat(ada), uuid4().hex
    await talk(ada, chat_id, "one")
    await put(ada, chat_id, bob, "OWNER")
    asked = [share(ada, chat_id, idempotencyKey=key, live=True) for _ in range(4)]
    made = await asyncio.gather(*asked)
    assert {(one["id"], one["url"]) for one in made} == {(made[0]["id"], made[0]["url"])}
    assert (await share(bob, chat_id, idempotencyKey=key, live=True))["id"] != made[0]["id"], "a key is its owner's"
    other = await refused(ada, "chatShareCreate", idempotencyKey=key, chatId=chat_id, audience="ANYONE")
    assert other["code"] == "IDEMPOTENCY_MISMATCH"
    assert len((await ada.data(OF_CHAT, id=chat_id))["node"]["shares"]) == 2
    await done(ada, "chatShareRevoke", SHARE, shareId=made[0]["id"])
    assert (await share(ada, chat_id, idempotencyKey=key, live=True))["revokedAt"] is not None, "a retry makes nothing anew"


async def test_a_link_expires(api: Api, stack: Addresses, database: str) -> None:
    ada, nobody = await api.sign_up(), api.as_(None)
    chat_id = await new_chat(ada)
    await talk(ada, chat_id, "one")
    made = await share(ada, chat_id, expiresAt=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    assert not await gone(nobody, token_of(made))
    async with connected(stack, "postgres", database) as admin:
        await admin.execute("UPDATE penny.chat_shares SET expires_at = now() WHERE id = $1", row_id(made["id"]))
    assert await gone(nobody, token_of(made))


async def test_a_deleted_chat_takes_its_links_along(api: Api) -> None:
    ada, nobody = await api.sign_up(), api.as_(None)
    chat_id = await new_chat(ada)
    await talk(ada, chat_id, "one")
    token = token_of(await share(ada, chat_id))
    await done(ada, "chatDelete", chatId=chat_id)
    assert await gone(nobody, token)


async def test_a_link_is_worth_what_its_maker_may_do(api: Api, process: Process) -> None:
    ada, nobody = await api.sign_up(), api.as_(None)
    bob = await member(ada, process, "creator")
    chat_id, own = await new_chat(ada), await new_chat(bob)
    await talk(ada, chat_id, "one")
    await talk(bob, own, "two")
    await put(ada, chat_id, bob, "OWNER")
    as_owner, of_own, again = [token_of(await share(bob, one, live=True)) for one in (chat_id, own, own)]
    assert await texts(nobody, as_owner) == ["!script text=one", "one"]
    await put(ada, chat_id, bob, "EDITOR")
    assert await gone(nobody, as_owner)
    await put(ada, chat_id, bob, "OWNER")
    assert not await gone(nobody, as_owner)
    bobs = await membership_id(ada, await email_of(bob))
    await done(ada, "memberUpdate", membershipId=bobs, roleId=await role_id(ada, "viewer"))
    assert await gone(nobody, of_own), "who may not share with anyone any more shares with nobody"
    await done(ada, "memberUpdate", membershipId=bobs, roleId=await role_id(ada, "creator"))
    assert not await gone(nobody, of_own)
    await done(ada, "memberUpdate", membershipId=bobs, status="DISABLED")
    assert await gone(nobody, of_own)
    await done(ada, "memberRemove", membershipId=bobs)
    assert await gone(nobody, of_own)
    assert await gone(nobody, again)


async def test_links_for_members_are_for_members(api: Api, process: Process) -> None:
    ada, stranger, nobody = await api.sign_up(), await api.sign_up(), api.as_(None)
    bob, eve = await member(ada, process, "viewer"), await member(ada, process, "viewer")
    chat_id = await new_chat(ada)
    await talk(ada, chat_id, "one")
    tenant = token_of(await share(ada, chat_id, "TENANT"))
    made = await share(ada, chat_id, "USERS", userIds=[await user_of(bob), await user_of(bob)])
    named = token_of(made)
    assert made["users"] == [{"id": await user_of(bob)}]
    for token, allowed, kept_out in ((tenant, [ada, bob, eve], [stranger]), (named, [bob], [eve, stranger])):
        for reader in allowed:
            assert await texts(reader, token) == ["!script text=one", "one"]
        for reader in kept_out:
            assert await gone(reader, token)
        assert await code_of(nobody, SHARED, token=token, first=1) == "UNAUTHENTICATED"
    assert (await bob.data("query ($id: ID!) { node(id: $id) { id } }", id=chat_id))["node"] is None, "a link makes nobody a participant"


async def test_only_owners_share_and_only_the_trusted_with_anyone(api: Api, process: Process) -> None:
    ada, stranger = await api.sign_up(), await api.sign_up()
    bob, eve = await member(ada, process, "creator"), await member(ada, process, "creator")
    scopes = ["chats:read", "chats:write"]
    careful = api.as_((await done(ada, "apiKeyCreate", "secretOnce", name="careful", scopes=scopes))["secretOnce"])
    chat_id = await new_chat(ada)
    await talk(ada, chat_id, "one")
    await put(ada, chat_id, bob, "EDITOR")
    denied = await refused(bob, "chatShareCreate", idempotencyKey=uuid4().hex, chatId=chat_id, audience="TENANT")
    assert (denied["code"], denied["requiredScopes"]) == ("PERMISSION_DENIED", ["chats:write"])
    for nobody in (eve, stranger):
        assert (await refused(nobody, "chatShareCreate", idempotencyKey=uuid4().hex, chatId=chat_id, audience="TENANT"))[
            "code"
        ] == "NOT_FOUND"
    denied = await refused(careful, "chatShareCreate", idempotencyKey=uuid4().hex, chatId=chat_id, audience="ANYONE")
    assert (denied["code"], denied["requiredScopes"]) == ("PERMISSION_DENIED", ["chats:share"])
    assert (await ada.data(OF_CHAT, id=chat_id))["node"]["shares"] == []
    made = await share(careful, chat_id, "TENANT")
    assert (await bob.data(OF_CHAT, id=chat_id))["node"]["shares"] == [], "an editor sees no links"
    node = "query ($id: ID!) { node(id: $id) { id ... on ChatShare { url } } }"
    for nobody in (bob, eve, stranger):
        assert (await nobody.data(node, id=made["id"]))["node"] is None
    assert (await ada.data(node, id=made["id"]))["node"] == {"id": made["id"], "url": made["url"]}
    assert (await refused(bob, "chatShareRevoke", shareId=made["id"]))["code"] == "PERMISSION_DENIED"
    for nobody in (eve, stranger):
        errors = [await refused(nobody, "chatShareRevoke", shareId=id_) for id_ in (made["id"], "shr_" + uuid4().hex)]
        assert errors[0] == errors[1]
        assert errors[0]["code"] == "NOT_FOUND"
    assert not await gone(ada, token_of(made))


async def test_what_cannot_be_shared_is_refused_and_leaves_no_link(api: Api, process: Process) -> None:
    ada, stranger = await api.sign_up(), await api.sign_up()
    chat_id, empty, theirs = await new_chat(ada), await new_chat(ada), await new_chat(stranger)
    ids = await talk(ada, chat_id, "one")
    foreign = await talk(stranger, theirs, "secret")
    own = [await user_of(ada)]
    cases: list[tuple[dict[str, Any], str, list[str]]] = [
        ({"chatId": chat_id, "audience": "ANYONE", "expiresAt": "2020-01-01T00:00:00Z"}, "VALIDATION", ["expiresAt"]),
        ({"chatId": chat_id, "audience": "ANYONE", "live": True, "leaf": ids[0]}, "VALIDATION", ["leaf"]),
        ({"chatId": chat_id, "audience": "ANYONE", "userIds": own}, "VALIDATION", ["userIds"]),
        ({"chatId": chat_id, "audience": "USERS"}, "VALIDATION", ["userIds"]),
        ({"chatId": chat_id, "audience": "USERS", "userIds": [await user_of(stranger)]}, "NOT_FOUND", ["userIds"]),
        ({"chatId": chat_id, "audience": "ANYONE", "leaf": foreign[0]}, "NOT_FOUND", ["leaf"]),
        ({"chatId": chat_id, "audience": "ANYONE", "leaf": "msg_" + uuid4().hex}, "NOT_FOUND", ["leaf"]),
        ({"chatId": theirs, "audience": "ANYONE", "leaf": foreign[0]}, "NOT_FOUND", ["chatId"]),
        ({"chatId": empty, "audience": "ANYONE"}, "VALIDATION", ["live"]),
    ]
    for given, code, path in cases:
        error = await refused(ada, "chatShareCreate", idempotencyKey=uuid4().hex, **given)
        assert (error["code"], error["path"]) == (code, path), given
    run_id = await ask(ada, chat_id, "!script tokens=3000 delay_ms=10")
    assert (await mutate(ada, "chatShareCreate", idempotencyKey=uuid4().hex, chatId=chat_id, audience="ANYONE"))["errors"][0][
        "code"
    ] == "RUN_IN_PROGRESS"
    assert (await ada.data(OF_CHAT, id=chat_id))["node"]["shares"] == []
    await share(ada, chat_id, live=True)
    await share(ada, empty, live=True)
    await done(ada, "runCancel", runId=run_id)


async def test_a_forged_link_finds_nothing(api: Api) -> None:
    ada, stranger, nobody = await api.sign_up(), await api.sign_up(), api.as_(None)
    chat_id, theirs = await new_chat(ada, "Mine"), await new_chat(stranger, "Theirs")
    await talk(ada, chat_id, "one")
    await talk(stranger, theirs, "two")
    mine, other = token_of(await share(ada, chat_id)), token_of(await share(stranger, theirs))
    tenant, secret = mine[:27], mine[27:]
    forged = [
        other[:27] + secret,  # my secret in their tenant
        tenant + other[27:],
        tenant + secret[::-1],
        mine[:-1] + ("0" if mine[-1] != "0" else "1"),
        mine.lower(),
        mine + "0",
        mine[:-1],
        f" {mine}",
        f"{mine}\n",
        "psh_" + "z" * 22 + "_" + "0" * 43,
        "psh_" + "0" * 22 + "_" + "0" * 43,
        "pni_" + mine[4:],
        chat_id,
        "' OR true --",
        "\x00",
        "",
        "x" * 100_000,
    ]
    for token in forged:
        assert await gone(nobody, token), token
    assert not await gone(nobody, mine)


async def test_a_link_leads_nowhere_else(api: Api, process: Process) -> None:
    """What a reader gets names no row: neither ids nor addresses, and the type has no field that leads on."""
    ada, nobody = await api.sign_up(), api.as_(None)
    chat_id = await new_chat(ada, "Mine")
    ids = await talk(ada, chat_id, "one")
    token = token_of(await share(ada, chat_id, live=True))
    shown = json.dumps(await nobody.data(SHARED, token=token, first=50))
    for known in (chat_id, *ids, await user_of(ada), (await me(ada))["tenant"]["id"]):
        assert known.partition("_")[2] not in shown
    assert "@" not in shown
    for query in (
        "query ($id: ID!) { node(id: $id) { id } }",
        "query ($id: ID!) { nodes(ids: [$id]) { id } }",
    ):
        for id_ in (chat_id, *ids):
            assert await code_of(nobody, query, id=id_) == "UNAUTHENTICATED"
    assert await code_of(nobody, "{ chats(first: 1) { nodes { id } } }") == "UNAUTHENTICATED"
    fields = await ada.data('{ a: __type(name: "SharedChat") { fields { name } } b: __type(name: "SharedMessage") { fields { name } } }')
    assert {one["name"] for one in fields["a"]["fields"]} == {"title", "live", "sharedBy", "createdAt", "expiresAt", "messages"}
    assert {one["name"] for one in fields["b"]["fields"]} == {"role", "authorName", "status", "createdAt", "parts"}


async def test_views_are_counted_once_a_place_and_not_for_the_maker(api: Api, process: Process) -> None:
    ada, nobody = await api.sign_up(), api.as_(None)
    bob = await member(ada, process, "creator")
    chat_id = await new_chat(ada)
    await talk(ada, chat_id, "one")
    made = await share(ada, chat_id)
    await texts(ada, token_of(made))
    assert (await ada.data(OF_CHAT, id=chat_id))["node"]["shares"][0]["viewCount"] == 0
    for reader in (nobody, bob, nobody):
        await texts(reader, token_of(made))
    assert (await ada.data(OF_CHAT, id=chat_id))["node"]["shares"][0]["viewCount"] == 1
    viewer = await process.works.sessions.viewer_of(str(ada.token))
    for address in ("2001:db8::1", "2001:db8::2", "203.0.113.7", "no address"):
        await process.works.guests.opened(token_of(made), None, address)
    await process.works.guests.opened(token_of(made), viewer, "203.0.113.9")
    assert (await ada.data(OF_CHAT, id=chat_id))["node"]["shares"][0]["viewCount"] == 4


async def test_only_the_hash_of_a_link_is_kept(api: Api, stack: Addresses, database: str) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada, "Heliotrope")
    await talk(ada, chat_id, "one")
    made = await share(ada, chat_id)
    async with connected(stack, "postgres", database) as admin:
        row = await admin.fetchrow("SELECT * FROM penny.chat_shares WHERE id = $1", row_id(made["id"]))
    kept = b"|".join(value if isinstance(value, bytes) else str(value).encode() for value in row.values())
    assert token_of(made)[27:].encode() not in kept
    assert b"Heliotrope" not in kept


@pytest.mark.parametrize("mode", ["live", "snapshot"])
async def test_a_live_link_shows_an_answer_as_it_grows(api: Api, mode: str) -> None:
    ada, nobody = await api.sign_up(), api.as_(None)
    chat_id = await new_chat(ada)
    await talk(ada, chat_id, "one")
    token = token_of(await share(ada, chat_id, live=mode == "live"))
    run_id = await ask(ada, chat_id, "!script tokens=3000 delay_ms=10")
    await hear(ada, run_id, until=5)
    shown = (await nobody.data(SHARED, token=token, first=50))["sharedChat"]["messages"]["nodes"]
    assert [one["role"] for one in shown[2:]] == (["USER", "ASSISTANT"] if mode == "live" else [])
    assert {one["status"] for one in shown[3:]} <= {"PENDING", "STREAMING"}
    await done(ada, "runCancel", runId=run_id)
