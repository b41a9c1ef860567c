"""An answer that ended too early goes on in a sibling that begins with what it said; the old one stays as it is."""

import asyncio
import signal
from typing import Any
from uuid import uuid4

from tests.api.people import done, refused
from tests.chat.talking import ask, hear, new_chat, say
from tests.chat.test_turns import branch_of, texts
from tests.running import Api, running, running_web

CONTINUED = "run { id continues { id } outputs { id siblings { id status parts { ... on TextPart { id text } } } } }"


async def resume(api: Api, run_id: str, *, key: str | None = None) -> Any:
    return (await done(api, "runContinue", CONTINUED, runId=run_id, idempotencyKey=key or uuid4().hex))["run"]


async def test_an_answer_that_was_too_long_goes_on_where_it_was_cut(api: Api) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    sent = await say(ada, chat_id, "!script tokens=12", maxOutputTokens=5)
    run_id = sent["runs"][0]["id"]
    said = await hear(ada, run_id)
    for words, status in ((10, "INCOMPLETE"), (12, "COMPLETED")):
        run = await resume(ada, run_id)
        assert run["continues"] == {"id": run_id}
        said, before = await hear(ada, run["id"]), said
        # All is told from the beginning, as if one run had said it.
        assert said.text == "".join(f"word{number} " for number in range(words))
        assert said.text.startswith(before.text)
        assert (said.end["status"], said.end["outputs"][0]["parts"]) == (status, [{"text": said.text}])
        assert (await hear(ada, run["id"])).events == said.events
        run_id = run["id"]
    siblings = (
        await ada.data("query ($id: ID!) { node(id: $id) { ... on Message { siblings { status } } } }", id=run["outputs"][0]["id"])
    )["node"]
    assert [one["status"] for one in siblings["siblings"]] == ["INCOMPLETE", "INCOMPLETE", "COMPLETE"]
    assert texts(await branch_of(ada, chat_id)) == ["!script tokens=12", said.text]
    error = await refused(ada, "runContinue", runId=run_id, idempotencyKey=uuid4().hex)
    assert (error["__typename"], error["path"]) == ("ConflictError", ["runId"])


async def test_an_answer_that_was_stopped_goes_on_once_for_a_key(api: Api) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    run_id = await ask(ada, chat_id, "!script tokens=40 reasoning=3 delay_ms=10")
    await hear(ada, run_id, until=9)
    busy = await refused(ada, "runContinue", runId=run_id, idempotencyKey=uuid4().hex)
    assert busy["code"] == "RUN_IN_PROGRESS"
    await done(ada, "runCancel", runId=run_id)
    old, key = await hear(ada, run_id), uuid4().hex
    runs = await asyncio.gather(*(resume(ada, run_id, key=key) for _ in range(8)))
    assert len({run["id"] for run in runs}) == 1
    new = await hear(ada, runs[0]["id"])
    assert new.text == "".join(f"word{number} " for number in range(40))
    first, second = (
        await ada.data("query ($id: ID!) { node(id: $id) { ... on Message { siblings { id } } } }", id=runs[0]["outputs"][0]["id"])
    )["node"]["siblings"]
    page = "query ($id: ID!) { node(id: $id) { ... on Message { status parts { ... on TextPart { id text } } } } }"
    kept, grown = [(await ada.data(page, id=one["id"]))["node"] for one in (first, second)]
    assert (kept["status"], grown["status"]) == ("INCOMPLETE", "COMPLETE")
    assert [part["text"] for part in kept["parts"] if part] == [old.end["outputs"][0]["parts"][-1]["text"]]
    assert not {part["id"] for part in kept["parts"] if part} & {part["id"] for part in grown["parts"] if part}


async def test_an_answer_of_which_nothing_was_said_begins_anew(api: Api) -> None:
    ada = await api.sign_up()
    run_id = await ask(ada, await new_chat(ada), "!script tokens=3 fail_at=0 kind=CONTEXT_WINDOW")
    assert (await hear(ada, run_id)).end["status"] == "FAILED"
    run = await resume(ada, run_id)
    assert (await hear(ada, run["id"])).end["status"] == "FAILED"


async def test_a_continuation_whose_worker_is_lost_says_everything_once(lonely: dict[str, str]) -> None:
    lonely |= {"PENNY_RUN_LEASE_SECONDS": "0.6"}
    async with running_web(lonely) as (url, _), Api(url) as api:
        ada = await api.sign_up()
        chat_id = await new_chat(ada)
        async with running(lonely, "worker") as worker:
            sent = await say(ada, chat_id, "!script tokens=60 delay_ms=10", maxOutputTokens=5)
            await hear(ada, sent["runs"][0]["id"])
            await done(ada, "runCancel", runId=sent["runs"][0]["id"])
            given = {"chatId": chat_id, "content": [{"text": "!script tokens=90 delay_ms=10"}], "idempotencyKey": uuid4().hex}
            run_id = (await done(ada, "messageSend", "runs { id }", **given))["runs"][0]["id"]
            await hear(ada, run_id, until=6)
            await done(ada, "runCancel", runId=run_id)
            await hear(ada, run_id)
            run = await resume(ada, run_id)
            before = await hear(ada, run["id"], until=12)
            worker.send_signal(signal.SIGKILL)
            await worker.wait()
        async with running(lonely, "worker"):
            rest = await hear(ada, run["id"], after=before.seqs[-1])
    assert before.seqs + rest.seqs == list(range(1, rest.seqs[-1] + 1))
    assert before.text + rest.text == "".join(f"word{number} " for number in range(90))
    assert rest.end["outputs"][0]["parts"] == [{"text": before.text + rest.text}]


async def test_a_continuation_that_nobody_began_is_continued_itself(lonely: dict[str, str]) -> None:
    async with running_web(lonely) as (url, _), Api(url) as api:
        ada = await api.sign_up()
        run_id = await ask(ada, await new_chat(ada), "hello")
        await done(ada, "runCancel", runId=run_id)
        run = await resume(ada, run_id)
        assert (await done(ada, "runCancel", "run { status } alreadyFinished", runId=run["id"]))["alreadyFinished"] is False
        async with running(lonely, "worker"):
            assert (await hear(ada, (await resume(ada, run["id"]))["id"])).text == "hello"
