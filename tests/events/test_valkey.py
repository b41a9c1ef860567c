"""The client of Valkey: whatever moment a task is cancelled in, it ends."""

import asyncio
from uuid import uuid4

from events.tails import Tails
from events.valkey import open_valkey
from settings import Settings

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


async def test_a_reader_that_is_cancelled_as_news_comes_ends(settings: Settings) -> None:
    valkey, blocking = open_valkey(settings), open_valkey(settings, waits_seconds=10)
    tails = Tails(blocking, valkey, settings.valkey_prefix)
    tail = tails.follow(f"{settings.valkey_prefix}:{uuid4().hex}")

    async def read() -> None:
        while True:
            await tail.wait(60)

    task = asyncio.create_task(read())
    await asyncio.sleep(0)
    tail.push([("0-1", {b"e": b"news"})])
    assert await ended(task)
    tail.close()
    await tails.close()
    await blocking.aclose()
    await valkey.aclose()
