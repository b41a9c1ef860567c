"""What is saved of an answer is what its events say up to the `seq` that is saved with it, never less."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Any, cast
from uuid import UUID

import pytest

from chat.answers import Answer, Task
from chat.speech import Speech
from chat.steps import Step
from db.scopes import Reading, TenantScopes, Writing
from db.statements import runs
from errors import Unavailable
from inference.models import ModelRequest
from inference.platform import policy_of_settings
from settings import Settings
from tests.api.people import done, soon
from tests.chat.chaos import Reader
from tests.chat.conftest import Rows
from tests.chat.talking import new_chat, say
from tests.chat.test_recoveries import at_work
from tests.inference.fault_server import WORDS, Fault, FaultServer
from tests.running import Api, running_web
from web.works import open_works

DEPLOYMENTS = "{ models(first: 100) { nodes { key deployments { id } } } }"
SAVED = "query ($id: ID!) { node(id: $id) { ... on Run { outputs { parts { ... on TextPart { text } } } } } }"
LAST_SEQ = "SELECT last_seq FROM penny.runs"
PATIENCE = 40


class Undone(TenantScopes):
    """Scopes that once undo what was just saved of an answer's words, as a database does that is restarted before the commit."""

    def __init__(self, whole: TenantScopes) -> None:
        self._whole = whole
        self.times = 0

    def reading(self, tenant_id: UUID) -> contextlib.AbstractAsyncContextManager[Reading]:
        return self._whole.reading(tenant_id)

    @contextlib.asynccontextmanager
    async def writing(self, tenant_id: UUID) -> AsyncIterator[Writing]:
        async with self._whole.writing(tenant_id) as scope:
            yield scope
            if not self.times and await scope.value("SELECT sum(text_bytes) FROM penny.run_steps WHERE tenant_id = $1", tenant_id):
                self.times += 1
                raise Unavailable("The connection broke.")


class Late(TenantScopes):
    """Scopes of which the first one's statements wait."""

    def __init__(self, whole: TenantScopes) -> None:
        self._whole = whole
        self.is_open = asyncio.Event()
        self.may_write = asyncio.Event()

    def reading(self, tenant_id: UUID) -> contextlib.AbstractAsyncContextManager[Reading]:
        return self._whole.reading(tenant_id)

    @contextlib.asynccontextmanager
    async def writing(self, tenant_id: UUID) -> AsyncIterator[Writing]:
        async with self._whole.writing(tenant_id) as scope:
            yield scope if self.is_open.is_set() else cast("Writing", Waiting(scope, self))


class Waiting:
    """A scope whose first row is asked for when it may be."""

    def __init__(self, scope: Writing, late: Late) -> None:
        self._scope = scope
        self._late = late

    async def row(self, statement: str, *values: Any) -> Any:
        self._late.is_open.set()
        await self._late.may_write.wait()
        return await self._scope.row(statement, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scope, name)


@pytest.fixture
async def endpoint() -> AsyncIterator[FaultServer]:
    async with FaultServer() as server:
        yield server


@pytest.fixture
def served(lonely: dict[str, str], endpoint: FaultServer) -> dict[str, str]:
    return lonely | {"PENNY_MODEL_PROVIDER": "openai", "PENNY_MODEL_BASE_URL": endpoint.base_url, "PENNY_MODEL_NAME": "m"}


async def begun(api: Api, **given: Any) -> str:
    sent = await say(api, await new_chat(api), "Where do swallows spend the winter?", **given)
    assert sent["errors"] == [], sent["errors"]
    return str(sent["runs"][0]["id"])


async def reached(rows: Rows, seq: int) -> None:
    """Wait until a run is saved up to a `seq`."""
    (run,) = await rows(LAST_SEQ)
    if run["last_seq"] < seq:
        raise LookupError("it is not saved so far yet")


async def saved_text(api: Api, run_id: str) -> str:
    outputs = (await api.data(SAVED, id=run_id))["node"]["outputs"]
    return "".join(part["text"] for output in outputs for part in output["parts"])


async def read_until(reader: Reader, text: str) -> None:
    async with reader.came:
        await reader.came.wait_for(lambda: reader.text == text)


async def test_that_another_model_is_asked_is_saved_with_what_was_told_before(
    served: dict[str, str], endpoint: FaultServer, lonely_rows: Rows
) -> None:
    cut = asyncio.Event()
    endpoint.plan("m", Fault(cut_at=3, cut=cut), Fault(hang_before_headers=True))
    seldom = served | {"PENNY_RUN_SAVE_MS": "60000", "PENNY_RUN_LEASE_SECONDS": "500"}
    settings = Settings.from_environment(seldom)
    async with running_web(seldom) as (url, _), Api(url) as api, open_works(settings, application="penny tests") as process:
        ada = await api.sign_up()
        (place,) = [
            node["deployments"][0]["id"] for node in (await ada.data(DEPLOYMENTS))["models"]["nodes"] if node["key"] == "platform/m"
        ]
        policy = await done(
            ada, "routingPolicyUpsert", "policy { id }", name="it goes on", candidates=[place], midStream="CONTINUE_PARTIAL"
        )  # fmt: skip
        async with at_work(process, settings, process.works.scopes):
            reader = Reader([url], ada.token, await begun(ada, routingPolicyId=policy["policy"]["id"]))
            reading = asyncio.create_task(reader.read())
            await read_until(reader, "".join(WORDS[:3]))
            told = reader.last
            assert await lonely_rows(f"{LAST_SEQ} WHERE last_seq >= {told}") == []
            cut.set()
            await soon(partial(reached, lonely_rows, told), seconds=PATIENCE)
            assert await saved_text(ada, reader.run_id) == reader.text
            await done(ada, "runCancel", "run { id }", runId=reader.run_id)
            await asyncio.wait_for(reading, PATIENCE)
    assert reader.saved == "".join(WORDS[:3])


async def test_what_was_not_committed_is_saved_again_before_its_seq_is(
    served: dict[str, str], endpoint: FaultServer, lonely_rows: Rows
) -> None:
    endpoint.plan("m", Fault(hang_at=1))
    short = served | {"PENNY_RUN_LEASE_SECONDS": "3"}
    settings = Settings.from_environment(short)
    async with running_web(short) as (url, _), Api(url) as api, open_works(settings, application="penny tests") as process:
        ada, scopes = await api.sign_up(), Undone(process.works.scopes)
        async with at_work(process, settings, scopes):
            reader = Reader([url], ada.token, await begun(ada))
            reading = asyncio.create_task(reader.read())
            await read_until(reader, WORDS[0])
            await soon(partial(reached, lonely_rows, reader.last), seconds=PATIENCE)
            assert (scopes.times, await saved_text(ada, reader.run_id)) == (1, WORDS[0])
            await done(ada, "runCancel", "run { id }", runId=reader.run_id)
            await asyncio.wait_for(reading, PATIENCE)


async def test_what_was_said_earlier_is_never_saved_over_what_was_said_later(lonely: dict[str, str], lonely_rows: Rows) -> None:
    settings = Settings.from_environment(lonely)
    async with running_web(lonely) as (url, _), Api(url) as api, open_works(settings, application="penny tests") as process:
        ada, works = await api.sign_up(), process.works
        assert ada.token is not None
        tenant_id = (await works.sessions.viewer_of(ada.token)).tenant_id
        run_id, cipher, scopes = await begun(ada), await works.keyring.cipher(tenant_id), Late(works.scopes)
        async with works.scopes.writing(tenant_id) as scope:
            run = await runs.claim(scope, tenant_id, UUID(run_id.removeprefix("run_")), worker="w", lease=timedelta(hours=1))
        assert run is not None
        speech = Speech(run["output_message_id"], 1)
        task = Task(
            run=run, request=ModelRequest(messages=(), max_output_tokens=9), speech=speech, step=Step(1), used_before=(),
            policy=policy_of_settings(settings), limit=9, attempts_before=0,
        )  # fmt: skip
        run_log = works.logs.writer(cipher, run["id"], 1)
        answer = Answer(task, router=works.router, cipher=cipher, run_log=run_log, scopes=scopes, settings=settings)
        speech.add("text", "Swallows ")
        speech.events()
        earlier = asyncio.create_task(answer._sign())
        await scopes.is_open.wait()
        speech.add("text", "go south.")
        speech.events()
        later = asyncio.create_task(answer._sign())
        await asyncio.wait({later}, timeout=0.5)  # it must wait for the earlier one
        scopes.may_write.set()
        assert all(await asyncio.gather(earlier, later))
        assert await saved_text(ada, run_id) == "Swallows go south."
    (saved,) = await lonely_rows("SELECT last_seq, text_bytes FROM penny.runs, penny.run_steps")
    assert tuple(saved) == (speech.seq, len("Swallows go south."))
