"""The client of Valkey: whatever moment a task is cancelled in, it ends."""

import asyncio

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
