"""PostgreSQL and Valkey are restarted, killed and flushed in the middle of answers, which go on."""

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from uuid import uuid4

import pytest

from events.valkey import open_valkey
from settings import Settings
from stack.addresses import Addresses
from stack.postgres import PORT, Postgres
from stack.processes import Children
from stack.valkey import Valkey
from tests.api.following import VIEWER, following
from tests.chat.chaos import Reader, words
from tests.chat.talking import CREATE, ask, new_chat
from tests.conftest import TEMPLATE, make_template
from tests.running import Api, Server, running_server


class Servers:
    """A PostgreSQL and a Valkey that a test may kill; the first keeps what it has promised, the second nothing."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._children = Children(root)
        sockets = root / "sockets"
        sockets.mkdir(mode=0o700)
        self.postgres = Postgres(root, sockets, durable=True)
        self.valkey = Valkey(root, sockets, durable=False)

    def start(self) -> None:
        self.postgres.start(self._children)
        self.valkey.start(self._children)

    def stop(self) -> None:
        self._children.stop()

    async def restart(self, server: Postgres | Valkey, *, away_seconds: float = 0.0) -> None:
        """Kill a server as it stands, and start it again after a while."""
        name = "postgres" if server is self.postgres else "valkey"
        pid = int((self._root / f"{name}.pid").read_text())
        os.kill(pid, signal.SIGQUIT if server is self.postgres else signal.SIGKILL)
        await asyncio.to_thread(_wait_for_end, pid)
        await asyncio.sleep(away_seconds)
        await asyncio.to_thread(server.start, self._children)


def _wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return
        if state == "Z":
            return
        time.sleep(0.02)


@pytest.fixture(scope="module")
async def servers() -> AsyncIterator[Servers]:
    root = Path(tempfile.mkdtemp(prefix="penny-outages-"))
    made = Servers(root)
    await asyncio.to_thread(made.start)
    yield made
    await asyncio.to_thread(made.stop)
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="module")
async def penny(servers: Servers, environment: dict[str, str], stack: Addresses) -> AsyncIterator[Server]:
    own = Addresses(
        postgres_socket_dir=str(servers.postgres.socket_dir), postgres_port=PORT, valkey_url=servers.valkey.url,
        s3_endpoint=stack.s3_endpoint, s3_access_key=stack.s3_access_key, s3_secret_key=stack.s3_secret_key, s3_bucket=stack.s3_bucket,
        model_base_url="", model_name="",
    )  # fmt: skip
    await make_template(own)
    roles = {"DATABASE_URL": "penny_app", "DATABASE_SYSTEM_URL": "penny_system", "DATABASE_OWNER_URL": "penny_owner"}
    addresses = {f"PENNY_{name}": own.database_url(role, TEMPLATE) for name, role in roles.items()}
    # A credential that happens to be checked again while the database is away is another story than the one that is told here.
    given = {"PENNY_VALKEY_URL": own.valkey_url, "PENNY_LOG_LEVEL": "ERROR", "PENNY_SESSION_CACHE_SECONDS": "600"}
    async with running_server({**environment, **addresses, **given}) as server:
        yield server


@pytest.fixture
async def ada(penny: Server) -> AsyncIterator[Api]:
    async with Api(penny.url) as api:
        yield await api.sign_up()


async def told(penny: Server, ada: Api, script: str) -> tuple[Reader, "asyncio.Task[Reader]"]:
    """Begin an answer and read it."""
    reader = Reader([penny.url], ada.token, await ask(ada, await new_chat(ada), script))
    reading = asyncio.create_task(reader.read())
    await reader.until(8)
    return reader, reading


async def whole(reader: Reader, reading: "asyncio.Task[Reader]", count: int) -> None:
    await asyncio.wait_for(reading, 60)
    assert reader.end is not None
    assert (reader.end["status"], reader.saved, reader.text) == ("COMPLETED", words(count), words(count))


async def test_a_flushed_valkey_ends_no_run_and_late_readers_get_one_snapshot(penny: Server, ada: Api) -> None:
    reader, reading = await told(penny, ada, "!script tokens=100 delay_ms=15")
    valkey = open_valkey(Settings.from_environment(penny.environment))
    await valkey.flushall()
    late = Reader([penny.url], ada.token, reader.run_id)
    await asyncio.gather(whole(reader, reading, 100), whole(late, asyncio.create_task(late.read()), 100))
    assert reader.snapshots in ([], ["GAP"])
    assert late.snapshots == ["GAP"]
    await valkey.aclose()


async def test_a_valkey_that_lost_everything_ends_no_run(servers: Servers, penny: Server, ada: Api) -> None:
    reader, reading = await told(penny, ada, "!script tokens=150 delay_ms=20")
    await servers.restart(servers.valkey, away_seconds=0.5)
    await whole(reader, reading, 150)
    assert reader.snapshots in ([], ["GAP"])
    late = Reader([penny.url], ada.token, reader.run_id)
    await whole(late, asyncio.create_task(late.read()), 150)
    assert late.snapshots == ["GAP"]
    after, reading = await told(penny, ada, "!script tokens=20 delay_ms=5")
    await whole(after, reading, 20)
    assert after.snapshots == []


async def test_a_database_that_is_restarted_pauses_runs_and_ends_none(servers: Servers, penny: Server, ada: Api) -> None:
    reader, reading = await told(penny, ada, "!script tokens=150 delay_ms=20")
    ending, ended = await told(penny, ada, "!script tokens=30 delay_ms=20")  # while the database is away
    await servers.restart(servers.postgres, away_seconds=1.0)
    await whole(reader, reading, 150)
    await whole(ending, ended, 30)
    assert (reader.snapshots, ending.snapshots) == ([], [])


async def begun(ada: Api) -> str:
    """Begin a chat, however often the API must be asked."""
    key = uuid4().hex
    while True:
        answer = await ada.post(CREATE, input={"idempotencyKey": key})
        if "errors" not in answer:
            return str(answer["data"]["chatCreate"]["chat"]["id"])
        await asyncio.sleep(0.05)


async def followed_over(ada: Api, outage: Awaitable[None]) -> None:
    """Follow events while a server is away: each of what happens before, meanwhile and afterwards is told once, in order."""
    cursor = (await ada.data("{ eventCursor }"))["eventCursor"]
    made: list[str] = []
    is_over = asyncio.Event()

    async def begin_chats() -> None:
        while not is_over.is_set():
            made.append(await begun(ada))

    async with following(ada, VIEWER, after=cursor) as first, following(ada, VIEWER, after=cursor) as second:
        writing = asyncio.create_task(begin_chats())
        await first.hears(3)
        await outage
        is_over.set()
        await writing
        made.append(await begun(ada))
        for followed in (first, second):
            await followed.until(lambda one: one.told[-1].get("chatId") == made[-1])
            assert [event["chatId"] for event in followed.told if event["__typename"] == "ChatChanged"] == made
            assert not followed.errors


async def test_events_are_told_once_each_over_a_restart_of_valkey(servers: Servers, penny: Server, ada: Api) -> None:
    await followed_over(ada, servers.restart(servers.valkey, away_seconds=1.5))


async def test_events_are_told_once_each_over_a_restart_of_the_database(servers: Servers, penny: Server, ada: Api) -> None:
    await followed_over(ada, servers.restart(servers.postgres, away_seconds=1.0))
