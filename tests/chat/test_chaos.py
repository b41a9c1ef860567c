"""Workers are killed at every event and at random moments, web processes with them; nobody's answer notices.

`PENNY_CHAOS` is how many answers the random trial makes, each of which loses its worker once; `make chaos` makes more of them.
"""

import asyncio
import itertools
import os
import random
import signal
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest

from tests.api.people import soon
from tests.chat.chaos import Reader, crew, every_token_was_billed_once, insist, said_bytes, words
from tests.chat.conftest import Rows
from tests.chat.talking import ask, hear, new_chat
from tests.running import Api, ready, running, running_web

ANSWERS = int(os.environ.get("PENNY_CHAOS", "16"))
AT_ONCE = 8
CANCELLATIONS = max(1, ANSWERS // 16)
CANCEL = "mutation ($id: ID!) { runCancel(input: {runId: $id}) { run { id status } alreadyFinished errors { message code } } }"
COST = "query ($id: ID!) { node(id: $id) { ... on Run { usage { cost { amount currency } } } } }"
TITLED = {"PENNY_CHAT_TITLES": "true", "PENNY_JOB_SWEEP_SECONDS": "0.1", "PENNY_JOB_LEASE_SECONDS": "0.8", "PENNY_JOB_ATTEMPTS": "100"}
FAST = {"PENNY_RUN_LEASE_SECONDS": "0.8", "PENNY_RUN_ATTEMPTS": "1000"}
# RunQueued, RunStarted, thoughts and words, each with their PartStarted, and the end, which is written in one piece.
SCRIPT, LAST = "!script tokens=4 reasoning=1 delay_ms=40", 9


@pytest.mark.timeout(300)  # ten processes and more are started one after the other
async def test_a_worker_that_is_killed_at_any_event_loses_and_doubles_nothing(lonely: dict[str, str], lonely_rows: Rows) -> None:
    async with crew(lonely | FAST, lonely_rows, workers=3, webs=1) as made, Api(made.urls[0]) as api:
        ada = await api.sign_up()

        async def killed_at(seq: int) -> None:
            run_id = await ask(ada, await new_chat(ada), SCRIPT)
            reader = Reader(made.urls, ada.token, run_id)
            reading = asyncio.create_task(reader.read())
            await reader.until(seq)
            await made.kill_worker_of(run_id)
            await reading
            assert reader.end is not None
            assert (reader.end["status"], reader.text) == ("COMPLETED", words(4))
            assert reader.saved == reader.text
            assert await said_bytes(lonely_rows, run_id) == len(reader.text.encode())

        for seq in range(1, LAST + 1, 3):
            await asyncio.gather(*(killed_at(one) for one in range(seq, seq + 3)))
        await every_token_was_billed_once(lonely_rows)
        assert sum(worker.deaths for worker in made.workers) >= LAST // 3


@pytest.mark.timeout(120 + 20 * ANSWERS)
async def test_each_of_many_answers_loses_its_worker_at_a_random_moment_and_nothing_else(lonely: dict[str, str], lonely_rows: Rows) -> None:
    """The worker of each answer is killed once in its course, and with it what else it makes; web processes die beside them."""
    chance = random.Random(os.environ.get("PENNY_CHAOS_SEED", "11"))
    turns, counts = asyncio.Semaphore(AT_ONCE), [chance.randint(20, 120) for _ in range(ANSWERS)]
    async with crew(lonely | FAST | TITLED, lonely_rows, workers=3, webs=2) as made, Api(made.urls[0]) as api:
        ada = await api.sign_up()

        async def robbed(count: int) -> Reader:
            key, script = uuid4().hex, f"!script tokens={count} delay_ms={chance.choice([5, 20, 50])}"
            async with turns:
                chat_id = await insist(made.urls, ada.token, chance, lambda api: new_chat(api, key=f"chat of {key}"))
                run_id = await insist(made.urls, ada.token, chance, lambda api: ask(api, chat_id, script, key=key))
                reader = Reader(made.urls, ada.token, run_id, random.Random(run_id))
                reading = asyncio.create_task(reader.read())
                await reader.until(chance.randint(1, count // 2))
                await asyncio.sleep(chance.uniform(0.0, 0.2))
                await made.kill_worker_of(run_id)
                return await reading

        async def restless() -> None:
            for web in itertools.cycle(range(len(made.webs))):
                await asyncio.sleep(chance.uniform(1.0, 3.0))
                made.webs[web].kill()
                await ready(made.urls[web])

        killing = asyncio.create_task(restless())
        readers = await asyncio.gather(*(robbed(count) for count in counts))
        killing.cancel()
        await asyncio.wait({killing})
        for count, reader in zip(counts, readers, strict=True):
            assert reader.end is not None
            assert (reader.end["status"], reader.text) == ("COMPLETED", words(count))
            assert reader.saved == reader.text
            assert await said_bytes(lonely_rows, reader.run_id) == len(reader.text.encode())
        await every_token_was_billed_once(lonely_rows)
        await every_title_was_written_and_each_call_counted(lonely_rows, ANSWERS)
        lost = await lonely_rows(
            "SELECT kind, count(*) AS calls FROM penny.attempts WHERE message LIKE 'The worker%' GROUP BY 1 ORDER BY 1"
        )
        deaths = [sum(process.deaths for process in processes) for processes in (made.workers, made.webs)]
    print(f"\n{ANSWERS} answers: {deaths[0]} workers and {deaths[1]} web processes killed; calls lost: {[tuple(one) for one in lost]}")  # noqa: T201 - for `make chaos`
    assert deaths[0] >= ANSWERS // AT_ONCE


async def every_title_was_written_and_each_call_counted(rows: Rows, count: int) -> None:
    async def look() -> None:
        if await rows("SELECT 1 FROM penny.jobs WHERE finished_at IS NULL"):
            raise LookupError("a job is open")

    await soon(look, seconds=60)
    assert {row["status"] for row in await rows("SELECT status FROM penny.jobs")} == {"SUCCEEDED"}
    assert len(await rows("SELECT 1 FROM penny.chats WHERE titled_by = 'MODEL'")) == count
    titles = await rows("SELECT * FROM penny.attempts WHERE kind = 'TITLE' ORDER BY work_id, number")
    assert all(row["ended_at"] is not None for row in titles)
    for _, of_job in itertools.groupby(titles, lambda row: row["work_id"]):
        calls = list(of_job)
        assert [row["number"] for row in calls] == list(range(1, len(calls) + 1))
        assert calls[-1]["message"] is None


async def test_a_worker_that_was_paused_beyond_its_lease_writes_nothing_more(lonely: dict[str, str], lonely_rows: Rows) -> None:
    lonely |= FAST
    async with running_web(lonely) as (url, _), Api(url) as api, running(lonely, "worker") as paused:
        ada = await api.sign_up()
        run_id = await ask(ada, await new_chat(ada), "!script tokens=60 delay_ms=20")
        reader = Reader([url], ada.token, run_id)
        reading = asyncio.create_task(reader.read())
        await reader.until(8)
        paused.send_signal(signal.SIGSTOP)
        try:
            async with running(lonely, "worker"):
                await reading
        finally:
            paused.send_signal(signal.SIGCONT)
        before = await hear(ada, run_id)
        # It goes on with others, and is long awake when this one ends.
        other = Reader([url], ada.token, await ask(ada, await new_chat(ada), "!script tokens=60 delay_ms=10"))
        await other.read()
        assert other.text == words(60)
        assert (await hear(ada, run_id)).events == before.events
        steps = await lonely_rows("SELECT * FROM penny.run_steps ORDER BY started_at, step")
    assert (reader.text, reader.saved) == (words(60), words(60))
    assert [step["outcome"] for step in steps] == ["LOST", "ENDED", "ENDED"]
    await every_token_was_billed_once(lonely_rows)


async def test_a_run_that_lost_a_worker_says_what_it_cost(lonely: dict[str, str], lonely_rows: Rows, tmp_path: Path) -> None:
    file = tmp_path / "models.toml"
    file.write_text('[[prices]]\nmodel = "platform/scripted"\nprices = [{ from = 2026-01-01, input = "2", output = "20" }]\n')
    lonely |= FAST | {"PENNY_MODELS_FILE": str(file)}
    async with running_web(lonely) as (url, _), Api(url) as api:
        ada = await api.sign_up()
        async with running(lonely, "worker") as worker:
            run_id = await ask(ada, await new_chat(ada), "!script tokens=200 delay_ms=20")

            async def begun() -> None:
                if not await lonely_rows("SELECT 1 FROM penny.attempts"):
                    raise LookupError("no attempt is written yet")

            await soon(begun)
            worker.kill()
            await worker.wait()
        async with running(lonely, "worker"):
            assert (await hear(ada, run_id)).end["status"] == "COMPLETED"
        usage = (await ada.data(COST, id=run_id))["node"]["usage"]
    lost, last = await lonely_rows("SELECT * FROM penny.attempts ORDER BY number")
    assert (lost["message"], last["message"]) == ("The worker that asked was lost.", None)
    costs = [Decimal(2 * one["input_tokens"] + 20 * one["output_tokens"]) / 1_000_000 for one in (lost, last)]
    assert [one["cost"] for one in (lost, last)] == costs
    assert min(costs) > 0
    assert (Decimal(usage["cost"]["amount"]), usage["cost"]["currency"]) == (sum(costs), "USD")


async def test_a_run_that_is_cancelled_while_nobody_has_it_ends_cancelled(lonely: dict[str, str], lonely_rows: Rows) -> None:
    lonely |= FAST
    async with running_web(lonely) as (url, _), Api(url) as api:
        ada = await api.sign_up()
        async with running(lonely, "worker") as worker:
            run_id = await ask(ada, await new_chat(ada), "!script tokens=2000 delay_ms=10")
            reader = Reader([url], ada.token, run_id)
            reading = asyncio.create_task(reader.read())
            await reader.until(8)
            worker.kill()
            await worker.wait()
        payload = (await ada.data(CANCEL, id=run_id))["runCancel"]
        assert (payload["errors"], payload["alreadyFinished"]) == ([], False)
        async with running(lonely, "worker"):
            await reading
    assert reader.end is not None
    assert (reader.end["status"], reader.end["stopReason"]) == ("CANCELLED", "USER_CANCEL")
    assert reader.text == reader.saved == words(len(reader.text.split()))
    await every_token_was_billed_once(lonely_rows)


@pytest.mark.parametrize("seed", range(CANCELLATIONS))
async def test_a_cancellation_and_a_take_over_at_once_end_the_run_once(lonely: dict[str, str], lonely_rows: Rows, seed: int) -> None:
    """Whoever is faster: the run ends, as CANCELLED or with all that it has to say, and its readers know it."""
    chance = random.Random(seed)
    async with crew(lonely | FAST, lonely_rows, workers=2, webs=1) as made, Api(made.urls[0]) as api:
        ada = await api.sign_up()

        async def stopped() -> None:
            run_id = await ask(ada, await new_chat(ada), "!script tokens=150 delay_ms=10")
            reader = Reader(made.urls, ada.token, run_id)
            reading = asyncio.create_task(reader.read())
            await reader.until(chance.randint(3, 20))
            await made.kill_worker_of(run_id)
            await asyncio.sleep(chance.uniform(0.0, 1.2))
            await ada.data(CANCEL, id=run_id)
            await reading
            assert reader.end is not None
            assert reader.end["status"] in {"CANCELLED", "COMPLETED"}
            assert reader.text == reader.saved == words(len(reader.text.split()))
            assert await said_bytes(lonely_rows, run_id) == len(reader.text.encode())

        await asyncio.gather(*(stopped() for _ in range(4)))
        await every_token_was_billed_once(lonely_rows)
