"""Work that goes on behind an answer: a bounded number of tasks that no caller waits for."""

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import Any

import structlog

log = structlog.get_logger()


class Background:
    """Runs coroutines beside the requests that began them; `close` lets them finish."""

    def __init__(self, *, most: int = 1000) -> None:
        self._most = most
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None], *, name: str) -> bool:
        """Begin the work and return at once; False, and nothing begun, when too much is under way."""
        if len(self._tasks) >= self._most:
            work.close()
            log.warning("background_is_full", work=name)
            return False
        # In a context of its own: it must not run inside the scope of whoever began it.
        task = asyncio.create_task(_logged(work, name), name=name, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return True

    async def idle(self) -> None:
        """Wait until everything that was begun has ended."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def close(self, seconds: float = 5.0) -> None:
        """Let the work finish for so long, then cancel what is left."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(set(self._tasks), timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


async def _logged(work: Coroutine[Any, Any, None], name: str) -> None:
    try:
        await work
    except Exception:
        log.exception("background_work_failed", work=name)
