"""The client of Valkey: whatever moment a task is cancelled in, it ends."""

import asyncio
import dataclasses

import pytest

from events.metrics import VALKEY_FAILURES
from events.valkey import OUTAGES, open_valkey
from settings import Secret, Settings
from tests.running import free_port

MOMENTS = 60


async def ended(task: "asyncio.Task[None]") -> bool:
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=2)
    return bool(done) and task.cancelled()


async def test_a_task_that_is_cancelled_in_the_middle_of_a_command_ends(settings: Settings) -> None:
    """The client's own writes lose a cancellation on Python 3.11 that comes as they end."""
    valkey = open_valkey(settings)

    async def work() -> None:
        while True:
            await valkey.ping()

    for moment in range(MOMENTS):
        task = asyncio.create_task(work())
        for _ in range(moment):
            await asyncio.sleep(0)
        assert await ended(task), moment
    assert await valkey.ping() is True
    await valkey.aclose()


def failures() -> dict[str, float]:
    return {str(one.attributes["penny.valkey.step"]): one.value for one in VALKEY_FAILURES.series if one.value}


async def since(before: dict[str, float], settings: Settings, port: int) -> dict[str, float]:
    """What is counted of one command to a server that fails."""
    valkey = open_valkey(dataclasses.replace(settings, valkey_url=Secret(f"valkey://127.0.0.1:{port}/0"), valkey_timeout_seconds=0.2))
    with pytest.raises(OUTAGES):
        await valkey.get("nothing")
    await valkey.aclose()
    return {step: count - before.get(step, 0) for step, count in failures().items() if count > before.get(step, 0)}


async def test_a_server_that_is_not_there_is_counted_once(settings: Settings) -> None:
    assert await since(failures(), settings, free_port()) == {"connect": 1}


async def test_a_server_that_breaks_off_is_counted_as_often_as_it_is_asked(settings: Settings) -> None:
    asked: list[bytes] = []

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the client's introductions, and no command."""
        while (said := await reader.read(65536)) and b"GET" not in said:
            writer.write(b"+PONG\r\n" * said.count(b"PING") + b"+OK\r\n" * said.count(b"CLIENT"))
        asked.append(said)
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        counted = await since(failures(), settings, server.sockets[0].getsockname()[1])
    assert counted == {"answer": len(asked)}
