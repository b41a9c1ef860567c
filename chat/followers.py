"""One reader's place behind a run's log, and those who are told the same in the same pieces."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final, Protocol

import structlog

from auth.encryption.ciphers import TenantCipher
from chat.metrics import SLOW_READERS
from chat.sights import Sight
from chat.views import EVERYTHING, Told, Veil, View, is_delta, merged

log = structlog.get_logger()

GATHERED_BYTES: Final = 65_536  # what a group gathers at most, however long its view says


class Sink(Protocol):
    """Takes events as they come, without a task being woken."""

    @property
    def crowded(self) -> bool:
        """Whether it has no room because whoever is behind it reads too slowly."""

    def take(self, tolds: Sequence[Told]) -> int:
        """Take events from the front, and say how many; the reader's own coroutine brings the rest."""


class Follower:
    """One reader's place behind the log: events go straight to its sink while it waits, and gather here while it is busy.

    `last` is the seq and `entry_id` the log's entry that it has read up to, `began_at` when it came and
    `told_at` when it was last told something; while it is
    `doubted`, its reader must ask whether it may see the run before it tells more. It is `slow` while its sink has no room, and
    was `overrun` when more came than may wait for it.
    """

    __slots__ = (
        "_backlog", "_bytes", "_clock", "_heard_at", "_lagged", "_level", "_news", "_sink", "_waiting",
        "began_at", "cipher", "doubted", "entry_id", "last", "overrun", "sight", "slow", "told_at", "view",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913 - what a reader is
        self, *, after: int, cipher: TenantCipher, sight: Sight[Any], sink: Sink | None, backlog_bytes: int, view: View = EVERYTHING
    ) -> None:
        self.last = after
        self.entry_id = ""
        self.cipher = cipher
        self.sight = sight
        self.view = view
        self.doubted = False
        self.slow = False
        self.overrun = False
        self._sink = sink
        self._backlog = backlog_bytes
        self._clock = asyncio.get_running_loop().time
        self._heard_at = self.told_at = self.began_at = self._clock()
        self._waiting: list[Told] = []
        self._bytes = 0
        self._lagged = False
        self._level = False
        self._news = asyncio.Event()

    async def wait(self, seconds: float, *, live: bool = True) -> list[Told] | None:
        """Return what came and the sink did not take, nothing after a silence, None when the log itself must be read."""
        self._heard_at = self._clock()
        if self._waiting and self._waiting[-1].event.seq <= self.last:
            self._waiting, self._bytes = [], 0  # it was in the log already when that was read
        if not self._waiting and not self._lagged:
            self._level = live and self._sink is not None
            self.slow = self.overrun = False
            try:
                await self._something(seconds)
            finally:
                self._level = False
        tolds, self._waiting, self._bytes = self._waiting, [], 0
        lagged, self._lagged = self._lagged, False
        return None if lagged else tolds

    def silence(self) -> float:
        """Return for how many seconds it was told nothing."""
        return self._clock() - self.told_at

    async def _something(self, seconds: float) -> None:
        self._news.clear()
        while not self._news.is_set() and (left := self._heard_at + seconds - self._clock()) > 0:
            try:
                async with asyncio.timeout(left):
                    await self._news.wait()
            except TimeoutError:
                continue  # the sink may have been told something meanwhile: that was no silence

    def hear(self, tolds: Sequence[Told], now: float) -> None:
        """Take what came: into the sink where this reader has had all before it, and nothing waits."""
        self._heard_at = now
        if self._level and self._sink is not None and tolds[0].follows(self.last):
            taken = self._sink.take(tolds)
            if taken:
                self.pass_over(tolds[taken - 1])
                self.told_at = now
            if taken == len(tolds):
                return
            tolds = tolds[taken:]
        elif tolds[-1].event.seq <= self.last:
            if tolds[-1].is_last:  # it waits for what will never come, and finds that out
                self.lag()
            return
        self._level = False
        self.slow = self.slow or (self._sink is not None and self._sink.crowded)
        self._bytes += sum(told.size for told in tolds)
        if self._bytes > self._backlog:
            self.overrun = True
            SLOW_READERS.add(1, "overrun")
            self.lag()
        elif not self._lagged:
            self._waiting.extend(tolds)
        self._news.set()

    def read(self, told: Told) -> None:
        """Note how far the reader is, and that it was told something."""
        self.pass_over(told)
        self.told_at = self._clock()

    def pass_over(self, told: Told) -> None:
        """Note how far the reader is."""
        self.last = told.event.seq
        self.entry_id = told.entry_id or self.entry_id

    def doubt(self) -> None:
        """Tell nothing more before the reader has asked whether it may see the run."""
        self.doubted = True
        self.lag()

    def lag(self) -> None:
        """Let go of what waits: the reader must read the log itself."""
        self._waiting, self._bytes = [], 0
        self._lagged = True
        self._level = False
        self._news.set()


class Group:
    """The followers with one view: what is left out and gathered for them is so once for all."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._followers: dict[Follower, None] = {}
        self._loop = asyncio.get_running_loop()
        self._veil = Veil(view)
        self._gathered: list[Told] = []
        self._bytes = 0
        self._quiet_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def join(self, follower: Follower) -> None:
        """Add a follower."""
        self._followers[follower] = None

    def leave(self, follower: Follower) -> bool:
        """Forget a follower, and say whether it was the last."""
        self._followers.pop(follower, None)
        if not self._followers and self._timer is not None:
            self._timer.cancel()
        return not self._followers

    def hear(self, tolds: Sequence[Told], now: float) -> None:
        """Hand on what came: at once after a quiet time, deltas that follow soon gathered until that time is over."""
        if not self._view.reasoning:
            tolds = self._veil.shown(tolds)
        if not tolds:
            return
        if not self._view.gather_seconds:
            self._hand_on(tolds, now)
            return
        self._gathered.extend(tolds)
        self._bytes += sum(told.size for told in tolds)
        if now >= self._quiet_at or self._bytes > GATHERED_BYTES or not all(is_delta(told) for told in tolds):
            self._flush()
        elif self._timer is None:
            self._timer = self._loop.call_at(self._quiet_at, self._flush)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        gathered, self._gathered, self._bytes = self._gathered, [], 0
        now = self._loop.time()
        self._quiet_at = now + self._view.gather_seconds
        if gathered:
            self._hand_on(merged(gathered), now)

    def _hand_on(self, tolds: Sequence[Told], now: float) -> None:
        for follower in tuple(self._followers):
            try:
                follower.hear(tolds, now)
            except Exception:
                log.exception("reader_not_told")  # one reader's trouble is not the others'
                follower.lag()
