"""What becomes of a message that comes while its chat is being answered."""

import asyncio
from typing import Any
from uuid import uuid4

from tests.api.people import done, mutate, refused
from tests.chat.talking import Heard, ask, hear, new_chat, say
from tests.running import Api, running, running_web

BRANCH = """
    query ($id: ID!) { node(id: $id) { ... on Chat {
      head { id }
      messages(first: 50) { nodes { id role status parts { ... on TextPart { text } } } }
      activeRuns { id status }
    } } }"""
STEER = "run { id } message { id parent { id } }"
LONG = "!script tokens=2000 delay_ms=5"
# Sentences of one word each, so that the end of one is never far.
SENTENCES = '!script delay_ms=20 text="' + " ".join(f"Sentence{number}." for number in range(500)) + '"'


async def branch_of(api: Api, chat_id: str) -> Any:
    return (await api.data(BRANCH, id=chat_id))["node"]


async def sent(api: Api, chat_id: str, text: str, **more: Any) -> str:
    payload = await say(api, chat_id, text, **more)
    assert payload["errors"] == [], payload["errors"]
    return str(payload["runs"][0]["id"])


async def steer(api: Api, run_id: str, text: str, *, key: str | None = None) -> Any:
    return await done(api, "runSteer", STEER, runId=run_id, content=[{"text": text}], idempotencyKey=key or uuid4().hex)


def texts(branch: Any) -> list[str]:
    return ["".join(part["text"] for part in node["parts"]) for node in branch["messages"]["nodes"]]


async def ends(api: Api, *run_ids: str) -> list[Heard]:
    return [await hear(api, run_id) for run_id in run_ids]


async def test_a_queued_message_is_answered_when_the_answer_before_it_has_ended(api: Api) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    first = await ask(ada, chat_id, "!script tokens=60 delay_ms=10")
    await hear(ada, first, until=3)
    second = await sent(ada, chat_id, "!script text=second", ifBusy="QUEUE")
    third = await sent(ada, chat_id, "third", ifBusy="QUEUE")
    branch = await branch_of(ada, chat_id)
    assert [run["status"] for run in branch["activeRuns"]] == ["RUNNING", "QUEUED", "QUEUED"]
    heard = await ends(ada, first, second, third)
    assert [one.end["status"] for one in heard] == ["COMPLETED"] * 3
    branch = await branch_of(ada, chat_id)
    assert [node["role"] for node in branch["messages"]["nodes"]] == ["USER", "ASSISTANT"] * 3
    assert texts(branch)[3::2] == ["second", "third"]
    assert branch["head"]["id"] == branch["messages"]["nodes"][-1]["id"]


async def test_a_queued_message_does_not_begin_before_the_answer_before_it_ends(api: Api) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    first = await ask(ada, chat_id, LONG)
    await hear(ada, first, until=3)
    second = await sent(ada, chat_id, "!script tokens=3", ifBusy="QUEUE")
    await hear(ada, first, until=30)  # sweeps come by meanwhile
    times = "query ($id: ID!) { node(id: $id) { ... on Run { status startedAt finishedAt } } }"
    assert (await ada.data(times, id=second))["node"] == {"status": "QUEUED", "startedAt": None, "finishedAt": None}
    await done(ada, "runCancel", runId=first)
    await ends(ada, first, second)
    before, after = [(await ada.data(times, id=run_id))["node"] for run_id in (first, second)]
    assert (before["status"], after["status"]) == ("CANCELLED", "COMPLETED")
    assert before["finishedAt"] <= after["startedAt"]


async def test_a_queued_message_that_is_cancelled_lets_the_next_one_through(api: Api) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    first = await ask(ada, chat_id, "!script tokens=100 delay_ms=10")
    await hear(ada, first, until=3)
    second = await sent(ada, chat_id, LONG, ifBusy="QUEUE")
    third = await sent(ada, chat_id, "third", ifBusy="QUEUE")
    await done(ada, "runCancel", runId=second)
    heard = await ends(ada, first, second, third)
    assert [one.end["status"] for one in heard] == ["COMPLETED", "CANCELLED", "COMPLETED"]
    assert heard[1].types == ["RunQueued", "RunFinished"]
    assert len(texts(await branch_of(ada, chat_id))) == 6


async def test_cancel_current_stops_the_answer_and_answers_the_message(api: Api) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    first = await ask(ada, chat_id, LONG)
    await hear(ada, first, until=8)
    second = await sent(ada, chat_id, "and now?", ifBusy="CANCEL_CURRENT")
    old, new = await ends(ada, first, second)
    assert (old.end["status"], old.end["stopReason"]) == ("CANCELLED", "USER_CANCEL")
    assert old.end["outputs"][0]["parts"] == [{"text": old.text}]
    assert (new.end["status"], new.text) == ("COMPLETED", "and now?")
    assert texts(await branch_of(ada, chat_id)) == [LONG, old.text, "and now?", "and now?"]


async def test_steering_ends_the_answer_at_the_end_of_a_sentence_and_goes_on(api: Api) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    first = await ask(ada, chat_id, SENTENCES)
    await hear(ada, first, until=6)
    second = await sent(ada, chat_id, "make it short", ifBusy="STEER")
    old, new = await ends(ada, first, second)
    assert (old.end["status"], old.end["stopReason"]) == ("INCOMPLETE", "STEERED")
    assert old.text.rstrip().endswith(".")
    assert 0 < len(old.text.split()) < 500
    assert new.end["status"] == "COMPLETED"
    assert texts(await branch_of(ada, chat_id)) == [SENTENCES, old.text, "make it short", "make it short"]


async def test_an_answer_without_sentences_is_steered_all_the_same(api: Api) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    first = await ask(ada, chat_id, LONG)
    await hear(ada, first, until=6)
    payload = await steer(ada, first, "stop here")
    old, new = await ends(ada, first, payload["run"]["id"])
    assert (old.end["stopReason"], new.end["status"]) == ("STEERED", "COMPLETED")
    assert texts(await branch_of(ada, chat_id)) == [LONG, old.text, "stop here", "stop here"]


async def test_a_run_is_steered_once_for_a_key_and_not_after_its_end(api: Api) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    first = await ask(ada, chat_id, SENTENCES)
    await hear(ada, first, until=6)
    key = uuid4().hex
    payloads = await asyncio.gather(*(steer(ada, first, "!script tokens=2", key=key) for _ in range(8)))
    assert len({payload["run"]["id"] for payload in payloads}) == len({payload["message"]["id"] for payload in payloads}) == 1
    await ends(ada, first, payloads[0]["run"]["id"])
    before = await branch_of(ada, chat_id)
    assert len(texts(before)) == 4
    error = await refused(ada, "runSteer", runId=first, content=[{"text": "late"}], idempotencyKey=uuid4().hex)
    assert (error["__typename"], error["code"], error["path"]) == ("ConflictError", "CONFLICT", ["runId"])
    assert await branch_of(ada, chat_id) == before


async def test_runs_that_wait_keep_their_place_when_the_current_one_is_steered(api: Api) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    first = await ask(ada, chat_id, SENTENCES)
    await hear(ada, first, until=6)
    second = await sent(ada, chat_id, "second", ifBusy="QUEUE")
    third = await sent(ada, chat_id, "third", ifBusy="STEER")
    await ends(ada, first, second, third)
    assert texts(await branch_of(ada, chat_id))[2:] == ["second", "second", "third", "third"]


async def test_what_nobody_has_begun_is_stopped_at_once_and_what_came_after_is_answered(lonely: dict[str, str]) -> None:
    async with running_web(lonely) as (url, _), Api(url) as api:
        ada = await api.sign_up()
        chat_id = await new_chat(ada)
        first = await ask(ada, chat_id, "one")
        second = await sent(ada, chat_id, "two", ifBusy="STEER")
        third = await sent(ada, chat_id, "three", ifBusy="CANCEL_CURRENT")
        fourth = await sent(ada, chat_id, "four", ifBusy="QUEUE")
        async with running(lonely, "worker"):
            heard = await ends(ada, first, second, third, fourth)
        assert [one.end["status"] for one in heard] == ["CANCELLED", "CANCELLED", "COMPLETED", "COMPLETED"]
        assert [one.end["stopReason"] for one in heard] == ["STEERED", "USER_CANCEL", "END_TURN", "END_TURN"]
        assert texts(await branch_of(ada, chat_id)) == ["one", "", "two", "", "three", "three", "four", "four"]


async def test_a_message_is_refused_while_another_is_answered_unless_it_says_otherwise(api: Api) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    run_id = await ask(ada, chat_id, LONG)
    payload = await mutate(ada, "messageSend", chatId=chat_id, content=[{"text": "x"}], idempotencyKey=uuid4().hex, ifBusy="REJECT")
    assert [error["code"] for error in payload["errors"]] == ["RUN_IN_PROGRESS"]
    assert len(texts(await branch_of(ada, chat_id))) == 2
    await done(ada, "runCancel", runId=run_id)
