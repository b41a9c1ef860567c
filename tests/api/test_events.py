"""Tabs and devices stay in step: what happens is told to those who may know of it, once and in order, on any web process."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from auth.policies.chats import COLUMNS
from events.facts import TYPES, Audience
from events.feeds import NIL, Place
from loaders.events import cursor_of, event_cursors
from schema.event_types import EventType
from tests.api.following import CHAT, TENANT, VIEWER, Followed, following, now, refusal_of
from tests.api.people import code_of, done, me, member, membership_id
from tests.api.test_jobs import viewer_of
from tests.chat.talking import ask, hear, new_chat
from tests.running import Api, Server, free_port, running, running_web
from tests.web.test_outages import answers
from web.works import Process

EVENTS = """
    query ($first: Int!, $after: String, $types: [EventType!], $since: DateTime) {
      events(first: $first, after: $after, types: $types, since: $since) {
        edges { cursor node { id type subjectId actor { ... on User { id } } } } pageInfo { hasNextPage endCursor }
      }
    }"""
JOB = "subscription ($id: ID!) { jobEvents(jobId: $id) { __typename id status progress ... on BackgroundJob { kind } } }"


def statuses(followed: Followed, run_id: str) -> list[str]:
    return [event["run"]["status"] for event in followed.told if event["__typename"] == "RunStatusChanged" and event["run"]["id"] == run_id]


async def test_two_tabs_on_two_processes_stay_in_step(api: Api, process: Process, server: Server) -> None:
    """One tab writes through one web process, the other follows through another."""
    ada = await api.sign_up()
    async with running_web(server.environment) as (url, _), Api(url) as elsewhere:
        tab = elsewhere.as_(ada.token)
        begin = await now(tab, process)
        async with following(tab, VIEWER, after=begin) as chats:
            chat_id = await new_chat(ada, "Engines")
            await chats.until(lambda one: one.told)
            assert chats.told[0] | {"cursor": ""} == {
                "__typename": "ChatChanged", "cursor": "", "chatId": chat_id, "deleted": False,
                "chat": {"id": chat_id, "title": "Engines", "visibility": "PRIVATE"},
            }  # fmt: skip
            async with following(tab, CHAT, chatId=chat_id, after=begin) as chat:
                run_id = await ask(ada, chat_id, "!script tokens=3")
                await chat.until(lambda one: "MessageChanged" in one.types and "COMPLETED" in statuses(one, run_id))
                await chat.until(lambda one: one.types.count("MessageChanged") == 3)
                assert chat.types[0] == "ChatChanged"
                answer = [event["message"] for event in chat.told if event["__typename"] == "MessageChanged"][-1]
                assert (answer["role"], answer["status"]) == ("ASSISTANT", "COMPLETE")
                assert answer["parts"] == [{"text": "word0 word1 word2 "}]
                await chats.until(lambda one: "COMPLETED" in statuses(one, run_id))
                await done(ada, "chatUpdate", chatId=chat_id, title="Machines")
                await chats.until(lambda one: one.types[-1] == "ChatChanged")
                assert chats.told[-1]["chat"]["title"] == "Machines"
                await done(ada, "chatDelete", chatId=chat_id)
                await chat.until(lambda one: one.ended)
                assert (chat.types[-1], chat.told[-1]["deleted"], chat.told[-1]["chat"]) == ("ChatChanged", True, None)
                await chats.until(lambda one: one.told[-1].get("deleted"))
                assert chats.told[-1]["chatId"] == chat_id
                assert not chats.ended
            assert chat.errors == chats.errors == []


async def test_whoever_comes_back_with_a_cursor_misses_nothing_and_hears_nothing_twice(api: Api, process: Process) -> None:
    """Chats are begun all the time, while a client loses its connection after every few events."""
    ada = await api.sign_up()
    made: list[str] = []

    async def writer(count: int) -> None:
        for _ in range(count):
            made.append(await new_chat(ada))  # noqa: PERF401 - others append meanwhile

    cursor = await now(ada, process)
    heard: list[str] = []
    writing = [asyncio.create_task(writer(12)) for _ in range(4)]
    while len(heard) < 48:
        async with following(ada, VIEWER, after=cursor) as followed:
            await followed.hears(min(5, 48 - len(heard)))
        heard += [event["chatId"] for event in followed.told]
        cursor = followed.cursor
    await asyncio.gather(*writing)
    assert sorted(heard) == sorted(made)
    async with following(ada, VIEWER, after=cursor) as followed:
        last = await new_chat(ada)
        await followed.until(lambda one: one.told)
        assert [event["chatId"] for event in followed.told] == [last]


async def test_a_chat_that_is_hidden_is_gone_for_others_and_for_them_only(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    bob = await member(ada, process, "creator")
    begin = await now(bob, process)
    chat_id = await new_chat(ada, "Secret")
    async with following(bob, VIEWER, after=begin) as all_of_it:
        await done(ada, "chatUpdate", chatId=chat_id, visibility="TENANT")
        await all_of_it.until(lambda one: one.told)
        # Of the private chat's beginning bob hears now that it is shown to him: facts are told by what may be seen today.
        assert {event["chatId"] for event in all_of_it.told} == {chat_id}
        shown = await now(bob, process)
        async with following(bob, CHAT, chatId=chat_id, after=shown) as followed, following(ada, CHAT, chatId=chat_id, after=shown) as hers:
            await talk_in(ada, chat_id)
            await hers.until(lambda one: one.types.count("MessageChanged") >= 3)
            await followed.until(lambda one: one.types.count("MessageChanged") >= 3)
            await done(ada, "chatUpdate", chatId=chat_id, visibility="PRIVATE")
            await followed.until(lambda one: one.ended)
            assert (followed.told[-1]["deleted"], followed.told[-1]["chat"]) == (True, None)
            await talk_in(ada, chat_id)
            await hers.until(lambda one: one.types.count("MessageChanged") >= 6)
            assert not hers.ended
        await all_of_it.until(lambda one: one.told[-1].get("deleted"))
        count = len(all_of_it.told)
        await done(ada, "chatUpdate", chatId=chat_id, title="Still secret")
        await done(ada, "chatDelete", chatId=chat_id)
        own = await new_chat(bob)
        await all_of_it.until(lambda one: one.told[-1].get("chatId") == own)
        assert len(all_of_it.told) == count + 1
    assert await refusal_of(bob, CHAT, chatId=chat_id) == "NOT_FOUND"


async def test_who_is_taken_into_a_chat_hears_of_it_and_of_being_taken_out(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    bob, eve = await member(ada, process, "creator"), await member(ada, process, "creator")
    chat_id, bobs_id = await new_chat(ada, "Ours"), (await me(bob))["viewer"]["user"]["id"]
    begin = await now(ada, process)
    async with following(bob, VIEWER, after=begin) as hers, following(eve, VIEWER, after=begin) as eves:
        await done(ada, "chatParticipantSet", chatId=chat_id, userId=bobs_id, role="VIEWER")
        await hers.hears(1)
        assert (hers.told[0]["chatId"], hers.told[0]["deleted"]) == (chat_id, False)
        assert hers.told[0]["chat"] == {"id": chat_id, "title": "Ours", "visibility": "SHARED"}
        async with following(bob, CHAT, chatId=chat_id) as chat:
            await done(ada, "chatParticipantSet", chatId=chat_id, userId=bobs_id, role=None)
            await hers.until(lambda one: one.told[-1]["deleted"])
            await chat.until(lambda one: one.ended)
        await talk_in(ada, chat_id)
        own = await new_chat(eve)
        await eves.hears(1)
        assert [event["chatId"] for event in eves.told] == [own]
    assert len(hers.told) == 2


def test_a_fact_remembers_all_that_policies_look_at() -> None:
    assert Audience.__struct_fields__ == COLUMNS


async def test_events_come_to_a_process_that_has_no_valkey(api: Api, environment: dict[str, str], process: Process, tmp_path: Path) -> None:
    """No hint reaches it: it finds them as it looks at the database."""
    ada = await api.sign_up()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    without = {**environment, "PENNY_PORT": str(port), "PENNY_VALKEY_URL": f"unix://{tmp_path}/none?db=0"}
    async with running(without, "serve"), Api(url) as elsewhere:
        await asyncio.wait_for(answers(url), 30)
        async with following(elsewhere.as_(ada.token), VIEWER, after=await now(ada, process)) as followed:
            chat_id = await new_chat(ada)
            await followed.hears(1)
            assert followed.told[0]["chatId"] == chat_id


async def talk_in(api: Api, chat_id: str) -> None:
    """A question and its whole answer."""
    await hear(api, await ask(api, chat_id, "!script tokens=1"))


async def test_others_are_told_nothing(api: Api, process: Process) -> None:
    ada, stranger = await api.sign_up(), await api.sign_up()
    bob, viewer = await member(ada, process, "creator"), await member(ada, process, "viewer")
    begin = await now(ada, process)
    chat_id = await new_chat(ada)
    for blind in (stranger, bob, viewer):
        assert await refusal_of(blind, CHAT, chatId=chat_id) == "NOT_FOUND"
    for blind in (bob, viewer):
        assert await refusal_of(blind, TENANT) == "PERMISSION_DENIED"
        assert await code_of(blind, EVENTS, first=1) == "PERMISSION_DENIED"
    # A cursor is another tenant's business, and so is garbage.
    for cursor in (begin, "", "x", begin[:-1], "A" * 2000):
        assert await refusal_of(stranger, VIEWER, after=cursor) == "BAD_USER_INPUT"
        assert await refusal_of(stranger, TENANT, after=cursor) == "BAD_USER_INPUT"
    since = await now(stranger, process)
    async with (
        following(stranger, VIEWER, after=since) as theirs,
        following(stranger, TENANT, after=since) as all_theirs,
        following(bob, VIEWER, after=begin) as bobs,
    ):
        await talk_in(ada, chat_id)
        foreign, own = await new_chat(stranger), await new_chat(bob)
        await theirs.until(lambda one: one.told)
        await all_theirs.until(lambda one: one.told)
        await bobs.until(lambda one: one.told)
        assert [event["chatId"] for event in theirs.told] == [foreign]
        assert [event["subjectId"] for event in all_theirs.told] == [foreign]
        assert [event["chatId"] for event in bobs.told] == [own]
    assert await refusal_of(api, VIEWER) == "UNAUTHENTICATED"


async def test_a_role_that_is_taken_away_ends_what_it_allowed(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    bob = await member(ada, process, "admin")
    async with following(bob, TENANT, after=await now(bob, process)) as followed:
        await new_chat(ada)
        await followed.until(lambda one: one.told)
        email = (await me(bob))["viewer"]["user"]["email"]
        await done(ada, "memberRemove", membershipId=await membership_id(ada, email))
        with pytest.raises(ConnectionError, match="4401"):
            await followed.task


async def test_a_session_that_is_ended_is_told_to_the_others(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    other = (await done(ada, "signIn", "session { id } tokenOnce", **await credentials(ada)))["session"]["id"]
    async with following(ada, VIEWER, after=await now(ada, process)) as followed:
        await done(ada, "sessionRevoke", sessionIds=[other])
        await followed.until(lambda one: one.told)
        assert followed.told[0] | {"cursor": ""} == {
            "__typename": "SessionRevoked", "cursor": "", "sessionId": other, "reason": "SESSION_REVOKED",
        }  # fmt: skip
        # Ended again, it is not told again.
        await done(ada, "sessionRevoke", sessionIds=[other])
        chat_id = await new_chat(ada)
        await followed.until(lambda one: one.told[-1].get("chatId") == chat_id)
        assert len(followed.told) == 2


async def credentials(api: Api) -> dict[str, Any]:
    return {"email": (await me(api))["viewer"]["user"]["email"], "password": "correct horse battery staple", "transport": "BEARER"}


async def test_what_happens_in_a_tenant_is_told_and_can_be_read_again(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    begin = await now(ada, process)
    mine = await me(ada)
    async with following(ada, TENANT, after=begin) as followed:
        bob = await member(ada, process, "creator")
        key = (await done(bob, "apiKeyCreate", "apiKey { id }", name="key", scopes=[]))["apiKey"]["id"]
        await done(bob, "apiKeyRotate", apiKeyId=key)
        for _ in range(2):
            await done(bob, "apiKeyRevoke", apiKeyId=key)
        role = (await done(ada, "roleUpsert", "role { id }", name="Readers", scopes=["chats:read"]))["role"]["id"]
        await done(ada, "roleUpsert", id=role, name="Readers", scopes=[])
        place = await membership_id(ada, (await me(bob))["viewer"]["user"]["email"])
        await done(ada, "memberUpdate", membershipId=place, roleId=role)
        await done(ada, "memberRemove", membershipId=place)
        chat_id = await new_chat(ada)
        await talk_in(ada, chat_id)
        expected = [
            "INVITATION_CREATED", "MEMBER_JOINED", "SESSION_OPENED", "API_KEY_CREATED", "API_KEY_ROTATED", "API_KEY_REVOKED",
            "ROLE_CREATED", "ROLE_UPDATED", "MEMBER_UPDATED", "MEMBER_REMOVED",
            "CHAT_CREATED", "MESSAGE_CREATED", "MESSAGE_CREATED", "RUN_QUEUED", "RUN_STARTED", "RUN_COMPLETED", "MESSAGE_COMPLETED",
        ]  # fmt: skip
        await followed.until(lambda one: len(one.told) >= len(expected))
        assert [event["type"] for event in followed.told] == expected
    by_type = {event["type"]: event for event in followed.told}
    assert by_type["CHAT_CREATED"]["subject"] == {"__typename": "Chat", "id": chat_id}
    assert by_type["CHAT_CREATED"]["actor"] == {"id": mine["viewer"]["user"]["id"]}
    assert by_type["CHAT_CREATED"]["tenant"] == {"id": mine["tenant"]["id"]}
    assert by_type["RUN_COMPLETED"]["actor"] is None
    assert (by_type["MEMBER_REMOVED"]["subject"], by_type["MEMBER_REMOVED"]["subjectId"]) == (None, place)
    events: list[dict[str, Any]] = []
    cursor: str | None = begin
    while cursor is not None:
        page = (await ada.data(EVENTS, first=5, after=cursor))["events"]
        events += [edge["node"] for edge in page["edges"]]
        cursor = page["pageInfo"]["endCursor"] if page["pageInfo"]["hasNextPage"] else None
    assert [event["id"] for event in events] == [event["id"] for event in followed.told]
    chats = (await ada.data(EVENTS, first=5, types=["CHAT_CREATED", "CHAT_DELETED"]))["events"]["edges"]
    assert [edge["node"]["subjectId"] for edge in chats] == [chat_id]
    async with following(ada, TENANT, after=chats[0]["cursor"]) as rest:
        await rest.until(lambda one: len(one.told) >= 6)
        assert [event["type"] for event in rest.told] == expected[-6:]
    assert (await ada.data(EVENTS, first=5, since=datetime.now(UTC).isoformat()))["events"]["edges"] == []
    moment = by_type["CHAT_CREATED"]["at"]
    since = (await ada.data(EVENTS, first=50, since=moment))["events"]["edges"]
    assert [edge["node"]["type"] for edge in since][-7:] == expected[-7:]
    node = "query ($id: ID!) { node(id: $id) { __typename ... on Event { type } } }"
    assert (await ada.data(node, id=events[0]["id"]))["node"] == {"__typename": "Event", "type": "INVITATION_CREATED"}
    assert (await (await api.sign_up()).data(node, id=events[0]["id"]))["node"] is None
    carol = await member(ada, process, "viewer")
    assert (await carol.data(node, id=events[0]["id"]))["node"] is None


async def test_types_choose_what_is_told(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    async with following(ada, TENANT, types=["CHAT_DELETED"], after=await now(ada, process)) as followed:
        chat_id = await new_chat(ada)
        await done(ada, "chatDelete", chatId=chat_id)
        await followed.until(lambda one: one.told)
        assert [(event["type"], event["subjectId"], event["subject"]) for event in followed.told] == [("CHAT_DELETED", chat_id, None)]


def test_every_fact_has_its_word() -> None:
    assert {str(kind.value) for kind in EventType} == set(TYPES) - {"JOB_UPDATED"}


async def test_a_cursor_that_is_too_old_or_from_the_future_is_refused_honestly(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    viewer = await viewer_of(ada, process)
    works = process.works
    cursors = event_cursors(await works.keyring.cipher(viewer.tenant_id))
    place = await works.feeds.now(viewer.tenant_id)
    old = datetime.now(UTC) - timedelta(hours=works.settings.event_window_hours, minutes=1)
    restored = Place(place.era, place.xact + 10_000_000, NIL)
    for bad in (cursor_of(cursors, place, old), cursor_of(cursors, restored, datetime.now(UTC))):
        for query in (VIEWER, TENANT):
            assert await refusal_of(ada, query, after=bad) == "CURSOR_EXPIRED"


async def test_what_is_told_again_has_the_limits_that_the_api_names(api: Api, server: Server, process: Process) -> None:
    ada = await api.sign_up()
    begin = await now(ada, process)
    limits = "{ apiInfo { limits { replayWindow replayEvents } } }"
    assert (await api.data(limits))["apiInfo"]["limits"]["replayWindow"] == "P3D"
    async with running_web({**server.environment, "PENNY_EVENT_REPLAY": "3"}) as (url, _), Api(url) as elsewhere:
        assert (await elsewhere.data(limits))["apiInfo"]["limits"]["replayEvents"] == 3
        for _ in range(3):
            await new_chat(ada)
        async with following(elsewhere.as_(ada.token), VIEWER, after=begin) as followed:
            await followed.hears(3)
        await new_chat(ada)
        assert await refusal_of(elsewhere.as_(ada.token), VIEWER, after=begin) == "CURSOR_EXPIRED"
        async with following(elsewhere.as_(ada.token), VIEWER, after=followed.cursor) as resumed:
            await resumed.hears(1)


async def test_a_job_is_told_as_it_goes_on_until_it_ends(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    viewer, works = await viewer_of(ada, process), process.works
    async with works.scopes.writing(viewer.tenant_id) as scope:
        row = await works.jobs.add(scope, viewer.tenant_id, f"test {uuid4().hex}", {}, created_by=viewer.user_id)
    job_id = f"job_{row['id'].hex}"
    told: list[dict[str, Any]] = []
    async with asyncio.timeout(30):
        async for payload in ada.subscribe(JOB, id=job_id):
            told.append(payload["data"]["jobEvents"])
            if len(told) == 1:
                await done(ada, "jobCancel", jobId=job_id)
    assert [(job["__typename"], job["id"], job["status"]) for job in told] == [
        ("BackgroundJob", job_id, "QUEUED"),
        ("BackgroundJob", job_id, "CANCELLED"),
    ]
    bob = await member(ada, process, "creator")
    for blind in (bob, await api.sign_up()):
        (refused,) = [payload async for payload in blind.subscribe(JOB, id=job_id)]
        assert refused["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    (again,) = [payload async for payload in ada.subscribe(JOB, id=job_id)]
    assert again["data"]["jobEvents"]["status"] == "CANCELLED"
