"""Redaction: what a message said is gone wherever PENNY kept it, and nothing else is."""

from typing import Any
from uuid import UUID, uuid4

from chat.events import RunFinished
from chat.logs import RunWasTaken
from stack.addresses import Addresses
from tests.api.people import done, me, member, mutate, refused
from tests.api.test_feedback import thought
from tests.api.test_participants import put
from tests.chat.talking import ask, hear, new_chat, say
from tests.db.databases import connected
from tests.running import Api
from web.works import Process

MESSAGE = """
    query ($id: ID!) { node(id: $id) { ... on Message {
      status redactedAt redactedBy { ... on User { id } } parts { __typename ... on TextPart { text } ... on NoticePart { kind text } }
      parent { id } children(first: 9) { nodes { id } } run { id }
    } } }"""
BRANCH = "query ($id: ID!) { node(id: $id) { ... on Chat { head { id } messages(first: 9) { nodes { id status } } } } }"
GONE = [{"__typename": "NoticePart", "kind": "redacted", "text": "This message was redacted."}]


async def message_of(api: Api, message_id: str) -> Any:
    return (await api.data(MESSAGE, id=message_id))["node"]


async def conversation(api: Api, chat_id: str, word: str) -> list[str]:
    """Two questions and answers; returns the ids of the four messages."""
    for _ in range(2):
        await hear(api, await ask(api, chat_id, f'!script text="{word} answers"'))
    return [node["id"] for node in (await api.data(BRANCH, id=chat_id))["node"]["messages"]["nodes"]]


async def test_a_redacted_message_says_nothing_and_keeps_its_place(api: Api) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    ids = await conversation(ada, chat_id, "secret")
    payload = await done(ada, "messageRedact", "message { id status redactedAt }", messageId=ids[1])
    assert payload["message"]["status"] == "REDACTED"
    shown = await message_of(ada, ids[1])
    assert (shown["parts"], shown["redactedBy"]) == (GONE, {"id": (await me(ada))["viewer"]["user"]["id"]})
    assert (shown["parent"], shown["children"]["nodes"]) == ({"id": ids[0]}, [{"id": ids[2]}])
    branch = (await ada.data(BRANCH, id=chat_id))["node"]
    assert [node["id"] for node in branch["messages"]["nodes"]] == ids
    assert [node["status"] for node in branch["messages"]["nodes"]] == ["COMPLETE", "REDACTED", "COMPLETE", "COMPLETE"]
    again = await done(ada, "messageRedact", "message { redactedAt }", messageId=ids[1])
    assert again["message"]["redactedAt"] == payload["message"]["redactedAt"]
    heard = await hear(ada, await ask(ada, chat_id, "!script tokens=2"))
    assert heard.end["status"] == "COMPLETED", "the chat goes on"


async def test_the_log_of_a_redacted_answer_tells_nothing_of_it(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    chat_id, word = await new_chat(ada), f"w{uuid4().hex}"
    ids = await conversation(ada, chat_id, word)
    run_id = (await message_of(ada, ids[3]))["run"]["id"]
    assert word in (await hear(ada, run_id)).text
    await done(ada, "messageRedact", messageId=ids[3])
    heard = await hear(ada, run_id)
    assert (heard.types, heard.text) == (["RunSnapshot", "RunFinished"], "")
    assert heard.events[0]["outputs"][0]["parts"] == [{}]
    # A worker that has not told the end yet cannot put it back.
    tenant_id, run = (UUID(text.partition("_")[2]) for text in ((await me(ada))["tenant"]["id"], run_id))
    late = process.works.logs.writer(await process.works.keyring.cipher(tenant_id), run, 1)
    try:
        await late.append(RunFinished(seq=9, at=0.0, status="COMPLETED"))
    except RunWasTaken:
        pass
    else:
        raise AssertionError("the log took what came after the redaction")


async def test_no_copy_of_what_was_redacted_is_left(api: Api, process: Process, stack: Addresses, database: str) -> None:
    ada = await api.sign_up()
    chat_id, word = await new_chat(ada), f"w{uuid4().hex}"
    ids = await conversation(ada, chat_id, word)
    tenant_id = UUID((await me(ada))["tenant"]["id"].removeprefix("ten_"))
    cipher = await process.works.keyring.cipher(tenant_id)

    async def rows_that_say_it() -> list[str]:
        """The messages of this tenant whose decrypted content holds the word."""
        async with connected(stack, "postgres", database) as admin:
            rows = await admin.fetch("SELECT id, content FROM penny.messages WHERE tenant_id = $1 ORDER BY id", tenant_id)
        return [f"msg_{row['id'].hex}" for row in rows if word.encode() in cipher.decrypt("messages", "content", row["id"], row["content"])]

    assert set(await rows_that_say_it()) == set(ids)
    for message_id in ids[:3]:
        await done(ada, "messageRedact", messageId=message_id)
    assert await rows_that_say_it() == ids[3:]


async def test_what_is_being_made_or_answered_cannot_be_redacted_before_it_ends(api: Api) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    run_id = await ask(ada, chat_id, "!script tokens=3000 delay_ms=10")
    await hear(ada, run_id, until=4)
    ids = [node["id"] for node in (await ada.data(BRANCH, id=chat_id))["node"]["messages"]["nodes"]]
    for message_id in ids:
        payload = await mutate(
            ada, "messageRedact", "message { id } errors { ... on RunInProgressError { run { id } } }", messageId=message_id
        )
        assert (payload["message"], payload["errors"][0]["code"], payload["errors"][0]["run"]) == (None, "RUN_IN_PROGRESS", {"id": run_id})
        assert (await message_of(ada, message_id))["redactedAt"] is None
    await done(ada, "runCancel", runId=run_id)
    await hear(ada, run_id)
    for message_id in ids:
        await done(ada, "messageRedact", messageId=message_id)
        assert (await message_of(ada, message_id))["parts"] == GONE


async def test_an_opinion_goes_with_the_answer_it_was_about(api: Api) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    ids = await conversation(ada, chat_id, "secret")
    await done(ada, "messageFeedbackSet", messageId=ids[1], rating=-1, comment="It says secret!")
    await done(ada, "messageRedact", messageId=ids[1])
    assert await thought(ada, ids[1]) is None
    assert (await refused(ada, "messageFeedbackSet", messageId=ids[1], rating=1))["code"] == "CONFLICT"
    assert await thought(ada, ids[1]) is None


async def test_editors_redact_and_others_do_not(api: Api, process: Process) -> None:
    ada, stranger = await api.sign_up(), await api.sign_up()
    bob, eve, mallory = [await member(ada, process, "creator") for _ in range(3)]
    chat_id = await new_chat(ada)
    ids = await conversation(ada, chat_id, "secret")
    await put(ada, chat_id, bob, "EDITOR")
    await put(ada, chat_id, eve, "COMMENTER")
    assert (await refused(eve, "messageRedact", messageId=ids[0]))["code"] == "PERMISSION_DENIED"
    for nobody in (mallory, stranger):
        errors = [await refused(nobody, "messageRedact", messageId=id_) for id_ in (ids[0], "msg_" + uuid4().hex)]
        assert errors[0] == errors[1]
        assert errors[0]["code"] == "NOT_FOUND"
    assert (await message_of(ada, ids[0]))["status"] == "COMPLETE"
    await done(bob, "messageRedact", messageId=ids[0])
    assert (await message_of(eve, ids[0]))["parts"] == GONE


async def fork(api: Api, message_id: str) -> list[str]:
    """Fork a chat at a message; returns the ids of the copies."""
    chat_id = (await done(api, "chatFork", "chat { id }", messageId=message_id, idempotencyKey=uuid4().hex))["chat"]["id"]
    return [node["id"] for node in (await api.data(BRANCH, id=chat_id))["node"]["messages"]["nodes"]]


async def test_what_was_copied_into_forks_is_redacted_there_too(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    bob = await member(ada, process, "creator")
    chat_id = await new_chat(ada)
    ids = await conversation(ada, chat_id, "secret")
    await put(ada, chat_id, bob, "VIEWER")
    fork_of_bob = await fork(bob, ids[3])
    again = await fork(bob, fork_of_bob[1])
    before = await fork(ada, ids[0])
    await done(ada, "messageRedact", messageId=ids[1])
    for reader, copy in ((bob, fork_of_bob[1]), (bob, again[1])):
        assert (await message_of(reader, copy))["parts"] == GONE
    for reader, copy in ((bob, fork_of_bob[3]), (bob, again[0]), (ada, before[0]), (ada, ids[3])):
        assert (await message_of(reader, copy))["status"] == "COMPLETE"
    later = await fork(bob, ids[3])
    assert (await message_of(bob, later[1]))["parts"] == GONE


async def test_who_redacts_a_copy_does_not_reach_what_it_was_copied_from(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    bob = await member(ada, process, "creator")
    chat_id = await new_chat(ada)
    ids = await conversation(ada, chat_id, "secret")
    await put(ada, chat_id, bob, "VIEWER")
    copies = await fork(bob, ids[3])
    await done(bob, "messageRedact", messageId=copies[1])
    assert (await message_of(bob, copies[1]))["parts"] == GONE
    assert (await message_of(ada, ids[1]))["status"] == "COMPLETE"


async def test_what_a_continuation_began_with_is_redacted_there_too(api: Api, process: Process, stack: Addresses, database: str) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    run_ids = [(await say(ada, chat_id, "!script tokens=2000 delay_ms=2", maxOutputTokens=5))["runs"][0]["id"]]
    await hear(ada, run_ids[0])
    for _ in range(2):
        run = (await done(ada, "runContinue", "run { id }", runId=run_ids[-1], idempotencyKey=uuid4().hex))["run"]
        run_ids.append(run["id"])
        assert "word0 " in (await hear(ada, run["id"])).text
    shown = "query ($id: ID!) { node(id: $id) { ... on Run { outputs { id } } } }"
    answers = [(await ada.data(shown, id=run_id))["node"]["outputs"][0]["id"] for run_id in run_ids]
    copy = (await fork(ada, answers[2]))[1]
    await done(ada, "messageRedact", messageId=answers[0])
    assert [(await message_of(ada, one))["parts"] for one in (*answers, copy)] == [GONE] * 4
    for run_id in run_ids:
        heard = await hear(ada, run_id)
        assert (heard.types, heard.text, heard.events[0]["outputs"][0]["parts"]) == (["RunSnapshot", "RunFinished"], "", [{}])
    tenant_id = UUID((await me(ada))["tenant"]["id"].removeprefix("ten_"))
    cipher = await process.works.keyring.cipher(tenant_id)
    async with connected(stack, "postgres", database) as admin:
        rows = await admin.fetch("SELECT id, content FROM penny.messages WHERE tenant_id = $1", tenant_id)
    assert not [row["id"] for row in rows if b"word0" in cipher.decrypt("messages", "content", row["id"], row["content"])]


async def test_what_a_continuation_begins_with_cannot_be_redacted_before_it_ends(api: Api) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    run_id = await ask(ada, chat_id, "!script tokens=3000 delay_ms=10")
    await hear(ada, run_id, until=9)
    await done(ada, "runCancel", runId=run_id)
    answer = (await hear(ada, run_id)).end["outputs"][0]
    answer_id = (await ada.data(BRANCH, id=chat_id))["node"]["head"]["id"]
    goes_on = (await done(ada, "runContinue", "run { id }", runId=run_id, idempotencyKey=uuid4().hex))["run"]["id"]
    await hear(ada, goes_on, until=4)
    assert (await refused(ada, "messageRedact", messageId=answer_id))["code"] == "RUN_IN_PROGRESS"
    assert (await message_of(ada, answer_id))["status"] == answer["status"]
    await done(ada, "runCancel", runId=goes_on)
    await hear(ada, goes_on)
    await done(ada, "messageRedact", messageId=answer_id)
    assert (await message_of(ada, answer_id))["parts"] == GONE
