"""Runs through the endpoint: listed, followed, stopped, and what they say of themselves."""

import asyncio
from typing import Any
from uuid import uuid4

from tests.api.people import code_of, done, me, member, mutate, refused
from tests.chat.talking import EVENTS, ask, hear, new_chat, say, talk
from tests.running import Api
from web.works import Process

RUN = """
    query ($id: ID!) {
      node(id: $id) { ... on Run {
        id status stopReason lastSeq firstTokenMs background createdAt startedAt finishedAt error { code message }
        chat { id } createdBy { ... on User { id } } model { key } input { role model { key } } outputs { role status model { key } }
        usage { inputTokens outputTokens cacheReadTokens cacheWriteTokens reasoningTokens estimated }
      } }
    }"""
RUNS = """
    query ($first: Int!, $after: String, $status: [RunStatus!]) {
      runs(first: $first, after: $after, status: $status) { nodes { id } pageInfo { hasNextPage endCursor } }
    }"""
OF_CHAT = """
    query ($id: ID!, $first: Int!, $after: String, $status: [RunStatus!]) {
      node(id: $id) { ... on Chat {
        runs(first: $first, after: $after, status: $status) { nodes { id } pageInfo { hasNextPage endCursor } }
        activeRuns { id }
      } }
    }"""


async def run_of(api: Api, run_id: str) -> Any:
    return (await api.data(RUN, id=run_id))["node"]


async def first_answer(api: Api, run_id: str, **arguments: Any) -> dict[str, Any]:
    """The first thing that a subscription gives."""
    stream = api.subscribe(EVENTS, runId=run_id, **arguments)
    answer = await anext(aiter(stream))
    await stream.aclose()  # type: ignore[attr-defined] # an async generator
    return answer


async def test_a_run_says_how_it_went(api: Api) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    run_id = await ask(ada, chat_id, "!script tokens=4 reasoning=2")
    heard = await hear(ada, run_id)
    run = await run_of(ada, run_id)
    assert (run["status"], run["stopReason"], run["error"]) == ("COMPLETED", "END_TURN", None)
    assert (run["chat"], run["background"]) == ({"id": chat_id}, True)
    assert run["createdBy"] == {"id": (await me(ada))["viewer"]["user"]["id"]}
    # Nobody chose a model: the one by default is told all the same.
    default = {"key": "platform/scripted"}
    assert (run["model"], run["input"]) == (default, {"role": "USER", "model": None})
    assert run["outputs"] == [{"role": "ASSISTANT", "status": "COMPLETE", "model": default}]
    assert run["lastSeq"] == heard.seqs[-1]
    assert run["createdAt"] <= run["startedAt"] <= run["finishedAt"]
    assert run["firstTokenMs"] >= 0
    usage = run["usage"]
    assert (usage["outputTokens"], usage["reasoningTokens"]) == (4, 2)
    assert usage["inputTokens"] > 0


async def test_thoughts_and_words_are_told_apart(api: Api) -> None:
    ada = await api.sign_up()
    run_id = await ask(ada, await new_chat(ada), "!script tokens=2 reasoning=3")
    query = """
        subscription ($runId: ID!) { runEvents(runId: $runId) {
          __typename runId ... on RunStarted { model outputMessageIds } ... on PartStarted { kind messageId partId }
          ... on ReasoningDelta { partId offset text } ... on TextDelta { partId text }
          ... on PartCompleted { part { __typename ... on ReasoningPart { id text } ... on TextPart { id text } } }
        } }"""
    events = [payload["data"]["runEvents"] async for payload in ada.subscribe(query, runId=run_id)]
    assert {event["runId"] for event in events} == {run_id}
    (started,) = [event for event in events if event["__typename"] == "RunStarted"]
    parts = [event for event in events if event["__typename"] == "PartStarted"]
    assert started["model"] == "scripted"
    assert [part["kind"] for part in parts] == ["reasoning", "text"]
    assert {part["messageId"] for part in parts} == set(started["outputMessageIds"])
    thoughts = "".join(event["text"] for event in events if event["__typename"] == "ReasoningDelta")
    words = "".join(event["text"] for event in events if event["__typename"] == "TextDelta")
    assert [event["part"] for event in events if event["__typename"] == "PartCompleted"] == [
        {"__typename": "ReasoningPart", "id": parts[0]["partId"], "text": thoughts},
        {"__typename": "TextPart", "id": parts[1]["partId"], "text": words},
    ]


async def test_a_run_that_fails_says_why_and_keeps_what_was_said(api: Api) -> None:
    ada = await api.sign_up()
    heard = await talk(ada, "!script tokens=9 fail_at=3 kind=RATE_LIMIT")
    assert (heard.end["status"], heard.end["stopReason"]) == ("FAILED", "PROVIDER_ERROR")
    assert heard.end["error"] == {"code": "RATE_LIMITED", "message": "The model is asked too much at the moment."}
    assert heard.end["outputs"] == [{"status": "FAILED", "parts": [{"text": heard.text}]}]
    assert len(heard.text.split()) == 3


async def test_who_asks_for_what_lies_beyond_the_end_is_told_the_end(api: Api) -> None:
    ada = await api.sign_up()
    run_id = await ask(ada, await new_chat(ada), "!script tokens=3")
    heard = await hear(ada, run_id)
    last = heard.seqs[-1]
    assert (await hear(ada, run_id, after=last)).events == []
    for beyond in (last + 1, 10**6):
        late = await hear(ada, run_id, after=beyond)
        assert (late.types, late.seqs) == (["RunSnapshot", "RunFinished"], [last - 1, last])
        (output,) = late.events[0]["outputs"]
        assert (late.events[0]["reason"], output["parts"]) == ("RESUME_BEYOND_END", [{"text": heard.text}])
        assert late.end == heard.end


async def test_a_run_that_ends_before_the_event_that_was_asked_for_tells_its_end(api: Api) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    run_id = await ask(ada, chat_id, "!script tokens=2000 delay_ms=10")
    ahead = asyncio.create_task(hear(ada, run_id, after=10**6))
    await hear(ada, run_id, until=8)
    await done(ada, "runCancel", runId=run_id)
    late = await ahead
    assert late.types == ["RunSnapshot", "RunFinished"]
    assert (late.events[0]["reason"], late.end["status"]) == ("RESUME_BEYOND_END", "CANCELLED")


async def test_runs_are_listed_page_by_page_the_newest_first(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    bob = await member(ada, process, "creator")
    one, two = await new_chat(ada), await new_chat(ada)
    made = []
    for chat_id, text in ((one, "!script tokens=1"), (two, "!script fail_at=0"), (one, "!script tokens=1")):
        made.append(await ask(ada, chat_id, text))
        await hear(ada, made[-1])
    first = (await ada.data(RUNS, first=2))["runs"]
    assert [node["id"] for node in first["nodes"]] == [made[2], made[1]]
    assert first["pageInfo"]["hasNextPage"] is True
    rest = (await ada.data(RUNS, first=2, after=first["pageInfo"]["endCursor"]))["runs"]
    assert [node["id"] for node in rest["nodes"]] == [made[0]]
    assert [node["id"] for node in (await ada.data(RUNS, first=9, status=["FAILED"]))["runs"]["nodes"]] == [made[1]]
    assert (await bob.data(RUNS, first=9))["runs"]["nodes"] == []
    chat = (await ada.data(OF_CHAT, id=one, first=1))["node"]["runs"]
    assert [node["id"] for node in chat["nodes"]] == [made[2]]
    older = (await ada.data(OF_CHAT, id=one, first=1, after=chat["pageInfo"]["endCursor"]))["node"]["runs"]
    assert [node["id"] for node in older["nodes"]] == [made[0]]
    assert await code_of(ada, OF_CHAT, id=two, first=1, after=chat["pageInfo"]["endCursor"]) == "BAD_USER_INPUT"


async def test_a_run_is_stopped_and_what_was_said_is_kept(api: Api) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    run_id = await ask(ada, chat_id, "!script tokens=2000 delay_ms=10")
    before = await hear(ada, run_id, until=8)
    assert (await ada.data(OF_CHAT, id=chat_id, first=1))["node"]["activeRuns"] == [{"id": run_id}]
    payload = await done(ada, "runCancel", "run { id } alreadyFinished", runId=run_id)
    assert (payload["run"], payload["alreadyFinished"]) == ({"id": run_id}, False)
    rest = await hear(ada, run_id, after=before.seqs[-1])
    assert (rest.end["status"], rest.end["stopReason"]) == ("CANCELLED", "USER_CANCEL")
    assert rest.end["outputs"] == [{"status": "INCOMPLETE", "parts": [{"text": before.text + rest.text}]}]
    assert (await ada.data(OF_CHAT, id=chat_id, first=1))["node"]["activeRuns"] == []
    again = await done(ada, "runCancel", "run { status } alreadyFinished", runId=run_id)
    assert (again["run"]["status"], again["alreadyFinished"]) == ("CANCELLED", True)


async def test_a_second_message_is_refused_with_the_run_that_answers(api: Api) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    run_id = await ask(ada, chat_id, "!script tokens=2000 delay_ms=10")
    payload = await mutate(
        ada,
        "messageSend",
        "message { id } errors { ... on RunInProgressError { run { id status } } }",
        chatId=chat_id,
        content=[{"text": "and?"}],
        idempotencyKey=uuid4().hex,
    )
    (error,) = payload["errors"]
    assert (payload["message"], error["code"], error["run"]["id"]) == (None, "RUN_IN_PROGRESS", run_id)
    await done(ada, "runCancel", runId=run_id)
    await hear(ada, run_id)
    assert (await say(ada, chat_id, "!script tokens=1"))["errors"] == []


async def test_only_the_owner_stops_a_run_that_others_may_follow(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    bob = await member(ada, process, "creator")
    chat_id = await new_chat(ada)
    run_id = await ask(ada, chat_id, "!script tokens=2000 delay_ms=10")
    assert (await first_answer(bob, run_id))["errors"][0]["extensions"]["code"] == "NOT_FOUND"
    await done(ada, "chatUpdate", chatId=chat_id, visibility="TENANT")
    assert (await first_answer(bob, run_id))["data"]["runEvents"]["__typename"] == "RunQueued"
    assert (await refused(bob, "runCancel", runId=run_id))["code"] == "PERMISSION_DENIED"
    assert (await run_of(ada, run_id))["status"] == "RUNNING"
    await done(ada, "runCancel", runId=run_id)
    assert (await hear(bob, run_id)).end["status"] == "CANCELLED"


async def test_a_run_is_followed_only_with_the_scope(api: Api) -> None:
    ada = await api.sign_up()
    run_id = await ask(ada, await new_chat(ada), "!script tokens=1")

    async def with_scopes(*scopes: str) -> Api:
        return api.as_((await done(ada, "apiKeyCreate", "secretOnce", name="key", scopes=list(scopes)))["secretOnce"])

    denied = await first_answer(await with_scopes("chats:write"), run_id)
    assert denied["errors"][0]["extensions"]["code"] == "PERMISSION_DENIED"
    assert (await hear(await with_scopes("chats:read"), run_id)).end["status"] == "COMPLETED"


async def test_a_snapshot_shows_the_saved_messages(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    run_id = await ask(ada, await new_chat(ada), "!script tokens=5")
    whole = await hear(ada, run_id)
    gone = [key async for key in process.valkey.scan_iter(match=f"*:run:{run_id[4:12]}-{run_id[12:16]}-*{run_id[-12:]}")]
    assert len(gone) == 1
    await process.valkey.unlink(*gone)
    late = await hear(ada, run_id, after=3)
    assert late.types == ["RunSnapshot", "RunFinished"]
    assert late.events[0]["reason"] == "RESUME_BEFORE_WINDOW"
    assert late.events[0]["outputs"][0]["parts"] == [{"text": whole.text}]
    assert (await hear(ada, run_id)).events[0]["reason"] == "GAP"


async def test_readers_who_come_as_the_answer_ends_hear_it_all(api: Api) -> None:
    """The end is in PostgreSQL before it is in the log; nobody may take that for a loss."""
    ada = await api.sign_up()
    for _ in range(5):
        run_id = await ask(ada, await new_chat(ada), "!script tokens=20 delay_ms=2")
        first = await hear(ada, run_id)
        assert "RunSnapshot" not in first.types
        assert (await hear(ada, run_id)).events == first.events
