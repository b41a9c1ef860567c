"""Every call of a model is kept once, whoever asked: answers, titles and summaries, with all that a bill needs to know."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from chat.asides import Aside, Asides, Way
from chat.routes import Kind
from db.statements import jobs
from events.jobs import JobRun, JobWasTaken
from events.valkey import open_valkey
from inference.catalogue import id_of
from inference.models import ModelMessage, ModelRequest
from settings import Settings
from tests.api.people import done, me, soon
from tests.chat.chaos import every_token_was_billed_once
from tests.chat.conftest import Rows
from tests.chat.talking import ask, hear, new_chat, say
from tests.chat.test_compactions import summarised
from tests.chat.test_titles import title_of
from tests.events.test_jobs import JOB_LEASE
from tests.inference.fault_server import WELL, WORDS, Fault, FaultServer
from tests.inference.speeches import USED
from tests.running import Api, running, running_web
from web.works import Process

USAGE = (
    "usage { inputTokens outputTokens cacheReadTokens cacheWriteTokens reasoningTokens estimated cost { amount currency } priceVersions }"
)
CHAT = f"query ($id: ID!) {{ node(id: $id) {{ ... on Chat {{ {USAGE} }} }} }}"
STATS = "{ models(first: 100) { nodes { key deployments { stats { requests errorRate costPerMTokOut } } } } }"
LOST, STOPPED = "The worker that asked was lost.", "It was stopped."
PATIENCE = 40  # seconds: processes start slowly where many do
HANGS = Fault(hang_at=2)
SAID = "SELECT 1 FROM penny.run_steps WHERE text_bytes > 0"


@pytest.fixture
async def endpoint() -> AsyncIterator[FaultServer]:
    async with FaultServer() as server:
        yield server


@pytest.fixture
def metered(lonely: dict[str, str], endpoint: FaultServer, tmp_path: Path) -> dict[str, str]:
    """The `PENNY_…` variables of a house where chats get titles, and a model costs 2 and 20 dollars for a million tokens."""
    file = tmp_path / "models.toml"
    file.write_text('[[prices]]\nmodel = "platform/m"\nprices = [{ from = 2026-01-01, input = "2", output = "20" }]\n')
    return lonely | {
        "PENNY_CHAT_TITLES": "true", "PENNY_JOB_SWEEP_SECONDS": "0.05", "PENNY_JOB_LEASE_SECONDS": "0.6", "PENNY_JOB_BEAT_SECONDS": "0.1",
        "PENNY_CONTEXT_KEEP_MESSAGES": "0", "PENNY_MODEL_PROVIDER": "openai", "PENNY_MODEL_BASE_URL": endpoint.base_url,
        "PENNY_MODEL_NAME": "m", "PENNY_MODELS_FILE": str(file), "PENNY_MODEL_PRIVATE_ENDPOINTS": endpoint.base_url,
    }  # fmt: skip


async def attempts_of(rows: Rows, kind: str) -> list[Any]:
    return await rows(f"SELECT * FROM penny.attempts WHERE kind = '{kind}' ORDER BY work_id, number")


async def some(rows: Rows, statement: str) -> list[Any]:
    """What a statement finds, once there is any."""
    if not (found := await rows(statement)):
        raise LookupError("there is none yet")
    return found


async def job_when(rows: Rows, *statuses: str) -> Any:
    async def look() -> Any:
        (job,) = await rows("SELECT * FROM penny.jobs WHERE kind = 'chat_title'") or [None]
        if job is None or job["status"] not in statuses:
            raise LookupError("the job is not there yet")
        return job

    return await soon(look, seconds=PATIENCE)


def cost_of(row: Any) -> Decimal:
    read: int = row["input_tokens"] + row["cache_read_tokens"] + row["cache_write_tokens"]
    written: int = row["output_tokens"] + row["reasoning_tokens"]
    return Decimal(2 * read + 20 * written) / 1_000_000


async def talked(api: Api) -> str:
    chat_id = await new_chat(api)
    assert (await hear(api, await ask(api, chat_id, "Where do swallows spend the winter?"))).end["status"] == "COMPLETED"
    return chat_id


async def test_titles_and_summaries_are_kept_and_counted_as_answers_are(
    metered: dict[str, str], endpoint: FaultServer, lonely_rows: Rows
) -> None:
    endpoint.plan("m", WELL, Fault(status=503), WELL)
    async with running_web(metered) as (url, _), Api(url) as api, running(metered, "worker"):
        ada = await api.sign_up()
        chat_id = await talked(ada)
        await job_when(lonely_rows, "SUCCEEDED")
        await title_of(ada, chat_id)
        await done(ada, "contextCompact", chatId=chat_id)
        await summarised(ada, chat_id)
        kept = await lonely_rows("SELECT * FROM penny.attempts ORDER BY started_at")
        used = (await ada.data(CHAT, id=chat_id))["node"]["usage"]
        (measured,) = [node["deployments"] for node in (await ada.data(STATS))["models"]["nodes"] if node["key"] == "platform/m"]
        viewer = (await me(ada))["viewer"]["user"]["id"]
        await done(ada, "chatDelete", "deletedId", chatId=chat_id)
    assert [(row["kind"], row["failure"], row["number"]) for row in kept] == [
        ("ANSWER", None, 1), ("TITLE", "SERVER_ERROR", 1), ("TITLE", None, 2), ("SUMMARY", None, 1)
    ]  # fmt: skip
    assert endpoint.count("m") == len(kept)
    for row in kept:
        assert (row["chat_id"].hex, row["created_by"].hex) == (chat_id.removeprefix("chat_"), viewer.removeprefix("usr_"))
        assert (row["model"], row["credential_owner"], row["currency"]) == ("platform/m", "PLATFORM", "USD")
        assert row["ended_at"] is not None
        assert row["price_version"]
        assert row["cost"] == cost_of(row)
        tokens = (row["input_tokens"], row["output_tokens"], row["cache_read_tokens"], row["reasoning_tokens"])
        whole = (USED.input_tokens, USED.output_tokens, USED.cache_read_tokens, USED.reasoning_tokens)
        assert tokens == (whole if row["failure"] is None else (0, 0, 0, 0))
    assert (used["inputTokens"], used["outputTokens"], used["cacheReadTokens"]) == (3 * 70, 3 * 15, 3 * 30)
    assert (used["reasoningTokens"], used["cacheWriteTokens"], used["estimated"]) == (3 * 5, 0, False)
    assert (Decimal(used["cost"]["amount"]), used["cost"]["currency"]) == (sum(row["cost"] for row in kept), "USD")
    assert used["priceVersions"] == [kept[0]["price_version"]]
    assert (measured[0]["stats"]["requests"], measured[0]["stats"]["errorRate"]) == (4, 0.25)
    assert await lonely_rows("SELECT * FROM penny.attempts ORDER BY started_at") == kept  # though the chat is gone


async def test_a_chat_in_which_nothing_was_used_says_so(api: Api) -> None:
    ada = await api.sign_up()
    used = (await ada.data(CHAT, id=await new_chat(ada)))["node"]["usage"]
    assert (used["inputTokens"], used["outputTokens"], used["estimated"], used["cost"], used["priceVersions"]) == (0, 0, False, None, [])


async def test_a_title_whose_worker_was_lost_is_asked_for_again_and_both_calls_count_once(
    metered: dict[str, str], endpoint: FaultServer, lonely_rows: Rows
) -> None:
    endpoint.plan("m", WELL, HANGS, WELL)
    async with running_web(metered) as (url, _), Api(url) as api:
        ada = await api.sign_up()
        async with running(metered, "worker") as worker:
            chat_id = await talked(ada)
            for _ in range(2):
                await endpoint.arrival("m")
            worker.kill()
            await worker.wait()
        (open_one,) = await attempts_of(lonely_rows, "TITLE")
        assert (open_one["ended_at"], open_one["cost"]) == (None, None)
        async with running(metered, "worker"):
            await job_when(lonely_rows, "SUCCEEDED")
            await title_of(ada, chat_id)
    lost, last = await attempts_of(lonely_rows, "TITLE")
    assert endpoint.count("m") == 3
    assert (lost["number"], lost["message"], lost["usage_estimated"], lost["step"]) == (1, LOST, True, 1)
    assert (last["number"], last["message"], last["usage_estimated"], last["step"]) == (2, None, False, 2)
    assert lost["input_tokens"] > 0
    assert (lost["cost"], last["cost"]) == (cost_of(lost), cost_of(last))


async def test_a_title_that_is_cancelled_counts_with_what_was_said(
    metered: dict[str, str], endpoint: FaultServer, lonely_rows: Rows
) -> None:
    endpoint.plan("m", WELL, HANGS)
    async with running_web(metered) as (url, _), Api(url) as api, running(metered, "worker"):
        ada = await api.sign_up()
        await talked(ada)
        job = await job_when(lonely_rows, "RUNNING")

        async def heard() -> None:
            if not await attempts_of(lonely_rows, "TITLE"):
                raise LookupError("no attempt is written yet")

        await soon(heard, seconds=PATIENCE)
        await done(ada, "jobCancel", "job { status }", jobId=f"job_{job['id'].hex}")
        await job_when(lonely_rows, "CANCELLED")
    (only,) = await attempts_of(lonely_rows, "TITLE")
    assert (only["message"], only["usage_estimated"], only["cost"]) == (STOPPED, True, cost_of(only))


async def test_what_a_lost_worker_left_open_is_closed_where_the_job_was_cancelled_meanwhile(
    metered: dict[str, str], endpoint: FaultServer, lonely_rows: Rows
) -> None:
    endpoint.plan("m", WELL, HANGS)
    async with running_web(metered) as (url, _), Api(url) as api:
        ada = await api.sign_up()
        async with running(metered, "worker") as worker:
            await talked(ada)
            for _ in range(2):
                await endpoint.arrival("m")
            worker.kill()
            await worker.wait()
        job = await job_when(lonely_rows, "RUNNING")
        await done(ada, "jobCancel", "job { status }", jobId=f"job_{job['id'].hex}")
        async with running(metered, "worker"):
            await job_when(lonely_rows, "CANCELLED")
    (only,) = await attempts_of(lonely_rows, "TITLE")
    assert (endpoint.count("m"), only["message"], only["cost"]) == (2, LOST, cost_of(only))


async def test_a_worker_that_stops_hands_its_title_over_with_what_it_used(
    metered: dict[str, str], endpoint: FaultServer, lonely_rows: Rows
) -> None:
    endpoint.plan("m", WELL, HANGS, WELL)
    async with running_web(metered) as (url, _), Api(url) as api:
        ada = await api.sign_up()
        async with running(metered, "worker") as worker:
            chat_id = await talked(ada)
            for _ in range(2):
                await endpoint.arrival("m")
            worker.terminate()
            assert await asyncio.wait_for(worker.wait(), 15) == 0
        (stopped,) = await attempts_of(lonely_rows, "TITLE")
        assert (await job_when(lonely_rows, "QUEUED"))["attempt"] == 0
        async with running(metered, "worker"):
            await job_when(lonely_rows, "SUCCEEDED")
            await title_of(ada, chat_id)
    assert (stopped["message"], stopped["cost"]) == (STOPPED, cost_of(stopped))
    first, last = await attempts_of(lonely_rows, "TITLE")
    assert (first, last["number"], last["message"]) == (stopped, 2, None)


async def test_a_worker_that_lost_its_job_asks_nobody_and_writes_nothing(process: Process, api: Api) -> None:
    ada = await api.sign_up()
    assert ada.token is not None
    viewer, works = await process.works.sessions.viewer_of(ada.token), process.works
    async with works.scopes.writing(viewer.tenant_id) as scope:
        job = await works.jobs.add(scope, viewer.tenant_id, f"test {uuid4().hex}", {}, created_by=viewer.user_id)
        claimed = await jobs.claim(scope, viewer.tenant_id, job["id"], worker="lost", lease=-JOB_LEASE)
    async with works.scopes.writing(viewer.tenant_id) as scope:
        assert await jobs.claim(scope, viewer.tenant_id, job["id"], worker="other", lease=JOB_LEASE) is not None
    assert claimed is not None
    asides = Asides(models=works.models, router=works.router, scopes=works.scopes)
    request = ModelRequest(messages=(ModelMessage("user", "Hello?"),), max_output_tokens=9)
    with pytest.raises(JobWasTaken):
        await asides.ask(JobRun(claimed, works.scopes, JOB_LEASE), Aside(Kind.TITLE, uuid4(), Way()), request)
    async with works.scopes.reading(viewer.tenant_id) as scope:
        assert await scope.rows("SELECT * FROM penny.attempts WHERE tenant_id = $1", viewer.tenant_id) == []


async def test_a_run_that_nobody_can_read_any_more_says_what_it_used_and_cost(
    metered: dict[str, str], endpoint: FaultServer, lonely_rows: Rows
) -> None:
    endpoint.plan("m", Fault(hang_at=3))
    slow = metered | {"PENNY_RUN_LEASE_SECONDS": "0.6"}
    async with running_web(slow) as (url, _), Api(url) as api:
        ada = await api.sign_up()
        async with running(slow, "worker") as worker:
            run_id = (await say(ada, await new_chat(ada), "Where do swallows spend the winter?"))["runs"][0]["id"]

            await soon(partial(some, lonely_rows, SAID), seconds=PATIENCE)
            worker.kill()
            await worker.wait()
        await lonely_rows("UPDATE penny.messages SET content = '\\x00' WHERE role = 'USER'")
        async with running(slow, "worker"):
            assert (await hear(ada, run_id)).end["status"] == "FAILED"
    (attempt,) = await attempts_of(lonely_rows, "ANSWER")
    (run,) = await lonely_rows(f"SELECT * FROM penny.runs WHERE id = '{UUID(run_id.removeprefix('run_'))}'")
    assert (attempt["message"], attempt["usage_estimated"], attempt["cost"]) == (LOST, True, cost_of(attempt))
    assert min(attempt["input_tokens"], attempt["output_tokens"]) > 0
    assert (run["input_tokens"], run["output_tokens"]) == (attempt["input_tokens"], attempt["output_tokens"])
    # What was saved of the answer can be read, and so it is found.
    answer = "SELECT t.terms FROM penny.message_terms t JOIN penny.messages m ON m.id = t.message_id WHERE m.role = 'ASSISTANT'"
    assert [len(row["terms"]) > 0 for row in await lonely_rows(answer)] == [True]


@pytest.mark.parametrize("is_gone", [False, True])
async def test_a_call_that_only_the_log_knows_of_is_kept_all_the_same(
    metered: dict[str, str], endpoint: FaultServer, lonely_rows: Rows, tmp_path: Path, *, is_gone: bool
) -> None:
    """A worker is lost before it has written to PostgreSQL whom it asked: the one after it does, though nobody can be asked there now."""
    endpoint.plan("m", Fault(hang_at=3))
    seldom = metered | {"PENNY_RUN_SAVE_MS": "60000", "PENNY_RUN_LEASE_SECONDS": "4"}
    place = f'[[deployments]]\nkey = "there"\nmodel = "platform/m"\nbase_url = "{endpoint.base_url}"\norder = -1\n'
    (tmp_path / "more.toml").write_text((tmp_path / "models.toml").read_text() + place)
    before = seldom | ({"PENNY_MODELS_FILE": str(tmp_path / "more.toml")} if is_gone else {})
    async with running_web(seldom) as (url, _), Api(url) as api:
        ada = await api.sign_up()
        async with running(before, "worker") as worker:
            run_id = await ask(ada, await new_chat(ada), "Where do swallows spend the winter?")
            await hear(ada, run_id, until=4)
            worker.kill()
            await worker.wait()
        assert await attempts_of(lonely_rows, "ANSWER") == []
        async with running(seldom, "worker"):
            assert (await hear(ada, run_id)).end["status"] == "INCOMPLETE"  # this model does not go on with what was said
    (only,) = await attempts_of(lonely_rows, "ANSWER")
    assert (only["number"], only["message"], only["model"], only["wire"]) == (1, LOST, "platform/m", "openai")
    assert only["deployment_id"] == id_of("deployment", "there" if is_gone else "settings")
    assert only["cost"] == (None if is_gone else cost_of(only))  # what it costs there nobody knows any more
    assert min(only["input_tokens"], only["output_tokens"]) > 0
    await every_token_was_billed_once(lonely_rows)


async def test_a_call_that_only_the_database_knows_of_counts_with_its_question(
    metered: dict[str, str], endpoint: FaultServer, lonely_rows: Rows
) -> None:
    """A worker is lost while its model still thinks, and the log with it: that somebody was asked stays known."""
    endpoint.plan("m", Fault(hang_before_headers=True), WELL)
    short = metered | {"PENNY_RUN_LEASE_SECONDS": "0.6"}
    async with running_web(short) as (url, _), Api(url) as api:
        ada = await api.sign_up()
        async with running(short, "worker") as worker:
            run_id = await ask(ada, await new_chat(ada), "Where do swallows spend the winter?")
            (written,) = await soon(partial(some, lonely_rows, "SELECT * FROM penny.attempts"), seconds=PATIENCE)
            worker.kill()
            await worker.wait()
        valkey = open_valkey(Settings.from_environment(metered))
        async for key in valkey.scan_iter(match=f"{metered['PENNY_VALKEY_PREFIX']}:*:run:*"):
            await valkey.delete(key)
        await valkey.aclose()
        async with running(short, "worker"):
            assert (await hear(ada, run_id)).end["status"] == "COMPLETED"
    lost, last = await attempts_of(lonely_rows, "ANSWER")
    assert (lost["message"], lost["input_tokens"], lost["cost"]) == (LOST, written["input_tokens"], cost_of(lost))
    assert (lost["cost"] > 0, last["message"]) == (True, None)
    await every_token_was_billed_once(lonely_rows)


async def test_what_answers_used_stays_known_when_their_chat_is_deleted_in_their_course(
    metered: dict[str, str], endpoint: FaultServer, lonely_rows: Rows
) -> None:
    endpoint.plan("m", Fault(hang_at=3))
    leased = metered | {"PENNY_RUN_LEASE_SECONDS": "3"}

    async def begun(ada: Api) -> str:
        chat_id = await new_chat(ada)
        await hear(ada, await ask(ada, chat_id, "Where do swallows spend the winter?"), until=4)
        return chat_id

    async def accounted() -> Any:
        found = await attempts_of(lonely_rows, "ANSWER")
        if not found or any(row["ended_at"] is None for row in found):
            raise LookupError("an attempt is open")
        return found

    async with running_web(leased) as (url, _), Api(url) as api:
        ada = await api.sign_up()
        async with running(leased, "worker") as worker:
            await done(ada, "chatDelete", "deletedId", chatId=await begun(ada))
            (stopped,) = await soon(accounted, seconds=PATIENCE)
            chat_id = await begun(ada)
            await soon(partial(some, lonely_rows, SAID), seconds=PATIENCE)
            worker.kill()
            await worker.wait()
        await done(ada, "chatDelete", "deletedId", chatId=chat_id)  # while its lease goes on
        assert (await attempts_of(lonely_rows, "ANSWER"))[1]["ended_at"] is None
        async with running(leased, "worker"):
            first, second = await soon(accounted, seconds=PATIENCE)
    assert (first, first["message"], second["message"]) == (stopped, STOPPED, LOST)
    for row in (first, second):
        assert (row["usage_estimated"], row["cost"]) == (True, cost_of(row))
        assert min(row["input_tokens"], row["output_tokens"]) > 0


async def test_a_worker_that_stops_writes_what_it_used_for_a_chat_that_is_gone(
    metered: dict[str, str], endpoint: FaultServer, lonely_rows: Rows
) -> None:
    endpoint.plan("m", Fault(hang_at=3))
    stopping = metered | {"PENNY_RUN_LEASE_SECONDS": "500", "PENNY_RUN_STOP_SECONDS": "0.1"}
    async with running_web(stopping) as (url, _), Api(url) as api, running(stopping, "worker") as worker:
        ada = await api.sign_up()
        await ask(ada, await new_chat(ada), "Where do swallows spend the winter?")
        all_said = f"SELECT 1 FROM penny.run_steps WHERE text_bytes = {len(''.join(WORDS[:3]))}"
        await soon(partial(some, lonely_rows, all_said), seconds=PATIENCE)
        await lonely_rows("DELETE FROM penny.chats")  # of which the worker is not told
        worker.terminate()
        assert await asyncio.wait_for(worker.wait(), 15) == 0
    (only,) = await attempts_of(lonely_rows, "ANSWER")
    assert (only["message"], only["cost"]) == (STOPPED, cost_of(only))
    assert min(only["input_tokens"], only["output_tokens"]) > 0
