"""What the readers of one run in this process share: each entry of its log is opened once and handed to all of them."""

import asyncio
import contextvars
from collections.abc import Sequence
from typing import Any, Final, NoReturn, Protocol
from uuid import UUID

import structlog

from auth.encryption.ciphers import TenantCipher
from chat.events import Event, ReasoningDelta, RunFinished, TextDelta, decoded
from chat.sights import Sight, look_again
from events.entries import Entry

log = structlog.get_logger()

KEPT_EVENTS: Final = 64  # of a run that is followed, for readers who come or lag while others listen


class Told:
    """An event on its way to readers; `made` keeps what one of them made of it, so that it is made once for all.

    `entry_id` is its place in the log, empty for what was never in it; `size` is what it costs to keep, in bytes; nothing comes
    after one that `is_last`.
    """

    __slots__ = ("entry_id", "event", "is_last", "made", "size")

    def __init__(self, event: Event, entry_id: str = "", size: int = 0) -> None:
        self.event = event
        self.entry_id = entry_id
        self.size = size
        self.is_last = isinstance(event, RunFinished)
        self.made: dict[Any, Any] = {}


class Sink(Protocol):
    """Takes events as they come, without a task being woken."""

    @property
    def crowded(self) -> bool:
        """Whether it has no room because whoever is behind it reads too slowly."""

    def take(self, tolds: Sequence[Told], now: float) -> int:
        """Take events from the front, and say how many; the reader's own coroutine brings the rest. `now` is the loop's time."""


class Follower:
    """One reader's place behind the log: events go straight to its sink while it waits, and gather here while it is busy.

    `last` is the seq and `entry_id` the log's entry that it has read up to; while it is `doubted`, its reader must ask whether
    it may see the run before it tells more.
    """

    __slots__ = (
        "_backlog", "_bytes", "_clock", "_heard_at", "_lagged", "_level", "_news", "_sink", "_waiting",
        "cipher", "doubted", "entry_id", "last", "sight", "slow",
    )  # fmt: skip

    def __init__(self, *, after: int, cipher: TenantCipher, sight: Sight[Any], sink: Sink | None, backlog_bytes: int) -> None:
        self.last = after
        self.entry_id = ""
        self.cipher = cipher
        self.sight = sight
        self.doubted = False
        self.slow = False
        self._sink = sink
        self._backlog = backlog_bytes
        self._clock = asyncio.get_running_loop().time
        self._heard_at = self._clock()
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
            self.slow = False
            try:
                await self._something(seconds)
            finally:
                self._level = False
        tolds, self._waiting, self._bytes = self._waiting, [], 0
        lagged, self._lagged = self._lagged, False
        return None if lagged else tolds

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
        if self._level and self._sink is not None and tolds[0].event.seq == self.last + 1:
            taken = self._sink.take(tolds, now)
            if taken:
                self.read(tolds[taken - 1])
            if taken == len(tolds):
                return
            tolds = tolds[taken:]
        elif tolds[-1].event.seq <= self.last:
            return
        self._level = False
        self.slow = self.slow or (self._sink is not None and self._sink.crowded)
        if self._lagged:
            return
        self._waiting.extend(tolds)
        self._bytes += sum(told.size for told in tolds)
        if self._bytes > self._backlog:
            self.lag()
        self._news.set()

    def read(self, told: Told) -> None:
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


class Broadcast:
    """Hands a run's events to its followers. The key is the run's: they are all of its tenant."""

    def __init__(self, run_id: UUID) -> None:
        self._run_id = run_id
        self._followers: dict[Follower, None] = {}
        self._kept: dict[str, Told] = {}
        self._looking: asyncio.Task[NoReturn] | None = None

    def join(self, follower: Follower) -> None:
        """Add a follower; it must look into the log once more for what came before."""
        self._followers[follower] = None
        if self._looking is None:
            # It serves all of them, so it has nothing of the first one's context.
            self._looking = asyncio.create_task(look_again(self._followers.keys()), name="sights", context=contextvars.Context())

    def leave(self, follower: Follower) -> bool:
        """Forget a follower, and say whether it was the last."""
        self._followers.pop(follower, None)
        if not self._followers and self._looking is not None:
            self._looking.cancel()
            self._looking = None
        return not self._followers

    def heard(self, entries: Sequence[Entry]) -> None:
        """Open what came once, and hand it to all."""
        if not self._followers:
            return
        try:
            # The newest reader's cipher knows the newest key.
            cipher = next(reversed(self._followers)).cipher
            tolds = [self.opened(entry, cipher) for entry in entries if seq_of(entry[0])]
        except Exception as error:  # noqa: BLE001 - readers meet it in the log, each with its own cipher, and tell it
            log.warning("run_log_unreadable", run_id=str(self._run_id), error=type(error).__name__)
            self.lagged()
            return
        if tolds:
            now = asyncio.get_running_loop().time()
            for follower in tuple(self._followers):
                follower.hear(tolds, now)

    def lagged(self) -> None:
        """Let every follower read the log."""
        for follower in tuple(self._followers):
            follower.lag()

    def opened(self, entry: Entry, cipher: TenantCipher) -> Told:
        """Open an entry, or return it as somebody here opened it before."""
        if (known := self._kept.get(entry[0])) is not None:
            return known
        told = self._kept[entry[0]] = opened(entry, cipher, self._run_id)
        if len(self._kept) > KEPT_EVENTS:
            del self._kept[next(iter(self._kept))]
        return told


def opened(entry: Entry, cipher: TenantCipher, run_id: UUID) -> Told:
    """Decrypt and decode an entry of a run's log."""
    sealed = entry[1][b"e"]
    event = decoded(cipher.decrypt("runs", "events", place_of(run_id, seq_of(entry[0])), sealed))
    return Told(event, entry[0], len(sealed))


def merged(tolds: Sequence[Told]) -> list[Told]:
    """Tell neighbouring deltas of a part as one, with the first one's offset and the last one's seq, for a reader that is slow."""
    runs: list[list[Told]] = []
    for told in tolds:
        if runs and _continues(runs[-1][-1].event, told.event):
            runs[-1].append(told)
        else:
            runs.append([told])
    return [run[0] if len(run) == 1 else _one(run) for run in runs]


def _continues(before: Event, event: Event) -> bool:
    return (
        isinstance(event, TextDelta | ReasoningDelta)
        and isinstance(before, TextDelta | ReasoningDelta)
        and type(before) is type(event)
        and (before.part_id, before.offset + len(before.text), before.seq + 1) == (event.part_id, event.offset, event.seq)
    )


def _one(run: list[Told]) -> Told:
    deltas = [told.event for told in run if isinstance(told.event, TextDelta | ReasoningDelta)]
    first, last = deltas[0], deltas[-1]
    text = "".join(delta.text for delta in deltas)
    event = type(first)(seq=last.seq, at=last.at, part_id=first.part_id, offset=first.offset, text=text)
    return Told(event, run[-1].entry_id, sum(told.size for told in run))


def place_of(run_id: UUID, seq: int) -> str:
    """Name what an entry is encrypted for."""
    return f"{run_id}:{seq}"


def seq_of(entry_id: str) -> int:
    """Read an event's seq out of its entry's id; 0 is a fence, which tells nothing."""
    return int(entry_id.partition("-")[2])


def epoch_of(entry_id: str) -> int:
    """Read out of an entry's id in which epoch it was written."""
    return int(entry_id.partition("-")[0])
