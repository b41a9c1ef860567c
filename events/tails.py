"""Follows many streams of Valkey with one connection a process, however many readers there are."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from typing import Any, Final
from uuid import uuid4

import structlog
from valkey.asyncio import Valkey

log = structlog.get_logger()
Entry = tuple[str, Mapping[bytes, bytes]]

BLOCK_MS: Final = 5000
BACKLOG: Final = 2000


class Tail:
    """One reader's view of one stream: `wait` returns the entries that came, or None when it must read the stream itself."""

    def __init__(self, tails: "Tails", key: str) -> None:
        self._tails = tails
        self.key = key
        self._entries: list[Entry] = []
        self._lagged = False
        self._news = asyncio.Event()

    async def wait(self, seconds: float) -> list[Entry] | None:
        """Return what came, an empty list after `seconds` of silence, None after a gap (a slow reader, an outage)."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
        self._news.clear()
        entries, self._entries = self._entries, []
        lagged, self._lagged = self._lagged, False
        return None if lagged else entries

    def push(self, entries: list[Entry]) -> None:
        """Hand entries over; a reader that lets too many gather is told to read for itself."""
        if len(self._entries) + len(entries) > BACKLOG:
            self.lag()
            return
        self._entries.extend(entries)
        self._news.set()

    def lag(self) -> None:
        """Tell the reader that something may be missing."""
        self._entries = []
        self._lagged = True
        self._news.set()

    def close(self) -> None:
        """Stop following."""
        self._tails.leave(self)


class Tails:
    """One XREAD over all followed streams. A stream of its own wakes it when a reader joins."""

    def __init__(self, blocking: Valkey, commands: Valkey, prefix: str) -> None:
        self._blocking = blocking
        self._commands = commands
        self._wake_key = f"{prefix}:wake:{uuid4().hex}"
        self._tails: dict[str, set[Tail]] = {}
        self._last: dict[str, str] = {self._wake_key: "0"}
        self._joining: set[str] = set()
        self._joined = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def follow(self, key: str) -> Tail:
        """Begin to follow: entries reach the tail from some moment on, and until then it says that it must read for itself."""
        tail = Tail(self, key)
        self._tails.setdefault(key, set()).add(tail)
        if key not in self._last:
            self._joining.add(key)
            self._joined.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._follow(), name="tails")
        return tail

    def leave(self, tail: Tail) -> None:
        """Forget a reader, and its stream with the last one."""
        readers = self._tails.get(tail.key)
        if readers is None:
            return
        readers.discard(tail)
        if not readers:
            del self._tails[tail.key]
            self._last.pop(tail.key, None)
            self._joining.discard(tail.key)

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
                    answer: Any = await self._blocking.xread(dict(self._last), block=BLOCK_MS)
                except Exception as error:  # noqa: BLE001 - whatever it is, the readers read for themselves until it is over
                    log.warning("tails_broke", error=type(error).__name__)
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, 2.0)
                    self._lag(self._tails)
                    continue
                pause = 0.05
                for raw_key, entries in answer or ():
                    self._hand_out(raw_key.decode(), [(entry_id.decode(), fields) for entry_id, fields in entries])
        finally:
            joining.cancel()

    async def _let_in(self) -> None:
        """Find where the streams of new readers end, and wake the reading so that it takes them in."""
        while True:
            await self._joined.wait()
            self._joined.clear()
            keys = list(self._joining)
            try:
                for key in keys:
                    newest = await self._commands.xrevrange(key, count=1)
                    if key in self._tails:
                        self._last.setdefault(key, newest[0][0].decode() if newest else "0-0")
                await self._commands.xadd(self._wake_key, {"w": b""}, maxlen=1)
                await self._commands.expire(self._wake_key, 3600)
            except Exception as error:  # noqa: BLE001 - tried again in a moment
                log.warning("tails_broke", error=type(error).__name__)
                await asyncio.sleep(0.25)
                self._joined.set()
                continue
            self._joining.difference_update(keys)
            # What came between a reader's first look and now is in no answer of XREAD.
            self._lag(keys)

    def _lag(self, keys: Iterable[str]) -> None:
        for key in list(keys):
            for tail in self._tails.get(key, ()):
                tail.lag()

    def _hand_out(self, key: str, entries: list[Entry]) -> None:
        if key in self._last:
            self._last[key] = entries[-1][0]
        for tail in self._tails.get(key, ()):
            tail.push(entries)
