"""What goes wrong at the worst of moments: an end whose commit nobody was told of, a summary of what is just being redacted."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from auth.viewers import Viewer
from chat.acts import Act, Acts
from chat.asides import Aside
from chat.compactions import KIND, Compactions, Summaries
from chat.events import RunFinished
from chat.outcomes import ModelFailed
from chat.redactions import Redactions
from chat.workers import Worker
from db.scopes import Reading, TenantScopes, Writing
from db.statements import jobs, runs
from errors import Unavailable
from events.jobs import JobRun, JobWasTaken
from events.labour import Labour
from inference.models import FailureKind, ModelMessage, ModelRequest, ProviderFailed
from resolvers.operations import Works
from settings import Settings
from tests.api.people import done, soon
from tests.chat.conftest import Rows
from tests.chat.talking import ask, hear, new_chat
from tests.chat.test_compactions import chat_of, conversation
from tests.events.test_jobs import JOB_LEASE
from tests.running import Api, running, running_web
from web.works import Process, open_works


class Forgetful(TenantScopes):
    """Scopes whose connection breaks once: after a commit that ended a run, before anybody is told."""

    def __init__(self, whole: TenantScopes) -> None:
        self._whole = whole
        self.forgot = 0

    def reading(self, tenant_id: UUID) -> contextlib.AbstractAsyncContextManager[Reading]:
        return self._whole.reading(tenant_id)

    @contextlib.asynccontextmanager
    async def writing(self, tenant_id: UUID) -> AsyncIterator[Writing]:
        async with self._whole.writing(tenant_id) as scope:
            yield scope
            ended = await scope.value("SELECT count(*) FROM penny.runs WHERE tenant_id = $1 AND finished_at IS NOT NULL", tenant_id)
        if ended and not self.forgot:
            self.forgot += 1
            raise Unavailable("The connection broke.")


class Slow(Acts):
    """Acts that wait with their commit."""

    def __init__(self, whole: Acts) -> None:
        self._whole = whole
        self.is_done = asyncio.Event()
        self.may_commit = asyncio.Event()

    @contextlib.asynccontextmanager
    async def begun(self, viewer: Viewer) -> AsyncIterator[Act]:
        async with self._whole.begun(viewer) as act:
            yield act
            self.is_done.set()
            await self.may_commit.wait()


class Interrupted(TenantScopes):
    """Scopes in which something happens between what is read and what is then written."""

    def __init__(self, whole: TenantScopes, meanwhile: Callable[[], Awaitable[None]]) -> None:
        self._whole = whole
        self._meanwhile = meanwhile

    def reading(self, tenant_id: UUID) -> contextlib.AbstractAsyncContextManager[Reading]:
        return self._whole.reading(tenant_id)

    @contextlib.asynccontextmanager
    async def writing(self, tenant_id: UUID) -> AsyncIterator[Writing]:
        await self._meanwhile()
        async with self._whole.writing(tenant_id) as scope:
            yield scope


@contextlib.asynccontextmanager
async def at_work(process: Process, settings: Settings, scopes: TenantScopes) -> AsyncIterator[None]:
    """A worker in this process."""
    works, stop = process.works, asyncio.Event()
    worker = Worker(
        name=uuid4().hex, scopes=scopes, system=process.system, keyring=works.keyring, logs=works.logs, queue=process.queue,
        blocking=process.blocking, router=works.router, models=works.models, compactions=works.compactions, settings=settings,
    )  # fmt: skip
    working = asyncio.create_task(worker.work(stop))
    try:
        yield
    finally:
        stop.set()
        await working


async def test_an_end_that_was_committed_without_being_told_is_told_by_whoever_made_it(lonely: dict[str, str], lonely_rows: Rows) -> None:
    settings = Settings.from_environment(lonely)
    async with running_web(lonely) as (url, _), Api(url) as api, open_works(settings, application="penny tests") as process:
        ada = await api.sign_up()
        assert ada.token is not None
        viewer = await process.works.sessions.viewer_of(ada.token)
        scopes = Forgetful(process.works.scopes)
        async with at_work(process, settings, scopes):
            run_id = await ask(ada, await new_chat(ada), "!script tokens=5")
            heard = await hear(ada, run_id)
        told = await process.works.logs.written(
            await process.works.keyring.cipher(viewer.tenant_id), UUID(run_id.removeprefix("run_"))
        )  # fmt: skip
    assert scopes.forgot == 1
    assert heard.end["status"] == "COMPLETED"
    assert "RunSnapshot" not in heard.types
    assert isinstance(told[-1].event, RunFinished)
    assert heard.seqs == [one.event.seq for one in told]
    (run,) = await lonely_rows("SELECT epoch, last_seq FROM penny.runs")
    assert (run["epoch"], run["last_seq"]) == (1, heard.seqs[-1])


@pytest.fixture
async def compacting(lonely: dict[str, str]) -> AsyncIterator[tuple[Api, Process, Settings]]:
    """A person with a web process, and works without a worker; whoever talks needs one."""
    lonely |= {"PENNY_CONTEXT_KEEP_MESSAGES": "2", "PENNY_JOB_SWEEP_SECONDS": "600"}  # jobs are left to the test
    settings = Settings.from_environment(lonely)
    async with (
        running_web(lonely) as (url, _), Api(url) as api, running(lonely, "worker"),
        open_works(settings, application="penny tests") as process,
    ):  # fmt: skip
        yield await api.sign_up(), process, settings


async def claimed_summary(works: Works, viewer: Viewer, rows: Rows, *, lease: timedelta) -> JobRun:
    """Be the worker that has taken the one summary that is to be written."""
    (row,) = await rows(f"SELECT id FROM penny.jobs WHERE kind = '{KIND}'")
    async with works.scopes.writing(viewer.tenant_id) as scope:
        claimed = await jobs.claim(scope, viewer.tenant_id, row["id"], worker="lost", lease=lease)
    assert claimed is not None
    return JobRun(claimed, works.scopes, lease)


async def test_a_summary_of_what_is_being_redacted_is_not_written_over_the_redaction(
    compacting: tuple[Api, Process, Settings], lonely_rows: Rows
) -> None:
    ada, process, settings = compacting
    assert ada.token is not None
    works, viewer = process.works, await process.works.sessions.viewer_of(ada.token)
    chat_id = await conversation(ada)
    first = (await chat_of(ada, chat_id))["messages"]["nodes"][0]["id"]
    summary = (await done(ada, "contextCompact", "message { id }", chatId=chat_id))["message"]["id"]
    slow = Slow(Acts(scopes=works.scopes, keyring=works.keyring, settings=settings))
    redacting: list[asyncio.Task[object]] = []

    async def say(job: JobRun, aside: Aside, request: ModelRequest) -> str:
        """Let the redaction come as far as its commit, while the model speaks."""
        redactions = Redactions(acts=slow, logs=works.logs)
        redacting.append(asyncio.create_task(redactions.redact(viewer, UUID(first.removeprefix("msg_")))))
        await slow.is_done.wait()
        return "Swallows go south."

    async def somebody_waits() -> None:
        waiting = await lonely_rows("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
        if not waiting:
            raise LookupError("nobody waits for a lock")

    job = await claimed_summary(works, viewer, lonely_rows, lease=JOB_LEASE)
    summaries = Summaries(scopes=works.scopes, keyring=works.keyring, ask=say, settings=settings)
    writing = asyncio.create_task(summaries.write(job))
    await soon(somebody_waits, seconds=40)
    slow.may_commit.set()
    await asyncio.gather(writing, *redacting)
    last = (await chat_of(ada, chat_id))["messages"]["nodes"][-1]
    assert (last["id"], last["status"], last["parts"]) == (summary, "REDACTED", [{"__typename": "NoticePart", "kind": "redacted"}])


@pytest.mark.parametrize("lost_before", ["the notice", "the end"])
async def test_a_summary_that_failed_is_asked_for_once_though_its_worker_is_lost(
    compacting: tuple[Api, Process, Settings], lonely_rows: Rows, lost_before: str
) -> None:
    """The worker is lost before the chat has a notice, or after that and before the job's end."""
    ada, process, settings = compacting
    assert ada.token is not None
    works, viewer = process.works, await process.works.sessions.viewer_of(ada.token)
    chat_id = await conversation(ada)
    await done(ada, "contextCompact", "message { id }", chatId=chat_id)
    asked: list[UUID] = []

    async def refuse(job: JobRun, aside: Aside, request: ModelRequest) -> str:
        asked.append(job.id)
        raise ProviderFailed(FailureKind.BUDGET)

    async def die(*_: object) -> None:
        raise JobWasTaken

    summaries, lost = (Summaries(scopes=works.scopes, keyring=works.keyring, ask=refuse, settings=settings) for _ in range(2))
    if lost_before == "the notice":
        lost._keep = die  # type: ignore[method-assign, assignment] # its worker ends here
    job = await claimed_summary(works, viewer, lonely_rows, lease=timedelta(0))
    with pytest.raises((JobWasTaken, ModelFailed)):
        await lost.write(job)
    labour = Labour(name="test", scopes=works.scopes, system=process.system, functions={KIND: summaries.write}, settings=settings)
    await labour._attempt(viewer.tenant_id, job.id)
    (ended,) = await lonely_rows("SELECT status, error_code, attempt FROM penny.jobs")
    assert (ended["status"], ended["error_code"], ended["attempt"], len(asked)) == ("FAILED", "PROVIDER_CREDIT_SPENT", 2, 1)
    last = (await chat_of(ada, chat_id))["messages"]["nodes"][-1]
    assert (last["status"], last["parts"]) == ("FAILED", [{"__typename": "NoticePart", "kind": "not_compacted"}])


async def test_a_summary_that_was_written_is_asked_for_once_though_its_worker_is_lost(
    compacting: tuple[Api, Process, Settings], lonely_rows: Rows
) -> None:
    ada, process, settings = compacting
    assert ada.token is not None
    works, viewer = process.works, await process.works.sessions.viewer_of(ada.token)
    chat_id = await conversation(ada)
    await done(ada, "contextCompact", "message { id }", chatId=chat_id)
    asked: list[UUID] = []

    async def say(job: JobRun, aside: Aside, request: ModelRequest) -> str:
        asked.append(job.id)
        return "Swallows go south."

    summaries = Summaries(scopes=works.scopes, keyring=works.keyring, ask=say, settings=settings)
    job = await claimed_summary(works, viewer, lonely_rows, lease=timedelta(0))
    await summaries.write(job)
    labour = Labour(name="test", scopes=works.scopes, system=process.system, functions={KIND: summaries.write}, settings=settings)
    await labour._attempt(viewer.tenant_id, job.id)
    (ended,) = await lonely_rows("SELECT status FROM penny.jobs")
    assert (ended["status"], len(asked)) == ("SUCCEEDED", 1)
    assert (await chat_of(ada, chat_id))["messages"]["nodes"][-1]["status"] == "COMPLETE"


async def test_a_summary_that_ends_while_another_is_considered_is_not_followed_by_it(compacting: tuple[Api, Process, Settings]) -> None:
    ada, process, settings = compacting
    assert ada.token is not None
    works, viewer = process.works, await process.works.sessions.viewer_of(ada.token)
    chat_id = await conversation(ada)
    await done(ada, "contextCompact", "message { id }", chatId=chat_id)
    run_id = await ask(ada, chat_id, "And now?")
    await hear(ada, run_id)

    async def short(job: JobRun, aside: Aside, request: ModelRequest) -> str:
        return "Swallows go south."

    async def end_the_summary() -> None:
        async with works.scopes.reading(viewer.tenant_id) as scope:
            (row,) = await scope.rows("SELECT id FROM penny.jobs WHERE tenant_id = $1 AND kind = $2", viewer.tenant_id, KIND)
        summaries = Summaries(scopes=works.scopes, keyring=works.keyring, ask=short, settings=settings)
        labour = Labour(
            name="test", scopes=works.scopes, system=process.system, functions={KIND: summaries.write}, settings=settings
        )  # fmt: skip
        await labour._attempt(viewer.tenant_id, row["id"])

    async with works.scopes.reading(viewer.tenant_id) as scope:
        run = await runs.by_id(scope, viewer.tenant_id, UUID(run_id.removeprefix("run_")))
    assert run is not None
    acts = Acts(scopes=works.scopes, keyring=works.keyring, settings=settings)
    compactions = Compactions(
        acts=acts, scopes=Interrupted(works.scopes, end_the_summary), keyring=works.keyring, models=works.models, jobs=works.jobs,
        settings=settings,
    )  # fmt: skip
    # Long with all four questions, and short with the summary of three of them.
    request = ModelRequest(messages=(ModelMessage("user", "much " * 80),), max_output_tokens=1)
    await compactions.consider(run, request, 120 * 100 // settings.context_compact_percent)
    messages = (await chat_of(ada, chat_id))["messages"]["nodes"]
    assert [message["status"] for message in messages if message["role"] == "SUMMARY"] == ["COMPLETE"]
