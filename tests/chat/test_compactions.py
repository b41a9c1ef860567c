"""A long conversation is summarised where everybody sees it; models are given the summary, and nothing of the tree goes away."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from chat.contexts import MESSAGE_TOKENS
from tests.api.following import CHAT as CHAT_EVENTS
from tests.api.following import following
from tests.api.people import code_of, done, refused, soon
from tests.chat.conftest import Rows
from tests.chat.talking import ask, hear, new_chat
from tests.inference.fault_server import WELL, Fault, FaultServer
from tests.running import Api, running_server

CHAT = """
    query ($id: ID!) { node(id: $id) { ... on Chat {
      head { id role }
      context { limitTokens usedTokens systemTokens messageCount willCompactAt model { id } }
      messages(last: 50) { nodes { id role status parts { __typename
        ... on TextPart { text } ... on NoticePart { kind } ... on SummaryPart { text tokensSaved coversThrough { id } } } } }
    } } }"""
JOB_EVENTS = "subscription ($id: ID!) { jobEvents(jobId: $id) { id status progress finishedAt error { code message } } }"
KEEP = 2
QUESTIONS = [f"Question number {number} about swallows and their long way south" for number in range(4)]


async def chat_of(api: Api, chat_id: str) -> Any:
    return (await api.data(CHAT, id=chat_id))["node"]


async def answered(api: Api, chat_id: str, text: str) -> Any:
    return await hear(api, await ask(api, chat_id, text))


async def conversation(api: Api) -> str:
    chat_id = await new_chat(api)
    for question in QUESTIONS:
        await answered(api, chat_id, question)
    return chat_id


async def summarised(api: Api, chat_id: str) -> tuple[Any, Any]:
    """The chat and its last summary, when it is written; the chat as it is after that, since its fields are read side by side."""

    async def look() -> tuple[Any, Any]:
        chat = await chat_of(api, chat_id)
        summaries = [message for message in chat["messages"]["nodes"] if message["role"] == "SUMMARY"]
        if not summaries or summaries[-1]["status"] == "PENDING":
            raise LookupError("it is not written yet")
        return await chat_of(api, chat_id), summaries[-1]

    return await soon(look)


@pytest.fixture
async def talking(lonely: dict[str, str]) -> Any:
    """A person where the two latest messages are in no summary."""
    given = {"PENNY_JOB_SWEEP_SECONDS": "0.05", "PENNY_CONTEXT_KEEP_MESSAGES": str(KEEP), "PENNY_CONTEXT_COMPACT_PERCENT": "100"}
    async with running_server({**lonely, **given}) as server, Api(server.url) as api:
        yield await api.sign_up()


async def test_a_summary_is_written_and_stands_for_what_it_covers(talking: Api) -> None:
    chat_id = await conversation(talking)
    before = await chat_of(talking, chat_id)
    begun = (await done(talking, "contextCompact", "message { id role status }", chatId=chat_id))["message"]
    assert (begun["role"], begun["status"]) == ("SUMMARY", "PENDING")
    chat, summary = await summarised(talking, chat_id)
    assert (summary["id"], summary["status"], chat["head"]["id"]) == (begun["id"], "COMPLETE", begun["id"])
    (part,) = summary["parts"]
    said = [message["id"] for message in before["messages"]["nodes"]]
    assert part["coversThrough"] == {"id": said[-KEEP - 1]}
    # The scripted model repeats what it is asked to summarise.
    assert all(f"USER: {question}" in part["text"] for question in QUESTIONS[:3])
    assert QUESTIONS[3] not in part["text"]
    assert [message["id"] for message in chat["messages"]["nodes"]] == [*said, begun["id"]]
    assert (before["context"]["messageCount"], chat["context"]["messageCount"]) == (8, KEEP)
    assert chat["context"]["systemTokens"] > before["context"]["systemTokens"] == 0
    assert chat["context"]["willCompactAt"] is None
    # Chats go on from it, and the next question's model is given the summary and what was said after it.
    heard = await answered(talking, chat_id, "And now?")
    given = next(event["usage"]["inputTokens"] for event in heard.events if event["__typename"] == "UsageTick")
    told = f"What was said before, in short: {part['text']} {QUESTIONS[3]} {QUESTIONS[3]} And now?"
    assert given == len(told.split())


async def test_what_a_summary_saves_is_what_the_context_has_less(lonely: dict[str, str]) -> None:
    given = {
        "PENNY_JOB_SWEEP_SECONDS": "0.05", "PENNY_CONTEXT_KEEP_MESSAGES": str(KEEP), "PENNY_CONTEXT_COMPACT_PERCENT": "100",
        "PENNY_CONTEXT_SUMMARY_TOKENS": "20",
    }  # fmt: skip
    async with running_server({**lonely, **given}) as server, Api(server.url) as api:
        ada = await api.sign_up()
        chat_id = await conversation(ada)
        for _ in range(2):  # the second summary stands for the first one too
            before = (await chat_of(ada, chat_id))["context"]["usedTokens"]
            await done(ada, "contextCompact", "message { id }", chatId=chat_id)
            chat, summary = await summarised(ada, chat_id)
            saved = summary["parts"][0]["tokensSaved"]
            assert (before - chat["context"]["usedTokens"], saved > 0) == (saved, True)
            for question in QUESTIONS:
                await answered(ada, chat_id, question)


async def followed_job(api: Api, job_id: str, *, then: asyncio.Event | None = None) -> list[Any]:
    """A job as it goes on, until it has ended; `then` is set when it has come further."""
    told: list[Any] = []
    async for payload in api.subscribe(JOB_EVENTS, id=job_id):
        told.append(payload["data"]["jobEvents"])
        if then is not None and told[-1]["progress"]:
            then.set()
    return told


async def test_the_job_of_a_summary_is_found_and_followed_from_whenever_one_comes(lonely: dict[str, str]) -> None:
    """The model says half of it and waits until that is told; who comes late is told the end."""
    async with FaultServer() as endpoint:
        told_of = asyncio.Event()
        given = {
            "PENNY_JOB_SWEEP_SECONDS": "0.05", "PENNY_JOB_BEAT_SECONDS": "0.1", "PENNY_CONTEXT_KEEP_MESSAGES": "0",
            "PENNY_CONTEXT_SUMMARY_TOKENS": "100", "PENNY_MODEL_PROVIDER": "openai", "PENNY_MODEL_BASE_URL": endpoint.base_url,
            "PENNY_MODEL_NAME": "m",
        }  # fmt: skip
        endpoint.plan("m", WELL, WELL, Fault(hang_at=6, hang=told_of))
        async with running_server({**lonely, **given}) as server, Api(server.url) as api:
            ada = await api.sign_up()
            chat_id = await new_chat(ada)
            for question in QUESTIONS[:2]:
                await answered(ada, chat_id, question)
            fields = "job { __typename id status ... on BackgroundJob { kind } } message { id }"
            begun = await done(ada, "contextCompact", fields, chatId=chat_id)
            job_id = begun["job"].pop("id")
            assert begun["job"] == {"__typename": "BackgroundJob", "status": "QUEUED", "kind": "context_compact"}
            listed = (await ada.data("{ jobs(first: 5) { nodes { __typename id createdAt } } }"))["jobs"]["nodes"]
            assert [job["id"] for job in listed] == [job_id]
            told = await followed_job(ada, job_id, then=told_of)
            late = await followed_job(ada, job_id)
    assert (told[-1]["status"], told[-1]["progress"], told[-1]["error"]) == ("SUCCEEDED", 1, None)
    steps = [job["progress"] for job in told if job["progress"] is not None]
    assert steps == sorted(steps)
    assert any(0 < step < 1 for step in steps)
    assert late == [told[-1]]


async def test_short_chats_and_busy_ones_are_not_compacted(talking: Api) -> None:
    chat_id = await new_chat(talking)
    assert (await refused(talking, "contextCompact", chatId=chat_id))["code"] == "CONFLICT"
    await answered(talking, chat_id, "Hello?")
    assert (await refused(talking, "contextCompact", chatId=chat_id))["code"] == "CONFLICT"
    chat_id = await conversation(talking)
    run_id = await ask(talking, chat_id, "!script tokens=1000 delay_ms=20")
    assert (await refused(talking, "contextCompact", chatId=chat_id))["code"] == "RUN_IN_PROGRESS"
    await done(talking, "runCancel", "run { id }", runId=run_id)
    await hear(talking, run_id)
    assert all(message["role"] != "SUMMARY" for message in (await chat_of(talking, chat_id))["messages"]["nodes"])
    await done(talking, "contextCompact", "message { id }", chatId=chat_id)
    assert (await refused(talking, "contextCompact", chatId=chat_id))["code"] == "CONFLICT"


async def test_a_redacted_message_is_in_no_summary(talking: Api) -> None:
    chat_id = await conversation(talking)
    await done(talking, "contextCompact", "message { id }", chatId=chat_id)
    chat, summary = await summarised(talking, chat_id)
    await done(talking, "messageRedact", "message { id }", messageId=chat["messages"]["nodes"][0]["id"])
    chat = await chat_of(talking, chat_id)
    last = chat["messages"]["nodes"][-1]
    assert (last["id"], last["status"], last["parts"]) == (summary["id"], "REDACTED", [{"__typename": "NoticePart", "kind": "redacted"}])
    assert chat["context"]["systemTokens"] == 0


async def test_a_fork_s_summary_covers_the_fork_s_messages(talking: Api) -> None:
    chat_id = await conversation(talking)
    await done(talking, "contextCompact", "message { id }", chatId=chat_id)
    _, summary = await summarised(talking, chat_id)
    fork = (await done(talking, "chatFork", "chat { id }", idempotencyKey="fork", messageId=summary["id"]))["chat"]["id"]
    chat = await chat_of(talking, fork)
    *said, last = chat["messages"]["nodes"]
    assert last["parts"][0]["coversThrough"] == {"id": said[-KEEP - 1]["id"]}
    assert chat["context"]["messageCount"] == KEEP


async def test_a_model_that_gives_no_summary_leaves_a_notice_and_the_context_as_it_was(lonely: dict[str, str]) -> None:
    async with FaultServer() as endpoint:
        given = {
            "PENNY_JOB_SWEEP_SECONDS": "0.05", "PENNY_CONTEXT_KEEP_MESSAGES": "0", "PENNY_MODEL_PROVIDER": "openai",
            "PENNY_MODEL_BASE_URL": endpoint.base_url, "PENNY_MODEL_NAME": "m",
        }  # fmt: skip
        endpoint.plan("m", WELL, WELL, Fault(status=400))
        async with running_server({**lonely, **given}) as server, Api(server.url) as api:
            ada = await api.sign_up()
            chat_id = await new_chat(ada)
            for question in QUESTIONS[:2]:
                assert (await answered(ada, chat_id, question)).end["status"] == "COMPLETED"
            before = await chat_of(ada, chat_id)
            job_id = (await done(ada, "contextCompact", "job { id }", chatId=chat_id))["job"]["id"]
            chat, summary = await summarised(ada, chat_id)
            job = (await followed_job(ada, job_id))[-1]
    assert (job["status"], job["error"]["code"]) == ("FAILED", "PROVIDER_REFUSED")
    assert (summary["status"], summary["parts"]) == ("FAILED", [{"__typename": "NoticePart", "kind": "not_compacted"}])
    assert chat["context"] == before["context"]
    assert chat["messages"]["nodes"][:-1] == before["messages"]["nodes"]


async def test_a_branch_of_long_messages_is_not_summarised_after_each_answer(lonely: dict[str, str]) -> None:
    given = {
        "PENNY_JOB_SWEEP_SECONDS": "0.05", "PENNY_CONTEXT_COMPACT_PERCENT": "50", "PENNY_MODEL_CONTEXT_TOKENS": "700",
        "PENNY_MODEL_MAX_OUTPUT_TOKENS": "100", "PENNY_CONTEXT_SUMMARY_TOKENS": "10",
    }  # fmt: skip
    async with running_server({**lonely, **given}) as server, Api(server.url) as api:
        ada = await api.sign_up()
        chat_id = await new_chat(ada)
        for number in range(12):
            await answered(ada, chat_id, f"{number} " + "long " * 30)
            chat = await chat_of(ada, chat_id)
            if chat["head"]["role"] == "SUMMARY":
                await summarised(ada, chat_id)
        roles = [message["role"] for message in (await chat_of(ada, chat_id))["messages"]["nodes"]]
    places = [place for place, role in enumerate(roles) if role == "SUMMARY"]
    assert len(places) > 1
    assert all(later - earlier > 4 for earlier, later in pairwise(places))


async def test_a_message_that_does_not_fit_beside_the_summary_is_refused_before_it_is_said(lonely: dict[str, str]) -> None:
    given = {
        "PENNY_JOB_SWEEP_SECONDS": "0.05", "PENNY_CONTEXT_KEEP_MESSAGES": "0", "PENNY_CONTEXT_COMPACT_PERCENT": "100",
        "PENNY_MODEL_CONTEXT_TOKENS": "400", "PENNY_MODEL_MAX_OUTPUT_TOKENS": "100",
    }  # fmt: skip
    async with running_server({**lonely, **given}) as server, Api(server.url) as api:
        ada = await api.sign_up()
        chat_id = await conversation(ada)
        await done(ada, "contextCompact", "message { id }", chatId=chat_id)
        chat, summary = await summarised(ada, chat_id)
        summed = chat["context"]["systemTokens"]
        assert (chat["context"]["limitTokens"], summed > 20) == (300, True)
        fits = [{"text": "x" * 4 * (300 - summed - MESSAGE_TOKENS)}]
        long = [{"text": fits[0]["text"] + "x"}]
        error = await refused(ada, "messageSend", chatId=chat_id, content=long, idempotencyKey="a")
        assert error["code"] == "CONTEXT_OVERFLOW"
        assert (await chat_of(ada, chat_id))["head"]["id"] == summary["id"]
        estimate = "query ($input: RunEstimateInput!) { estimateRun(input: $input) { inputTokens } }"
        assert await code_of(ada, estimate, input={"chatId": chat_id, "content": long}) == "CONTEXT_OVERFLOW"
        # It is the summary that leaves no room for it; what just fits is answered.
        assert (await answered(ada, await new_chat(ada), long[0]["text"])).end["status"] == "COMPLETED"
        assert (await answered(ada, chat_id, fits[0]["text"])).end["status"] == "COMPLETED"


async def test_another_summary_may_follow_one_that_was_given_up(lonely: dict[str, str], lonely_rows: Rows) -> None:
    given = {"PENNY_CONTEXT_KEEP_MESSAGES": "2", "PENNY_JOB_SWEEP_SECONDS": "600"}  # no worker comes to it
    async with running_server({**lonely, **given}) as server, Api(server.url) as api:
        ada = await api.sign_up()
        chat_id = await conversation(ada)
        first = (await done(ada, "contextCompact", "message { id }", chatId=chat_id))["message"]["id"]
        assert (await refused(ada, "contextCompact", chatId=chat_id))["code"] == "CONFLICT"
        (job,) = await lonely_rows("SELECT id FROM penny.jobs WHERE kind = 'context_compact'")
        await done(ada, "jobCancel", "job { status }", jobId=f"job_{job['id'].hex}")
        second = (await done(ada, "contextCompact", "message { id }", chatId=chat_id))["message"]["id"]
        chat = await chat_of(ada, chat_id)
    assert chat["head"]["id"] == second
    *_, given_up, waiting = chat["messages"]["nodes"]
    assert (given_up["id"], given_up["status"], given_up["parts"][0]["kind"]) == (first, "FAILED", "not_compacted")
    assert (waiting["id"], waiting["status"]) == (second, "PENDING")


async def test_a_long_branch_is_summarised_by_itself_and_only_once_at_a_time(lonely: dict[str, str]) -> None:
    given = {
        "PENNY_JOB_SWEEP_SECONDS": "0.05", "PENNY_CONTEXT_KEEP_MESSAGES": "2", "PENNY_CONTEXT_COMPACT_PERCENT": "50",
        "PENNY_MODEL_CONTEXT_TOKENS": "400", "PENNY_MODEL_MAX_OUTPUT_TOKENS": "100", "PENNY_CONTEXT_SUMMARY_TOKENS": "20",
    }  # fmt: skip
    async with running_server({**lonely, **given}) as server, Api(server.url) as api:
        ada = await api.sign_up()
        chat_id = await new_chat(ada)
        assert (await chat_of(ada, chat_id))["context"]["willCompactAt"] == 150
        for question in QUESTIONS[:3]:
            await answered(ada, chat_id, question)
            chat = await chat_of(ada, chat_id)
            assert (chat["head"]["role"], chat["context"]["usedTokens"] <= 150) == ("ASSISTANT", True)
        used = chat["context"]["usedTokens"]
        await answered(ada, chat_id, f"{QUESTIONS[3]}, and many words more that make all of this long enough")
        chat, summary = await summarised(ada, chat_id)
    assert chat["head"] == {"id": summary["id"], "role": "SUMMARY"}
    assert summary["parts"][0]["tokensSaved"] > 0
    assert chat["context"]["usedTokens"] < used
    assert sum(message["role"] == "SUMMARY" for message in chat["messages"]["nodes"]) == 1


async def test_a_summary_is_told_to_who_follows_the_chat(talking: Api) -> None:
    chat_id = await conversation(talking)
    begin = (await talking.data("{ eventCursor }"))["eventCursor"]
    async with following(talking, CHAT_EVENTS, chatId=chat_id, after=begin) as followed:
        summary = (await done(talking, "contextCompact", "message { id }", chatId=chat_id))["message"]["id"]
        await followed.until(lambda one: any(told.get("message", {}).get("id") == summary and is_whole(told) for told in one.told))
    compacted = """
        query ($after: String) {
          events(first: 5, after: $after, types: [CONTEXT_COMPACTED]) { nodes { subjectId actor { __typename } } }
        }"""
    assert (await talking.data(compacted, after=begin))["events"]["nodes"] == [{"subjectId": summary, "actor": None}]


def is_whole(told: dict[str, Any]) -> bool:
    return (told["message"]["role"], told["message"]["status"]) == ("SUMMARY", "COMPLETE")
