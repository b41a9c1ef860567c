"""Answers that are made while something happens: a change, others who ask the same, an outage."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson
import pytest
from graphql import ExecutionResult
from valkey.asyncio import Valkey

from auth.viewers import Viewer
from db.scopes import TenantScopes
from events.versions import Versions
from resolvers.operations import Caller, Operation
from schema.schema import build_schema
from settings import Settings
from tests.running import Api
from web.callers import viewer_of_token
from web.documents import Prepared
from web.door import Door
from web.repeats import Repeat, Repeats
from web.requests import Asked
from web.works import Process

CALLER = Caller(address="192.0.2.78", user_agent=None, request_id="repeats")
NAME = "query Name @cached { tenant { name } }"
RENAME = "mutation ($name: String!) { tenantUpdate(input: {name: $name}) { errors { message } } }"


class Gate:
    """Stands where operations run: each waits before it reads, or after, until the gate is opened."""

    def __init__(self, door: Door, *, after: bool) -> None:
        self._run = door.run
        self._after = after
        self.opened = asyncio.Event()
        self.makers: list[Any] = []
        self.reached = asyncio.Event()

    async def run(self, prepared: Prepared, operation: Operation, variables: dict[str, Any]) -> ExecutionResult:
        self.makers.append(asyncio.current_task())
        if self._after:
            result = await self._run(prepared, operation, variables)
        self.reached.set()
        await self.opened.wait()
        return result if self._after else await self._run(prepared, operation, variables)


@pytest.fixture
async def process_(process: Process, settings: Settings, valkey: Valkey) -> AsyncIterator[Process]:
    """A process with versions of its own: what a test does to them is nobody else's trouble."""
    versions = Versions(valkey, settings)
    yield replace(process, versions=versions)
    await versions.close()


@pytest.fixture
def door(settings: Settings, process_: Process) -> Door:
    made = Door(settings, build_schema(settings))
    made.opened = process_
    return made


@pytest.fixture
def repeats(door: Door) -> Repeats:
    return Repeats(door)


@pytest.fixture
async def ada(api: Api, process: Process) -> Viewer:
    token = (await api.sign_up()).token
    assert token is not None
    return await viewer_of_token(process.works, token)


async def ask(repeats: Repeats, viewer: Viewer | None, text: str = NAME, **variables: Any) -> Repeat:
    prepared, operation = await repeats._door.admit(Asked(text, None, variables, {}), CALLER, viewer)
    return await repeats.answer(prepared, operation, variables, anew=False)


async def name(repeats: Repeats, viewer: Viewer) -> str:
    return str(orjson.loads(orjson.dumps((await ask(repeats, viewer)).result.data))["tenant"]["name"])


async def mutate(door: Door, viewer: Viewer, text: str, **variables: Any) -> ExecutionResult:
    prepared, operation = await door.admit(Asked(text, None, variables, {}), CALLER, viewer)
    return await door.run(prepared, operation, variables)


async def rename_silently(scopes: TenantScopes, tenant_id: UUID, to: str) -> None:
    async with scopes.writing(tenant_id) as scope:
        assert await scope.run("UPDATE penny.tenants SET name = $2 WHERE tenant_id = $1", tenant_id, to) == 1


class Frozen:
    """A version that is as it is until the test says so: what is told of a sign-up may come late."""

    def __init__(self, versions: Versions, monkeypatch: pytest.MonkeyPatch) -> None:
        self.word = b"1"
        monkeypatch.setattr(versions, "of", self._of)

    async def _of(self, _: UUID) -> bytes:
        return self.word


@pytest.fixture
def frozen(process_: Process, monkeypatch: pytest.MonkeyPatch) -> Frozen:
    return Frozen(process_.versions, monkeypatch)


async def test_what_is_kept_is_given_until_the_version_is_another(
    repeats: Repeats, ada: Viewer, scopes: TenantScopes, frozen: Frozen
) -> None:
    assert await name(repeats, ada) == "Acme"
    await rename_silently(scopes, ada.tenant_id, "Silent")
    assert await name(repeats, ada) == "Acme"
    frozen.word = b"2"
    assert await name(repeats, ada) == "Silent"


@pytest.mark.parametrize("after", [True, False], ids=["read before it", "reads after it"])
async def test_what_was_read_before_a_change_is_not_given_after_it(
    door: Door, repeats: Repeats, ada: Viewer, monkeypatch: pytest.MonkeyPatch, *, after: bool
) -> None:
    gate = Gate(door, after=after)
    with monkeypatch.context() as gated:
        gated.setattr(door, "run", gate.run)
        asking = asyncio.create_task(ask(repeats, ada))
        await gate.reached.wait()
    assert (await mutate(door, ada, RENAME, name="New")).errors is None
    gate.opened.set()
    made = await asking
    assert b"New" not in (made.data or b"") if after else b"New" in (made.data or b"")
    assert await name(repeats, ada) == "New"


async def test_a_mutation_that_fails_in_the_middle_counts_as_a_change(
    door: Door, repeats: Repeats, ada: Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await door.process.versions.of(ada.tenant_id)

    async def broken(*_: object) -> None:
        raise RuntimeError("in the middle")

    monkeypatch.setattr(door, "_executed", broken)
    with pytest.raises(RuntimeError):
        await mutate(door, ada, RENAME, name="New")
    assert await door.process.versions.of(ada.tenant_id) != before


class Crowd:
    """Many who ask the same at once, of a version that stays as it is."""

    def __init__(self, repeats: Repeats, ada: Viewer, monkeypatch: pytest.MonkeyPatch, size: int = 20) -> None:
        self.gate = Gate(repeats._door, after=False)
        monkeypatch.setattr(repeats._door, "run", self.gate.run)
        Frozen(repeats._door.process.versions, monkeypatch)
        self._came = 0
        self._all = asyncio.Event()
        self._find = repeats.kept.find
        monkeypatch.setattr(repeats.kept, "find", self._counting)
        self.asking = [asyncio.create_task(ask(repeats, ada)) for _ in range(size)]

    def _counting(self, *place: Any) -> Any:
        self._came += 1
        if self._came == len(self.asking):
            self._all.set()
        return self._find(*place)

    async def came(self) -> None:
        """Wait until all have found nothing, and one makes the answer."""
        await self._all.wait()
        await self.gate.reached.wait()

    async def statuses(self) -> list[str | None]:
        """Let the answer be made; whoever was cancelled has none."""
        self.gate.opened.set()
        told = await asyncio.gather(*self.asking, return_exceptions=True)
        return [one.status for one in told if isinstance(one, Repeat)]


async def test_those_who_ask_the_same_at_once_share_one_answer(repeats: Repeats, ada: Viewer, monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = Crowd(repeats, ada, monkeypatch)
    await crowd.came()
    assert sorted(map(str, await crowd.statuses())) == ["fwd=miss; collapsed"] * 19 + ["fwd=miss; stored"]
    assert len(crowd.gate.makers) == 1
    assert not repeats.kept._making


async def test_who_makes_an_answer_for_all_may_go_away(repeats: Repeats, ada: Viewer, monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = Crowd(repeats, ada, monkeypatch, size=5)
    await crowd.came()
    crowd.gate.makers[0].cancel()
    assert await crowd.statuses() == ["fwd=miss; stored"] * 4
    assert not repeats.kept._making
    assert str((await ask(repeats, ada)).status).startswith("hit; ")


async def test_who_waits_for_an_answer_may_go_away(repeats: Repeats, ada: Viewer, monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = Crowd(repeats, ada, monkeypatch, size=5)
    await crowd.came()
    for waiting in [one for one in crowd.asking if one not in crowd.gate.makers][:3]:
        waiting.cancel()
    assert sorted(map(str, await crowd.statuses())) == ["fwd=miss; collapsed", "fwd=miss; stored"]
    assert len(crowd.gate.makers) == 1


async def test_what_could_not_be_made_for_all_each_makes_alone(repeats: Repeats, ada: Viewer, monkeypatch: pytest.MonkeyPatch) -> None:
    crowd = Crowd(repeats, ada, monkeypatch, size=3)

    async def failing(*given: Any) -> ExecutionResult:
        result = await crowd.gate.run(*given)
        if asyncio.current_task() is crowd.gate.makers[0]:
            raise RuntimeError("the first one fails")
        return result

    monkeypatch.setattr(repeats._door, "run", failing)
    await crowd.came()
    assert await crowd.statuses() == ["fwd=miss; stored"] * 2
    assert isinstance(crowd.gate.makers[0].exception(), RuntimeError)


async def test_while_nobody_knows_versions_nothing_is_given_and_nothing_kept(
    door: Door, repeats: Repeats, ada: Viewer, settings: Settings
) -> None:
    assert (await ask(repeats, ada)).status == "fwd=miss; stored"
    nowhere = Valkey(host="127.0.0.1", port=1, socket_connect_timeout=0.1)
    away, door.opened = door.opened, replace(door.process, versions=Versions(nowhere, settings))
    for _ in range(2):
        assert (await ask(repeats, ada)).status == "fwd=bypass; detail=version"
    assert (await mutate(door, ada, RENAME, name="New")).errors is None
    assert await name(repeats, ada) == "New"
    await door.process.versions.close()
    await nowhere.aclose()
    door.opened = away
    await door.process.versions.renew(ada.tenant_id)  # as does who could not, as soon as they can
    assert await name(repeats, ada) == "New"


@pytest.mark.usefixtures("frozen")
async def test_a_large_answer_is_given_and_not_kept(door: Door, ada: Viewer, settings: Settings) -> None:
    repeats = Repeats(Door(replace(settings, graphql_cached_answer_bytes=1024), build_schema(settings)))
    repeats._door.opened = door.opened
    for _ in range(2):
        assert (await ask(repeats, ada)).status == "fwd=miss"
    assert (repeats.kept.count, repeats.kept.size) == (0, 0)


@pytest.mark.usefixtures("frozen")
async def test_an_answer_is_kept_for_as_long_as_the_document_and_the_settings_let_it(door: Door, ada: Viewer, settings: Settings) -> None:
    for asked, most, life in ((5, 60, 5), (60, 5, 5), (3600, 60, 60)):
        repeats = Repeats(Door(replace(settings, graphql_cached_answer_seconds=most), build_schema(settings)))
        repeats._door.opened = door.opened
        await ask(repeats, ada, f"query Name @cached(ttl: {asked}) {{ tenant {{ name }} }}")
        ((shelf,),) = [list(repeats.kept._shelves.values())]
        (answer,) = shelf.answers.values()
        assert answer.until - answer.made_at == pytest.approx(life)


@pytest.mark.usefixtures("frozen")
async def test_an_answer_that_nobody_asks_for_again_does_not_stay_in_memory(repeats: Repeats, ada: Viewer) -> None:
    now = 0.0
    repeats.kept._clock = lambda: now
    await ask(repeats, ada)
    for seconds, left in ((59.0, 1), (1.0, 0)):
        assert repeats._sweeping is not None
        now += seconds
        repeats._sweeping.cancel()  # as if it had run
        repeats._sweep()
        assert repeats.kept.count == left
    assert repeats._sweeping is None
