"""Answers outlive workers, fail honestly, and stop when asked."""

import asyncio
import signal
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from valkey.asyncio import Valkey
from valkey.asyncio.client import PubSub

from schema.ids import local_id
from tests.api.people import soon
from tests.chat.conftest import Rows
from tests.chat.talking import ask, hear, new_chat, say, talk
from tests.inference.fault_server import Fault, FaultServer
from tests.running import Api, Server, running, running_web

CANCEL = "mutation ($id: ID!) { runCancel(input: {runId: $id}) { run { id status } alreadyFinished errors { message code } } }"


async def test_a_model_that_fails_in_mid_answer_leaves_a_failed_run_with_what_was_said(api: Api) -> None:
    ada = await api.sign_up()
    heard = await talk(ada, "!script tokens=50 fail_at=10 kind=SERVER_ERROR")
    assert heard.end["status"] == "FAILED"
    assert heard.end["error"]["code"] == "PROVIDER_FAILED"
    assert heard.text.split() == [f"word{number}" for number in range(10)]
    assert heard.end["outputs"] == [{"status": "FAILED", "parts": [{"text": heard.text}]}]


async def test_a_cancelled_answer_keeps_what_was_said_and_stops_at_once(api: Api) -> None:
    ada = await api.sign_up()
    run_id = await ask(ada, await new_chat(ada), "!script tokens=1000 delay_ms=10")
    await hear(ada, run_id, until=6)
    began = asyncio.get_running_loop().time()
    payload = (await ada.data(CANCEL, id=run_id))["runCancel"]
    assert payload["errors"] == []
    assert payload["alreadyFinished"] is False
    heard = await hear(ada, run_id)
    assert asyncio.get_running_loop().time() - began < 5.0
    assert heard.end["status"] == "CANCELLED"
    assert heard.end["stopReason"] == "USER_CANCEL"
    assert 0 < len(heard.text.split()) < 1000
    assert heard.end["outputs"] == [{"status": "INCOMPLETE", "parts": [{"text": heard.text}]}]
    again = (await ada.data(CANCEL, id=run_id))["runCancel"]
    assert again["alreadyFinished"] is True
    assert again["run"]["status"] == "CANCELLED"


async def test_a_cancellation_ends_the_call_of_the_model_at_once(lonely: dict[str, str]) -> None:
    """The web process is told, the worker hangs up: the endpoint is not left talking to nobody."""
    async with FaultServer() as endpoint:
        endpoint.plan("m", Fault(words=tuple(f"word{number} " for number in range(500)), word_seconds=0.05))
        lonely |= {"PENNY_MODEL_PROVIDER": "openai", "PENNY_MODEL_BASE_URL": endpoint.base_url, "PENNY_MODEL_NAME": "m"}
        async with running_web(lonely) as (url, _), Api(url) as api, running(lonely, "worker"):
            ada = await api.sign_up()
            run_id = await ask(ada, await new_chat(ada), "hello")
            before = await hear(ada, run_id, until=6)
            await ada.data(CANCEL, id=run_id)
            await asyncio.wait_for(endpoint.asked[-1].left.wait(), 10.0)
            rest = await hear(ada, run_id, after=before.seqs[-1])
    assert rest.end["status"] == "CANCELLED"
    assert rest.end["outputs"] == [{"status": "INCOMPLETE", "parts": [{"text": before.text + rest.text}]}]


async def test_a_run_that_nobody_began_can_be_cancelled(lonely: dict[str, str]) -> None:
    async with running_web(lonely) as (url, _), Api(url) as api:
        ada = await api.sign_up()
        run_id = await ask(ada, await new_chat(ada), "hello")
        payload = (await ada.data(CANCEL, id=run_id))["runCancel"]
        assert payload["run"]["status"] == "CANCELLED"
        heard = await hear(ada, run_id)
        assert heard.types == ["RunQueued", "RunFinished"]


async def test_a_killed_worker_s_answer_is_continued_where_it_was(lonely: dict[str, str], lonely_rows: Rows) -> None:
    """Another worker takes the run over and asks the model for the rest; each of them is billed for what it said."""
    lonely |= {"PENNY_RUN_LEASE_SECONDS": "0.6"}
    async with running_web(lonely) as (url, _), Api(url) as api:
        ada = await api.sign_up()
        async with running(lonely, "worker") as worker:
            run_id = await ask(ada, await new_chat(ada), "!script tokens=300 delay_ms=5 reasoning=3")
            before = await hear(ada, run_id, until=20)
            worker.send_signal(signal.SIGKILL)
            await worker.wait()
        async with running(lonely, "worker"):
            rest = await hear(ada, run_id, after=before.seqs[-1])
    assert before.seqs + rest.seqs == list(range(1, rest.seqs[-1] + 1))
    assert (rest.end["status"], rest.end["stopReason"], rest.end["error"]) == ("COMPLETED", "END_TURN", None)
    text = before.text + rest.text
    assert text.split() == [f"word{number}" for number in range(300)]
    assert rest.end["outputs"] == [{"status": "COMPLETE", "parts": [{}, {"text": text}]}]
    first, second = await lonely_rows("SELECT * FROM penny.run_steps ORDER BY step")
    (run,) = await lonely_rows("SELECT * FROM penny.runs")
    assert (first["outcome"], second["outcome"]) == ("LOST", "ENDED")
    assert (first["usage_estimated"], second["usage_estimated"], run["usage_estimated"]) == (True, False, True)
    assert first["text_bytes"] + second["text_bytes"] == len(text.encode())
    assert (first["output_tokens"], second["reasoning_tokens"]) == (-(-first["text_bytes"] // 4), 0)
    assert 0 < second["output_tokens"] < 300, "the second one is billed for the rest"
    for name in ("input_tokens", "output_tokens", "reasoning_tokens"):
        assert run[name] == first[name] + second[name]


async def test_a_run_whose_worker_is_lost_is_cancelled_without_waiting_for_its_lease(lonely: dict[str, str], lonely_rows: Rows) -> None:
    """Leases and sweeps are so long that only the wish to stop can have ended it; what was said is kept, and billed once."""
    lonely |= {"PENNY_RUN_LEASE_SECONDS": "600", "PENNY_RUN_SWEEP_SECONDS": "600"}
    async with running_web(lonely) as (url, _), Api(url) as api:
        ada = await api.sign_up()
        async with running(lonely, "worker") as worker:
            run_id = await ask(ada, await new_chat(ada), "!script tokens=2000 delay_ms=10")
            before = await hear(ada, run_id, until=8)
            worker.send_signal(signal.SIGKILL)
            await worker.wait()
        async with running(lonely, "worker"), Valkey.from_url(lonely["PENNY_VALKEY_URL"]) as valkey:
            channel = f"{lonely['PENNY_VALKEY_PREFIX']}:stops"

            async def listens() -> None:
                if not dict(await valkey.pubsub_numsub(channel))[channel.encode()]:
                    raise LookupError

            await soon(listens)
            payload = (await ada.data(CANCEL, id=run_id))["runCancel"]
            assert payload["run"]["status"] == "RUNNING"
            async with asyncio.timeout(60):
                rest = await hear(ada, run_id, after=before.seqs[-1])
    assert before.seqs + rest.seqs == list(range(1, rest.seqs[-1] + 1))
    assert (rest.end["status"], rest.end["stopReason"], rest.end["error"]) == ("CANCELLED", "USER_CANCEL", None)
    assert rest.end["outputs"] == [{"status": "INCOMPLETE", "parts": [{"text": before.text + rest.text}]}]
    assert [row["outcome"] for row in await lonely_rows("SELECT outcome FROM penny.run_steps ORDER BY step")] == ["LOST", "ENDED"]


async def test_a_worker_that_was_full_remembers_a_lost_run_that_was_cancelled_however_often(
    lonely: dict[str, str], lonely_rows: Rows
) -> None:
    """Each worker has room for one answer. The cancellation is told once, while all that are left are full; sweeps are out of reach."""
    lonely |= {"PENNY_RUN_LEASE_SECONDS": "600", "PENNY_RUN_SWEEP_SECONDS": "600", "PENNY_WORKER_RUNS": "1"}
    long, channel = "!script tokens=20000 delay_ms=10", f"{lonely['PENNY_VALKEY_PREFIX']}:stops"
    async with running_web(lonely) as (url, _), Api(url) as api, Valkey.from_url(lonely["PENNY_VALKEY_URL"]) as valkey:
        ada = await api.sign_up()
        async with running(lonely, "worker") as worker:
            lost = await ask(ada, await new_chat(ada), long)
            await hear(ada, lost, until=8)
            async with running(lonely, "worker"):
                made = await ask(ada, await new_chat(ada), long)
                await hear(ada, made, until=8)
                worker.send_signal(signal.SIGKILL)
                await worker.wait()
                async with valkey.pubsub() as stops:
                    await stops.subscribe(channel)
                    assert (await next_of(stops))["type"] == "subscribe"
                    for _ in range(5):
                        payload = (await ada.data(CANCEL, id=lost))["runCancel"]
                        assert (payload["run"]["status"], payload["alreadyFinished"]) == ("RUNNING", False)
                    await soon(partial(is_free, lonely_rows, lost))
                    await ada.data(CANCEL, id=made)
                    told = [UUID(bytes=(await next_of(stops))["data"][:16]) for _ in range(2)]
                assert told == [local_id(lost, "Run"), local_id(made, "Run")]
                ends = [(await hear(ada, run_id)).end["status"] for run_id in (made, lost)]
    assert ends == ["CANCELLED", "CANCELLED"]


async def is_free(rows: Rows, run_id: str) -> None:
    """By then whoever heard of the cancellation has looked for the run's worker."""
    if not await rows(f"SELECT 1 FROM penny.runs WHERE id = '{local_id(run_id, 'Run')}' AND lease_until < now() - interval '1 second'"):
        raise LookupError("its worker may still show a sign of life")


async def next_of(channel: PubSub) -> Any:
    async with asyncio.timeout(60):
        while (message := await channel.get_message(timeout=5.0)) is None:
            pass
    return message


async def test_a_model_that_cannot_go_on_leaves_what_was_said(lonely: dict[str, str]) -> None:
    """An endpoint answers one word and falls silent; the worker is killed, and the next one may not ask for a second answer."""
    async with FaultServer() as endpoint:
        endpoint.plan("m", Fault(hang_at=1))
        lonely |= {
            "PENNY_RUN_LEASE_SECONDS": "0.6",
            "PENNY_MODEL_PROVIDER": "openai",
            "PENNY_MODEL_BASE_URL": endpoint.base_url,
            "PENNY_MODEL_NAME": "m",
        }
        async with running_web(lonely) as (url, _), Api(url) as api:
            ada = await api.sign_up()
            async with running(lonely, "worker") as worker:
                run_id = await ask(ada, await new_chat(ada), "hello")
                before = await hear(ada, run_id, until=4)
                worker.send_signal(signal.SIGKILL)
                await worker.wait()
            async with running(lonely, "worker"):
                rest = await hear(ada, run_id, after=before.seqs[-1])
        assert endpoint.count("m") == 1
    assert before.text
    assert (rest.end["status"], rest.text) == ("INCOMPLETE", "")
    assert rest.end["outputs"] == [{"status": "INCOMPLETE", "parts": [{"text": before.text}]}]


async def test_a_worker_that_is_told_to_stop_hands_long_answers_over_at_once(lonely: dict[str, str], lonely_rows: Rows) -> None:
    lonely |= {"PENNY_RUN_STOP_SECONDS": "0.2", "PENNY_RUN_LEASE_SECONDS": "500", "PENNY_RUN_SWEEP_SECONDS": "500"}
    async with running_web(lonely) as (url, _), Api(url) as api, running(lonely, "worker") as first:
        ada = await api.sign_up()
        run_id = await ask(ada, await new_chat(ada), "!script tokens=400 delay_ms=10")
        before = await hear(ada, run_id, until=8)
        async with running(lonely, "worker"):
            first.send_signal(signal.SIGTERM)
            rest = await hear(ada, run_id, after=before.seqs[-1])
        assert await asyncio.wait_for(first.wait(), 10) == 0
    assert before.seqs + rest.seqs == list(range(1, rest.seqs[-1] + 1))
    assert rest.end["status"] == "COMPLETED"
    assert (before.text + rest.text).split() == [f"word{number}" for number in range(400)]
    steps = await lonely_rows("SELECT * FROM penny.run_steps ORDER BY step")
    assert [step["outcome"] for step in steps] == ["HANDED_OVER", "ENDED"]
    assert sum(step["text_bytes"] for step in steps) == len((before.text + rest.text).encode())


async def test_a_worker_that_stops_lets_its_answers_finish(lonely: dict[str, str]) -> None:
    async with running_web(lonely) as (url, _), Api(url) as api:
        ada = await api.sign_up()
        async with running(lonely, "worker") as worker:
            run_id = await ask(ada, await new_chat(ada), "!script tokens=60 delay_ms=10")
            await hear(ada, run_id, until=4)
            worker.send_signal(signal.SIGTERM)
            heard = await hear(ada, run_id)
            assert await asyncio.wait_for(worker.wait(), 10) == 0
    assert heard.end["status"] == "COMPLETED"
    assert len(heard.text.split()) == 60


async def test_a_message_that_was_written_while_valkey_lost_the_hint_is_answered(api: Api, server: Server, valkey: Valkey) -> None:
    """The queue is only a hint: a run that no hint tells of is found in PostgreSQL."""
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    server.processes["worker"].send_signal(signal.SIGSTOP)
    try:
        run_id = await ask(ada, chat_id, "!script tokens=5")
        await valkey.unlink(f"{server.environment['PENNY_VALKEY_PREFIX']}:runs")
    finally:
        server.processes["worker"].send_signal(signal.SIGCONT)
    assert (await hear(ada, run_id)).end["status"] == "COMPLETED"


async def test_fifty_parallel_retries_make_one_message_and_one_run(api: Api) -> None:
    ada = await api.sign_up()
    chat_id, key = await new_chat(ada), uuid4().hex
    payloads = await asyncio.gather(*(say(ada, chat_id, "!script tokens=3", key=key) for _ in range(50)))
    assert all(payload["errors"] == [] for payload in payloads)
    assert len({payload["runs"][0]["id"] for payload in payloads}) == 1
    assert len({payload["message"]["id"] for payload in payloads}) == 1
    assert [payload["reused"] for payload in payloads].count(False) == 1


async def test_a_key_that_meant_another_input_is_refused(api: Api) -> None:
    ada = await api.sign_up()
    chat_id, key = await new_chat(ada), uuid4().hex
    first = await say(ada, chat_id, "!script tokens=1", key=key)
    await hear(ada, first["runs"][0]["id"])
    payload = await say(ada, chat_id, "something else", key=key)
    assert [error["code"] for error in payload["errors"]] == ["IDEMPOTENCY_MISMATCH"]
    assert payload["runs"] is None


async def test_a_chat_that_is_being_answered_refuses_a_second_message(api: Api) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    run_id = await ask(ada, chat_id, "!script tokens=500 delay_ms=10")
    payload = await say(ada, chat_id, "and another thing")
    assert [(error["__typename"], error["code"]) for error in payload["errors"]] == [("RunInProgressError", "RUN_IN_PROGRESS")]
    await ada.data(CANCEL, id=run_id)
