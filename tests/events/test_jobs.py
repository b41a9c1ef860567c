"""Jobs are done once where all goes well, again where a worker is lost, and end as they should."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from db.scopes import Row, SystemScopes, TenantScopes
from db.statements import jobs
from errors import Conflict, Unavailable
from events.jobs import Function, JobRun, Jobs, JobWasTaken
from events.labour import Labour
from events.pruning import Pruning
from settings import Settings
from tests.events.tenants import new_tenant
from web.works import Process

PATIENCE = 20.0
JOB_LEASE = timedelta(seconds=0.2)


class Count(msgspec.Struct):
    """What the jobs of these tests are given."""

    upto: int


class Place(msgspec.Struct):
    """How far one got."""

    done: int


@pytest.fixture
def quick(settings: Settings) -> Settings:
    return replace(settings, job_sweep_seconds=0.05, job_beat_seconds=0.05, job_lease_seconds=0.6, job_retry_seconds=0.05, job_attempts=3)


@pytest.fixture
async def tenant_id(process: Process) -> UUID:
    return await new_tenant(process)


@contextlib.asynccontextmanager
async def working(scopes: TenantScopes, system: SystemScopes, settings: Settings, functions: Mapping[str, Function]) -> AsyncIterator[None]:
    """A worker's labour, as long as the block lasts."""
    labour = Labour(name=uuid4().hex, scopes=scopes, system=system, functions=functions, settings=settings)
    task = asyncio.create_task(labour.work())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def add(scopes: TenantScopes, tenant_id: UUID, kind: str, *, upto: int = 3, key: str | None = None) -> Row:
    async with scopes.writing(tenant_id) as scope:
        return await Jobs(scopes).add(scope, tenant_id, kind, Count(upto), created_by=None, key=key)


async def job_when(scopes: TenantScopes, job: Row, holds: Callable[[Row], bool]) -> Row:
    """Wait until something is true of a job."""
    async with asyncio.timeout(PATIENCE):
        while True:
            async with scopes.reading(job["tenant_id"]) as scope:
                row = await jobs.by_id(scope, job["tenant_id"], job["id"])
            assert row is not None
            if holds(row):
                return row
            await asyncio.sleep(0.02)


def is_over(row: Row) -> bool:
    return row["finished_at"] is not None


def kind() -> str:
    """A kind that no other test's worker does."""
    return f"test {uuid4().hex}"


async def counted(run: JobRun) -> Any:
    upto = run.arguments(Count).upto
    for done in range(upto):
        await run.save(done / upto)
    return {"counted": upto}


async def test_a_job_is_done_and_says_what_came_of_it(scopes: TenantScopes, system: SystemScopes, quick: Settings, tenant_id: UUID) -> None:
    name = kind()
    job = await add(scopes, tenant_id, name)
    assert (job["status"], job["progress"]) == ("QUEUED", None)
    async with working(scopes, system, quick, {name: counted}):
        ended = await job_when(scopes, job, is_over)
    assert (ended["status"], ended["progress"], ended["attempt"]) == ("SUCCEEDED", 1.0, 1)
    assert msgspec.json.decode(ended["result"]) == {"counted": 3}


async def test_a_job_is_added_with_the_change_that_wants_it_or_not_at_all(scopes: TenantScopes, tenant_id: UUID) -> None:
    added: list[Row] = []

    async def change() -> None:
        async with scopes.writing(tenant_id) as scope:
            added.append(await Jobs(scopes).add(scope, tenant_id, kind(), Count(1), created_by=None))
            raise LookupError

    with pytest.raises(LookupError):
        await change()
    async with scopes.reading(tenant_id) as scope:
        assert await jobs.by_id(scope, tenant_id, added[0]["id"]) is None


async def test_of_jobs_with_one_key_one_is_open(scopes: TenantScopes, system: SystemScopes, quick: Settings, tenant_id: UUID) -> None:
    name = kind()
    found = await asyncio.gather(*(add(scopes, tenant_id, name, key="all") for _ in range(5)))
    assert len({job["id"] for job in found}) == 1
    async with working(scopes, system, quick, {name: counted}):
        await job_when(scopes, found[0], is_over)
    assert (await add(scopes, tenant_id, name, key="all"))["id"] != found[0]["id"]


async def test_many_workers_do_a_job_once(scopes: TenantScopes, system: SystemScopes, quick: Settings, tenant_id: UUID) -> None:
    name, begun = kind(), []

    async def noted(run: JobRun) -> None:
        begun.append(run.id)

    added = [await add(scopes, tenant_id, name) for _ in range(12)]
    async with contextlib.AsyncExitStack() as workers:
        for _ in range(3):
            await workers.enter_async_context(working(scopes, system, quick, {name: noted}))
        for job in added:
            await job_when(scopes, job, is_over)
    assert sorted(begun) == sorted(job["id"] for job in added)


async def test_a_job_goes_on_from_what_was_saved_when_its_worker_stops(
    scopes: TenantScopes, system: SystemScopes, quick: Settings, tenant_id: UUID
) -> None:
    name, places, halfway = kind(), [], asyncio.Event()

    async def slow(run: JobRun) -> None:
        began = run.state(Place) or Place(0)
        for done in range(began.done, 6):
            places.append(done)
            await run.save(done / 6, state=Place(done + 1))
            if done == 2 and not halfway.is_set():
                halfway.set()
                await asyncio.Event().wait()

    job = await add(scopes, tenant_id, name)
    async with working(scopes, system, quick, {name: slow}):
        await asyncio.wait_for(halfway.wait(), PATIENCE)
    waiting = await job_when(scopes, job, lambda row: bool(row["status"] == "QUEUED"))
    assert (waiting["attempt"], waiting["progress"]) == (0, pytest.approx(2 / 6))
    async with working(scopes, system, quick, {name: slow}):
        ended = await job_when(scopes, job, is_over)
    assert ended["status"] == "SUCCEEDED"
    assert places == [0, 1, 2, 3, 4, 5]


async def test_a_lost_worker_s_job_is_taken_over_and_the_lost_one_writes_nothing_more(
    scopes: TenantScopes, system: SystemScopes, quick: Settings, tenant_id: UUID
) -> None:
    name = kind()
    job = await add(scopes, tenant_id, name)
    async with scopes.writing(tenant_id) as scope:
        claimed = await jobs.claim(scope, tenant_id, job["id"], worker="lost", lease=JOB_LEASE)
    assert claimed is not None
    lost = JobRun(claimed, scopes, JOB_LEASE)
    async with working(scopes, system, quick, {name: counted}):
        ended = await job_when(scopes, job, is_over)
    assert (ended["status"], ended["attempt"]) == ("SUCCEEDED", 2)
    with pytest.raises(JobWasTaken):
        await lost.save(0.1)
    assert (await job_when(scopes, job, is_over))["progress"] == 1.0


@pytest.mark.parametrize(
    ("failure", "attempts", "error"),
    [
        (Conflict("It is too late."), 1, ("CONFLICT", "It is too late.")),
        (ValueError("secret"), 3, ("INTERNAL", "Something failed on our side.")),
        (Unavailable("The store is away."), 3, ("INTERNAL", "The job was begun too often without an end.")),
    ],
)
async def test_what_fails_is_tried_again_unless_that_is_no_use(
    scopes: TenantScopes, system: SystemScopes, quick: Settings, tenant_id: UUID,
    failure: Exception, attempts: int, error: tuple[str, str],
) -> None:  # fmt: skip
    name, begun = kind(), []

    async def fails(run: JobRun) -> None:
        begun.append(run.attempt)
        raise failure

    job = await add(scopes, tenant_id, name)
    async with working(scopes, system, quick, {name: fails}):
        ended = await job_when(scopes, job, is_over)
    assert ended["status"] == "FAILED"
    assert (ended["error_code"], ended["error_message"]) == error
    assert begun == list(range(1, attempts + 1))


async def test_a_job_is_cancelled_while_it_waits_while_it_is_done_and_not_after(
    scopes: TenantScopes, system: SystemScopes, quick: Settings, tenant_id: UUID
) -> None:
    name, begun, stopped = kind(), asyncio.Event(), asyncio.Event()

    async def endless(_: JobRun) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    waiting, running = await add(scopes, tenant_id, kind()), await add(scopes, tenant_id, name)
    cancel = partial(Jobs(scopes).cancel, tenant_id)
    assert (await cancel(waiting["id"]))["status"] == "CANCELLED"
    async with working(scopes, system, quick, {name: endless}):
        await asyncio.wait_for(begun.wait(), PATIENCE)
        assert (await cancel(running["id"]))["status"] == "RUNNING"
        ended = await job_when(scopes, running, is_over)
        assert stopped.is_set()
    assert (ended["status"], ended["error_code"]) == ("CANCELLED", None)
    assert (await cancel(running["id"]))["finished_at"] == ended["finished_at"]


async def test_jobs_that_ended_long_ago_are_taken_away_and_no_others(
    scopes: TenantScopes, system: SystemScopes, quick: Settings, tenant_id: UUID
) -> None:
    name, kept = kind(), timedelta(hours=quick.job_keep_hours)
    waiting, ended = await add(scopes, tenant_id, kind()), await add(scopes, tenant_id, name)
    async with working(scopes, system, quick, {name: counted}):
        at = (await job_when(scopes, ended, is_over))["finished_at"]
    pruning = Pruning(system, quick)

    async def left() -> set[UUID]:
        async with scopes.reading(tenant_id) as scope:
            return {row["id"] for row in await jobs.by_ids(scope, tenant_id, [waiting["id"], ended["id"]])}

    await pruning.prune(at + kept)
    assert await left() == {waiting["id"], ended["id"]}
    assert await pruning.prune(datetime.now(UTC) + kept) >= 1
    assert await left() == {waiting["id"]}


async def test_a_job_that_was_begun_before_is_tidied_up_before_it_goes_on_or_ends(
    scopes: TenantScopes, system: SystemScopes, quick: Settings, tenant_id: UUID
) -> None:
    name, done = kind(), list[str]()

    async def recover(run: JobRun) -> None:
        done.append(f"recovered {run.attempt}")

    async def fails_once(run: JobRun) -> None:
        done.append(f"begun {run.attempt}")
        if run.attempt == 1:
            raise Unavailable("The store is away.")

    job = await add(scopes, tenant_id, name)
    labour = Labour(
        name="me", scopes=scopes, system=system, functions={name: fails_once}, settings=quick, recoveries={name: recover}
    )  # fmt: skip
    task = asyncio.create_task(labour.work())
    try:
        assert (await job_when(scopes, job, is_over))["status"] == "SUCCEEDED"
        assert done == ["begun 1", "recovered 2", "begun 2"]
        cancelled = await add(scopes, tenant_id, kind())
        async with scopes.writing(tenant_id) as scope:
            await jobs.claim(scope, tenant_id, cancelled["id"], worker="lost", lease=JOB_LEASE)
            assert await jobs.put_back(scope, tenant_id, cancelled["id"], attempt=1, pause=timedelta(hours=1), counts=True)
        waits = await Jobs(scopes).cancel(tenant_id, cancelled["id"])
        # It was begun: whoever takes it next tidies up and ends it, and that is at once.
        assert (waits["status"], waits["due_at"] <= datetime.now(UTC)) == ("QUEUED", True)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
