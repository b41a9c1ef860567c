"""Follows many streams of Valkey with one connection a process, however many readers there are."""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from time import thread_time
from typing import Final, Protocol
from uuid import uuid4

import structlog
from valkey.asyncio import Valkey

from events.entries import Entries, Entry

log = structlog.get_logger()

BLOCK_MS: Final = 5000
PATIENCE_SECONDS: Final = 2.0
ASKING_SECONDS: Final = 0.00001
"""About what it costs to ask for one stream, here and in Valkey."""
SHORTEST_REST: Final = 0.002
"""What is worth a timer, in seconds."""


class Listener(Protocol):
    """Whoever follows a stream."""

    def heard(self, entries: Sequence[Entry]) -> None:
        """Entries came, in their order; raises nothing, for it is called by the one task that reads for all."""

    def lagged(self) -> None:
        """Something may be missing: the stream itself must be read."""


class Tails:
    """One XREAD over all followed streams. A stream of its own wakes it when a reader joins.

    After each answer it rests for as long as that took of the processor, at most `rest_seconds`: what comes meanwhile is read in one
    answer, and each listener is told of it at once. So a process that has little to tell tells it immediately, and one that has much
    gathers it.
    """

    def __init__(self, blocking: Valkey, commands: Valkey, prefix: str, *, rest_seconds: float = 0.0) -> None:
        self._entries = Entries(blocking, patience_seconds=PATIENCE_SECONDS)
        self._commands = commands
        self._rest_seconds = rest_seconds
        self._wake_key = f"{prefix}:wake:{uuid4().hex}"
        self._listeners: dict[str, set[Listener]] = {}
        self._last: dict[str, str] = {self._wake_key: "0"}
        self._joining: set[str] = set()
        self._joined = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def follow(self, key: str, listener: Listener) -> None:
        """Begin to follow: entries reach the listener from some moment on, and then it is told that it lags."""
        self._listeners.setdefault(key, set()).add(listener)
        if key not in self._last:
            self._joining.add(key)
            self._joined.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._follow(), name="tails")

    def leave(self, key: str, listener: Listener) -> None:
        """Forget a listener, and the stream with its last one."""
        listeners = self._listeners.get(key)
        if listeners is None:
            return
        listeners.discard(listener)
        if not listeners:
            del self._listeners[key]
            self._last.pop(key, None)
            self._joining.discard(key)

    async def close(self) -> None:
        """Stop following everything."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _follow(self) -> None:
        joining = asyncio.create_task(self._let_in(), name="tails joining")
        pause = 0.05
        try:
            while True:
                try:
                    answer = await self._entries.after(self._last, block_ms=BLOCK_MS)
                    began = thread_time()
                    for key, entries in answer:
                        self._hand_out(key, entries)
                    await self._rest(began)
                except Exception as error:  # noqa: BLE001 - whatever it is, the readers read for themselves until it is over
                    log.warning("tails_broke", error=type(error).__name__)
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, 2.0)
                    self._lag(self._listeners)
                    continue
                pause = 0.05
        finally:
            joining.cancel()
            await self._entries.close()

    async def _rest(self, began: float) -> None:
        asking = len(self._last) * ASKING_SECONDS
        if asking + thread_time() - began < SHORTEST_REST / 4:
            return
        await asyncio.sleep(0)  # the loop writes after its callbacks, and that is most of the work
        rest = min(asking + thread_time() - began, self._rest_seconds)
        if rest >= SHORTEST_REST:
            await asyncio.sleep(rest)

    async def _let_in(self) -> None:
        """Find where the streams of new readers end, and wake the reading so that it takes them in."""
        while True:
            await self._joined.wait()
            self._joined.clear()
            keys, self._joining = list(self._joining), set()
            try:
                for key in keys:
                    newest = await self._commands.xrevrange(key, count=1)
                    if key in self._listeners:
                        self._last.setdefault(key, newest[0][0].decode() if newest else "0-0")
                await self._commands.xadd(self._wake_key, {"w": b""}, maxlen=1)
                await self._commands.expire(self._wake_key, 3600)
            except Exception as error:  # noqa: BLE001 - tried again in a moment
                log.warning("tails_broke", error=type(error).__name__)
                # With those who joined meanwhile, and without those who left.
                self._joining.update(key for key in keys if key in self._listeners)
                await asyncio.sleep(0.25)
                self._joined.set()
                continue
            # What came between a reader's first look and now is in no answer of XREAD.
            self._lag(keys)

    def _lag(self, keys: Iterable[str]) -> None:
        for key in list(keys):
            for listener in tuple(self._listeners.get(key, ())):
                listener.lagged()

    def _hand_out(self, key: str, entries: list[Entry]) -> None:
        if key in self._last:
            self._last[key] = entries[-1][0]
        for listener in tuple(self._listeners.get(key, ())):
            listener.heard(entries)
