"""Questions that many ask at the same time, put together."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Rounds(Generic[K, V]):
    """Asks about many keys at once. Those who ask while a question is under way share the next: an answer is never older than who asks.

    `ask` returns a value for each key and raises nothing; `unknown` is told to those who wait when the process stops.
    """

    def __init__(self, ask: Callable[[list[K]], Awaitable[Sequence[V]]], *, unknown: V, name: str) -> None:
        self._ask = ask
        self._unknown = unknown
        self._name = name
        self._asking: asyncio.Task[None] | None = None
        self._next: dict[K, asyncio.Future[V]] = {}

    async def of(self, key: K) -> V:
        """Return the value of a key as of now."""
        if (answer := self._next.get(key)) is None:
            answer = self._next[key] = asyncio.get_running_loop().create_future()
        if self._asking is None:
            self._asking = asyncio.create_task(self._answer(), name=self._name)
        return await asyncio.shield(answer)

    async def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _answer(self) -> None:
        """Answer those who wait, and those who came meanwhile."""
        asked: dict[K, asyncio.Future[V]] = {}
        try:
            while self._next:
                asked, self._next = self._next, {}
                for answer, value in zip(asked.values(), await self._ask(list(asked)), strict=True):
                    answer.set_result(value)
        finally:
            self._asking = None
            for answer in (*asked.values(), *self._next.values()):
                if not answer.done():  # the process stops
                    answer.set_result(self._unknown)
