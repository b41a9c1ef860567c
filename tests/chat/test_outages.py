"""PostgreSQL and Valkey are restarted, killed and flushed in the middle of answers, which go on."""

import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from events.valkey import open_valkey
from settings import Settings
from stack.addresses import Addresses
from stack.postgres import PORT, Postgres
from stack.processes import Children
from stack.valkey import Valkey
from tests.chat.chaos import Reader, words
from tests.chat.talking import ask, new_chat
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
    async with running_server({**environment, **addresses, "PENNY_VALKEY_URL": own.valkey_url, "PENNY_LOG_LEVEL": "ERROR"}) as server:
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
