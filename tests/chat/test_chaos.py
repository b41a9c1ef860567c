"""Workers are killed at every event and at random moments, web processes with them; nobody's answer notices.

`PENNY_CHAOS` is how many answers the random trial makes at once; `make chaos` makes more of them and kills more.
"""

import asyncio
import os
import random
import signal
from decimal import Decimal
from pathlib import Path

import pytest

from tests.api.people import soon
from tests.chat.chaos import Reader, crew, every_token_was_billed_once, said_bytes, words
from tests.chat.conftest import Rows
from tests.chat.talking import ask, hear, new_chat
from tests.running import Api, running, running_web

ANSWERS = int(os.environ.get("PENNY_CHAOS", "16"))
KILLS = max(4, ANSWERS // 4)
CANCELLATIONS = max(1, ANSWERS // 16)
CANCEL = "mutation ($id: ID!) { runCancel(input: {runId: $id}) { run { id status } alreadyFinished errors { message code } } }"
COST = "query ($id: ID!) { node(id: $id) { ... on Run { usage { cost { amount currency } } } } }"
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
async def test_processes_that_are_killed_at_random_lose_and_double_nothing(lonely: dict[str, str], lonely_rows: Rows) -> None:
    chance = random.Random(os.environ.get("PENNY_CHAOS_SEED", "11"))
    async with crew(lonely | FAST, lonely_rows, workers=2, webs=2) as made, Api(made.urls[0]) as api:
        ada = await api.sign_up()
        counts = [chance.randint(20, 120) for _ in range(ANSWERS)]
        runs = [await ask(ada, await new_chat(ada), f"!script tokens={count} delay_ms={chance.choice([5, 20, 50])}") for count in counts]
        readers = [Reader(made.urls, ada.token, run_id, random.Random(run_id)) for run_id in runs]
        reading = [asyncio.create_task(reader.read()) for reader in readers]
        for kill in range(KILLS):
            await asyncio.sleep(chance.uniform(0.2, 0.8))
            victims = made.webs if kill % 3 == 2 else made.workers
            chance.choice(victims).kill()
        await asyncio.gather(*reading)
        for count, run_id, reader in zip(counts, runs, readers, strict=True):
            assert reader.end is not None
            assert (reader.end["status"], reader.text) == ("COMPLETED", words(count))
            assert reader.saved == reader.text
            assert await said_bytes(lonely_rows, run_id) == len(reader.text.encode())
        await every_token_was_billed_once(lonely_rows)
    assert sum(process.deaths for process in (*made.workers, *made.webs)) >= KILLS


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
