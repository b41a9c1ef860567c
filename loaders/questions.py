"""A question: the keys that many fields ask for at about the same time, answered by one read."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Generic, TypeVar
from uuid import UUID

from db.scopes import Reading, TenantScopes

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

Ask = Callable[[Reading, UUID, list[K]], Awaitable[Mapping[K, V]]]


class Question(Generic[K, V]):
    """Answers `load` in batches of at most `max_batch` keys, each key once; belongs to one operation of one tenant."""

    def __init__(self, ask: Ask[K, V], scopes: TenantScopes, tenant_id: UUID, *, max_batch: int = 1000) -> None:
        self._ask = ask
        self._scopes = scopes
        self._tenant_id = tenant_id
        self._max_batch = max_batch
        self._answers: dict[K, asyncio.Future[V | None]] = {}
        self._waiting: list[K] = []
        self._reads: set[asyncio.Task[None]] = set()

    async def load(self, key: K) -> V | None:
        """Return the answer for this key, or None when there is none."""
        if (answer := self._answers.get(key)) is None:
            loop = asyncio.get_running_loop()
            answer = self._answers[key] = loop.create_future()
            self._waiting.append(key)
            if len(self._waiting) == 1:
                loop.call_soon(self._gather, loop, 0)
        # One field that is given up must not take the answer away from the others.
        return await asyncio.shield(answer)

    def _gather(self, loop: asyncio.AbstractEventLoop, seen: int) -> None:
        """Read when a whole turn of the event loop brought no new key: siblings deeper in the tree get in too."""
        if len(self._waiting) > seen:
            loop.call_soon(self._gather, loop, len(self._waiting))
            return
        keys, self._waiting = self._waiting, []
        for start in range(0, len(keys), self._max_batch):
            # In a context of its own: the read must neither run inside the scope of whoever asked first, nor lend it its own.
            read = loop.create_task(self._read(keys[start : start + self._max_batch]), context=contextvars.Context())
            self._reads.add(read)
            read.add_done_callback(self._reads.discard)

    async def _read(self, keys: list[K]) -> None:
        try:
            async with self._scopes.reading(self._tenant_id) as scope:
                found = await self._ask(scope, self._tenant_id, keys)
        except BaseException as error:
            for key in keys:
                answer = self._answers.pop(key)
                answer.set_exception(_lasting(error))
                # Looked at here, because every field that asked may have been given up: nobody would hear of it but the log.
                answer.exception()
            if not isinstance(error, Exception):
                raise
        else:
            for key in keys:
                self._answers[key].set_result(found.get(key))


def _lasting(error: BaseException) -> BaseException:
    """A cancelled read (the process stops) must not look as if the field that asked had been cancelled."""
    return RuntimeError("The read was cancelled.") if isinstance(error, asyncio.CancelledError) else error
