"""Assistants: written in versions, released, withdrawn, given to people, and followed by the answers of a chat."""

from typing import Any
from uuid import uuid4

import pytest

from tests.api.people import code_of, done, email_of, me, member, membership_id, refused, role_id
from tests.api.test_models import house_model, model_named
from tests.api.test_participants import put
from tests.chat.talking import ask, hear, new_chat, say
from tests.running import Api
from web.works import Process

VERSION = "id number state instructions parameters changelog createdBy { ... on User { id } } assistant { id slug name }"
ASSISTANTS = """
    query ($text: String, $after: String) { assistants(first: 2, query: $text, after: $after) {
      totalCount pageInfo { hasNextPage endCursor }
      nodes { id slug name owner { id } current { id number instructions } grants { role principal { __typename } }
              versions(first: 5) { nodes { number state } } }
    } }"""
EVERYONE = [{"everyone": True, "role": "USER"}]
INSTRUCTIONS = "Answer like a pirate would answer."


async def written(api: Api, slug: str = "pirate", **more: Any) -> dict[str, Any]:
    given = {"slug": slug, "name": slug.title(), "instructions": INSTRUCTIONS, **more}
    version: dict[str, Any] = (await done(api, "assistantUpsert", f"version {{ {VERSION} }}", **given))["version"]
    return version


async def released(api: Api, slug: str = "pirate", **more: Any) -> dict[str, Any]:
    version = await written(api, slug, **more)
    await done(api, "assistantPublish", "assistant { id }", versionId=version["id"])
    return version


async def chat_with(api: Api, assistant_id: str) -> str:
    return str((await done(api, "chatCreate", "chat { id }", idempotencyKey=uuid4().hex, assistantId=assistant_id))["chat"]["id"])


async def input_tokens(api: Api, chat_id: str, text: str) -> int:
    heard = await hear(api, await ask(api, chat_id, text))
    return int(next(event["usage"]["inputTokens"] for event in heard.events if event["__typename"] == "UsageTick"))


async def listed(api: Api, **variables: Any) -> Any:
    return (await api.data(ASSISTANTS, **variables))["assistants"]


async def test_a_first_version_is_a_draft_that_nobody_uses(api: Api) -> None:
    ada = await api.sign_up()
    version = await written(ada, parameters={"temperature": 0.5}, changelog="Arr.")
    assert (version["number"], version["state"], version["parameters"]) == (1, "DRAFT", {"temperature": 0.5})
    assert (version["instructions"], version["changelog"]) == (INSTRUCTIONS, "Arr.")
    assert version["createdBy"]["id"] == (await me(ada))["viewer"]["user"]["id"]
    assert version["assistant"]["name"] == "Pirate"
    (assistant,) = (await listed(ada))["nodes"]
    assert assistant["current"] is None
    error = await refused(ada, "chatCreate", idempotencyKey="k", assistantId=assistant["id"])
    assert error["code"] == "CONFLICT"
    assert (await ada.data("{ chats(first: 5) { nodes { id } } }"))["chats"]["nodes"] == []


async def test_answers_of_a_chat_follow_its_assistant_and_its_newest_release(api: Api) -> None:
    ada = await api.sign_up()
    assistant_id = (await released(ada))["assistant"]["id"]
    chat_id = await chat_with(ada, assistant_id)
    words = len(INSTRUCTIONS.split())
    plain = await input_tokens(ada, await new_chat(ada), "Where is the ship?")
    assert await input_tokens(ada, chat_id, "Where is the ship?") == plain + words
    shown = await ada.data("query ($id: ID!) { node(id: $id) { ... on Chat { assistant { slug } } } }", id=chat_id)
    assert shown["node"]["assistant"] == {"slug": "pirate"}
    # A draft changes nothing; released, it is used from the next message on.
    second = await written(ada, slug="pirate", assistantId=assistant_id, instructions="Arr!", parameters={"maxOutputTokens": 2})
    other_chat = await chat_with(ada, assistant_id)
    assert await input_tokens(ada, other_chat, "Where is the ship?") == plain + words
    await done(ada, "assistantPublish", "assistant { current { number } }", versionId=second["id"])
    heard = await hear(ada, await ask(ada, await chat_with(ada, assistant_id), "Where is the ship?"))
    assert (heard.end["status"], heard.end["stopReason"], heard.text) == ("INCOMPLETE", "MAX_TOKENS", "Where is ")


async def test_a_withdrawn_version_gives_way_to_the_one_before(api: Api) -> None:
    ada = await api.sign_up()
    first = await released(ada)
    second = await released(ada, assistantId=first["assistant"]["id"], instructions="Arr!")
    current = "assistant { current { number } versions(first: 5) { nodes { number state } } }"
    assistant = (await done(ada, "assistantPublish", current, versionId=second["id"], state="WITHDRAWN"))["assistant"]
    assert assistant["current"] == {"number": 1}
    assert assistant["versions"]["nodes"] == [{"number": 2, "state": "WITHDRAWN"}, {"number": 1, "state": "RELEASED"}]
    chat_id = await chat_with(ada, first["assistant"]["id"])
    assistant = (await done(ada, "assistantPublish", current, versionId=first["id"], state="WITHDRAWN"))["assistant"]
    assert assistant["current"] is None
    error = await refused(ada, "messageSend", idempotencyKey="k", chatId=chat_id, content=[{"text": "Hello?"}])
    said = "The chat's assistant has no released version."
    assert (error["code"], error["path"], error["message"]) == ("CONFLICT", None, said)


async def test_whom_it_is_given_to_uses_it_and_reads_no_instructions(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    bob, eve = await member(ada, process, "creator"), await member(ada, process, "creator")
    bob_id = (await me(bob))["viewer"]["user"]["id"]
    version = await released(ada, grants=[{"userId": bob_id, "role": "USER"}])
    assistant_id = version["assistant"]["id"]
    (assistant,) = (await listed(bob))["nodes"]
    assert assistant["current"] == {"id": version["id"], "number": 1, "instructions": None}
    assert assistant["grants"] == []
    assert [one["number"] for one in assistant["versions"]["nodes"]] == [1]
    await chat_with(bob, assistant_id)
    assert (await refused(bob, "assistantUpsert", assistantId=assistant_id, instructions="x"))["code"] == "PERMISSION_DENIED"
    assert (await refused(bob, "assistantPublish", versionId=version["id"], state="WITHDRAWN"))["code"] == "PERMISSION_DENIED"
    # Nobody else sees that it is there.
    assert (await listed(eve))["nodes"] == []
    for field, given in (
        ("chatCreate", {"idempotencyKey": "k", "assistantId": assistant_id}),
        ("assistantUpsert", {"assistantId": assistant_id, "instructions": "x"}),
        ("assistantPublish", {"versionId": version["id"]}),
    ):
        assert (await refused(eve, field, **given))["code"] == "NOT_FOUND"
    nodes = "query ($a: ID!, $v: ID!) { a: node(id: $a) { id } v: node(id: $v) { id } }"
    assert await eve.data(nodes, a=assistant_id, v=version["id"]) == {"a": None, "v": None}
    (assistant,) = (await listed(ada))["nodes"]
    assert [one["number"] for one in assistant["versions"]["nodes"]] == [1]


async def test_a_message_may_choose_the_version_that_answers_it(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    bob = await member(ada, process, "creator")
    first = await released(ada, grants=EVERYONE, parameters={"maxOutputTokens": 2})
    second = await released(ada, assistantId=first["assistant"]["id"], parameters={"maxOutputTokens": 3})
    draft = await written(ada, assistantId=first["assistant"]["id"], parameters={"maxOutputTokens": 4})
    chat_id = await new_chat(bob)
    answered = {}
    for version in (first, second):
        sent = await say(bob, chat_id, "one two three four five", assistantVersionId=version["id"])
        answered[version["number"]] = sent["runs"][0]["id"]
        assert len((await hear(bob, answered[version["number"]])).text.split()) == version["number"] + 1
    # On the same terms: by the version that was chosen. What follows in the chat has no assistant again.
    again = await done(bob, "messageRegenerate", "runs { id }", messageId=sent["message"]["id"], idempotencyKey=uuid4().hex)
    assert (await hear(bob, again["runs"][0]["id"])).text == "one two three "
    assert (await hear(bob, await ask(bob, chat_id, "one two three four five"))).end["status"] == "COMPLETED"
    error = await refused(bob, "messageSend", **message(chat_id, assistantVersionId=draft["id"]))
    assert (error["code"], error["path"]) == ("NOT_FOUND", ["assistantVersionId"])
    heard = await hear(
        ada, (await say(ada, await new_chat(ada), "one two three four five", assistantVersionId=draft["id"]))["runs"][0]["id"]
    )
    assert heard.text == "one two three four "
    await done(ada, "assistantPublish", versionId=first["id"], state="WITHDRAWN")
    assert (await refused(bob, "messageSend", **message(chat_id, assistantVersionId=first["id"])))["code"] == "CONFLICT"
    assert (await refused(await api.sign_up(), "messageSend", **message(chat_id, assistantVersionId=first["id"])))["code"] == "NOT_FOUND"
    shown = await bob.data("query ($id: ID!) { node(id: $id) { ... on Chat { messages(first: 50) { nodes { role } } } } }", id=chat_id)
    assert len(shown["node"]["messages"]["nodes"]) == 6


async def stands(api: Api, chat_id: str, run_id: str) -> Any:
    """Where a chat stands: its head, all its branches, and a run that may be under way."""
    query = """query ($chat: ID!, $run: ID!) {
        chat: node(id: $chat) { ... on Chat { head { id } branches(first: 9) { nodes { id messageCount } } activeRuns { id } } }
        run: node(id: $run) { ... on Run { status stopReason } } }"""
    return await api.data(query, chat=chat_id, run=run_id)


@pytest.mark.parametrize("field", ["messageEdit", "messageRegenerate", "runContinue", "runSteer"])
async def test_a_draft_that_was_chosen_answers_no_editor_of_the_chat_who_may_not_use_it(api: Api, process: Process, field: str) -> None:
    ada = await api.sign_up()
    bob = await member(ada, process, "creator")
    draft, chat_id = await written(ada), await new_chat(ada)
    await put(ada, chat_id, bob, "EDITOR")
    sent = await say(ada, chat_id, "!script tokens=500 delay_ms=20", assistantVersionId=draft["id"])
    run_id = sent["runs"][0]["id"]
    await hear(ada, run_id, until=6)
    if field != "runSteer":
        await done(ada, "runCancel", runId=run_id)
        await hear(ada, run_id)
    about: dict[str, Any] = {"runId": run_id} if field.startswith("run") else {"messageId": sent["message"]["id"]}
    about |= {"content": [{"text": "Once more."}]} if field in ("messageEdit", "runSteer") else {}
    before = await stands(ada, chat_id, run_id)
    error = await refused(bob, field, idempotencyKey=uuid4().hex, **about)
    assert (error["code"], error["path"]) == ("NOT_FOUND", ["assistantVersionId"])
    assert await stands(ada, chat_id, run_id) == before
    # Whoever writes the assistant goes on.
    await done(ada, field, idempotencyKey=uuid4().hex, **about)
    assert await stands(ada, chat_id, run_id) != before


async def test_a_version_that_was_chosen_answers_again_only_while_the_grant_holds(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    bob = await member(ada, process, "creator")
    grants = [{"userId": (await me(bob))["viewer"]["user"]["id"], "role": "USER"}]
    version, chat_id = await released(ada, grants=grants, parameters={"maxOutputTokens": 2}), await new_chat(bob)
    sent = await say(bob, chat_id, "one two three", assistantVersionId=version["id"])
    run_id = sent["runs"][0]["id"]
    await hear(bob, run_id)
    await written(ada, assistantId=version["assistant"]["id"], grants=[])
    before = await stands(bob, chat_id, run_id)
    for field, about in (("messageRegenerate", {"messageId": sent["message"]["id"]}), ("runContinue", {"runId": run_id})):
        assert (await refused(bob, field, idempotencyKey=uuid4().hex, **about))["code"] == "NOT_FOUND"
    assert await stands(bob, chat_id, run_id) == before


def message(chat_id: str, **more: Any) -> dict[str, Any]:
    return {"idempotencyKey": uuid4().hex, "chatId": chat_id, "content": [{"text": "Hello?"}], **more}


async def test_chats_are_listed_by_their_assistant(api: Api) -> None:
    ada = await api.sign_up()
    one, other = [(await released(ada, slug))["assistant"]["id"] for slug in ("one", "other")]
    chats = [await chat_with(ada, one), await chat_with(ada, one)]
    await chat_with(ada, other)
    await new_chat(ada)
    await done(ada, "chatUpdate", chatId=chats[0], pinned=True)
    query = """query ($id: ID, $pinned: Boolean, $shared: Boolean!) {
        chats(first: 10, assistantId: $id, pinned: $pinned, sharedWithMe: $shared) { nodes { id } } }"""

    async def found(**given: Any) -> list[str]:
        return [node["id"] for node in (await ada.data(query, **{"id": one, "shared": False, **given}))["chats"]["nodes"]]

    assert await found() == [chats[0], chats[1]]  # the one that was pinned changed last
    assert await found(pinned=False) == [chats[1]]
    assert len(await found(id=None)) == 4
    assert await code_of(ada, query, id=one, shared=True) == "BAD_USER_INPUT"
    stranger = await api.sign_up()
    assert (await stranger.data(query, id=one, shared=False))["chats"]["nodes"] == []


async def test_an_assistant_whose_model_cannot_be_asked_is_told_at_once(api: Api) -> None:
    ada = await api.sign_up()
    nobodys = await written(ada, "nobodys", modelId=(await model_named(ada, "openai/gpt-5"))["id"])
    error = await refused(ada, "assistantPublish", versionId=nobodys["id"])
    assert (error["__typename"], error["code"], error["path"]) == ("ModelUnavailableError", "MODEL_UNAVAILABLE", ["versionId"])
    (assistant,) = (await listed(ada))["nodes"]
    assert assistant["current"] is None
    vectors = (await model_named(ada, "embedded/wordllama"))["id"]
    assert (await refused(ada, "assistantUpsert", slug="x", name="X", instructions="x", modelId=vectors))["path"] == ["modelId"]
    # One whose model was there when it was released.
    model = await house_model(ada)
    house = await released(ada, "house", modelId=model["id"])
    chat_id = await chat_with(ada, house["assistant"]["id"])
    await done(ada, "deploymentDrain", deploymentId=model["deployments"][0]["id"])
    for field, given in (
        ("chatCreate", {"idempotencyKey": uuid4().hex, "assistantId": house["assistant"]["id"]}),
        ("messageSend", message(chat_id)),
        ("messageSend", message(await new_chat(ada), assistantVersionId=house["id"])),
    ):
        assert (await refused(ada, field, **given))["code"] == "MODEL_UNAVAILABLE"
    assert len((await ada.data("{ chats(first: 9) { nodes { id } } }"))["chats"]["nodes"]) == 2
    usual = [(await model_named(ada, "platform/scripted"))["id"]]
    assert (await say(ada, chat_id, "!script tokens=1", modelIds=usual))["errors"] == []


async def test_who_leaves_leaves_assistants_to_an_owner_and_is_given_none_any_more(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    bob, eve = await member(ada, process, "creator"), await member(ada, process, "creator")
    bob_id, eve_id = [(await me(one))["viewer"]["user"]["id"] for one in (bob, eve)]
    await released(bob, "left", grants=[{"userId": eve_id, "role": "USER"}])
    await released(eve, "stays", grants=[{"userId": bob_id, "role": "EDITOR"}, {"everyone": True, "role": "VIEWER"}])
    await done(ada, "memberRemove", "removedId", membershipId=await membership_id(ada, await email_of(bob)))
    left, stays = (await listed(ada))["nodes"]
    assert (left["slug"], left["owner"]["id"]) == ("left", (await me(ada))["viewer"]["user"]["id"])
    assert left["grants"] == [{"role": "USER", "principal": {"__typename": "User"}}]
    assert (stays["slug"], stays["owner"]["id"]) == ("stays", eve_id)
    assert stays["grants"] == [{"role": "VIEWER", "principal": {"__typename": "Everyone"}}]


async def test_roles_and_everyone_are_given_assistants_until_the_grant_ends(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    viewer = await member(ada, process, "viewer")
    grants = [{"roleId": await role_id(ada, "viewer"), "role": "EDITOR"}]
    version = await released(ada, "for-role", grants=grants)
    await released(ada, "for-all", grants=EVERYONE)
    await released(ada, "over", grants=[{"everyone": True, "role": "USER", "expiresAt": "2020-01-01T00:00:00Z"}])
    await written(ada, "mine")
    assert [one["slug"] for one in (await listed(viewer))["nodes"]] == ["for-all", "for-role"]
    # A role's scopes hold as well: a viewer has none to write with.
    error = await refused(viewer, "assistantUpsert", assistantId=version["assistant"]["id"], instructions="x")
    assert error["code"] == "PERMISSION_DENIED"
    shown = (await listed(ada, text="FOR-R"))["nodes"]
    assert [one["slug"] for one in shown] == ["for-role"]
    assert shown[0]["grants"] == [{"role": "EDITOR", "principal": {"__typename": "TenantRole"}}]
    first = await listed(ada)
    assert (first["totalCount"], first["pageInfo"]["hasNextPage"]) == (4, True)
    second = await listed(ada, after=first["pageInfo"]["endCursor"])
    assert [one["slug"] for one in first["nodes"] + second["nodes"]] == ["for-all", "for-role", "mine", "over"]


async def test_editors_do_not_overwrite_each_other(api: Api) -> None:
    ada = await api.sign_up()
    assistant_id = (await written(ada))["assistant"]["id"]
    await written(ada, assistantId=assistant_id, expectedNumber=1)
    error = await refused(ada, "assistantUpsert", assistantId=assistant_id, instructions="x", expectedNumber=1)
    assert (error["code"], error["path"]) == ("CONFLICT", ["expectedNumber"])
    (assistant,) = (await listed(ada))["nodes"]
    assert [one["number"] for one in assistant["versions"]["nodes"]] == [2, 1]


async def test_mistakes_are_told_and_make_nothing(api: Api) -> None:
    ada, stranger = await api.sign_up(), await api.sign_up()
    theirs = (await released(stranger, grants=EVERYONE))["assistant"]["id"]
    stranger_id = (await me(stranger))["viewer"]["user"]["id"]
    await written(ada, "taken")
    for given, code in (
        ({"slug": "taken"}, "CONFLICT"),
        ({"slug": "No Slug"}, "VALIDATION"),
        ({"slug": None}, "VALIDATION"),
        ({"name": ""}, "VALIDATION"),
        ({"instructions": "  "}, "VALIDATION"),
        ({"instructions": "x" * 70_000}, "VALIDATION"),
        ({"parameters": {"temperature": 3}}, "VALIDATION"),
        ({"parameters": {"tempo": 3}}, "VALIDATION"),
        ({"parameters": {"maxOutputTokens": 0}}, "VALIDATION"),
        ({"modelId": "mdl_" + "0" * 32}, "NOT_FOUND"),
        ({"assistantId": theirs}, "NOT_FOUND"),
        ({"grants": [{"role": "USER"}]}, "VALIDATION"),
        ({"grants": [{"role": "USER", "everyone": True, "userId": stranger_id}]}, "VALIDATION"),
        ({"grants": [{"role": "USER", "userId": stranger_id}]}, "NOT_FOUND"),
    ):
        error = await refused(ada, "assistantUpsert", **{"slug": "new", "name": "New", "instructions": "x", **given})
        assert error["code"] == code, (given, error)
    assert (await refused(ada, "chatCreate", idempotencyKey="k", assistantId=theirs))["code"] == "NOT_FOUND"
    assert [one["slug"] for one in (await listed(ada))["nodes"]] == ["taken"]
