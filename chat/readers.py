"""Reading a run: what its log holds, what is added while somebody listens, and what PostgreSQL knows where the log has nothing."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Final, NamedTuple
from uuid import UUID

from chat.events import Heartbeat, RunFinished, RunQueued, RunSnapshot
from chat.followers import Follower, Sink
from chat.logs import RunLogs
from chat.metrics import SLOW_READERS
from chat.sights import Sight
from chat.views import EVERYTHING, Told, Veil, View, merged
from db.scopes import Row
from events.valkey import OUTAGES, ValkeyIsUnavailable
from settings import Settings

QUIET_SECONDS: Final = 5.0
END_SECONDS: Final = 1.0
OUTAGE_PAUSE: Final = 0.25
SAVE_PAUSE: Final = 0.1


class RunState(NamedTuple):
    """What PostgreSQL knows of a run: the truth when the log is silent or gone. `position` is None unless it waits for a worker."""

    status: str
    last_seq: int
    finished_at: float | None
    created_at: float
    position: int | None = None

    @property
    def finished(self) -> bool:
        return self.finished_at is not None


class Saved(NamedTuple):
    """The run's messages as they are saved, and up to which event they are."""

    status: str
    last_seq: int
    finished_at: float | None
    outputs: list[Row]


class Seen(NamedTuple):
    """A run as one viewer sees it: both questions fail once they may not."""

    sight: Sight[RunState]
    saved: Callable[[], Awaitable[Saved]]


class RunReader:
    """Tells one reader a run: every event after `after`, old and new, without gap or duplicate, until the run has finished.

    What the log no longer holds is told by one `RunSnapshot`, whose messages are as they were saved with its `seq`; what comes
    after goes on from there. Where `after` turns out to lie beyond the end, a snapshot tells the end.
    `seen.sight` is asked in every silence and, by `chat.sights`, every few seconds.
    """

    def __init__(  # noqa: PLR0913 - what is read, by whom and how
        self,
        logs: RunLogs,
        tenant_id: UUID,
        run_id: UUID,
        *,
        after: int,
        seen: Seen,
        settings: Settings,
        view: View = EVERYTHING,
    ) -> None:
        self._logs = logs
        self._tenant_id = tenant_id
        self._run_id = run_id
        self._after = after
        self._sight = seen.sight
        self._state = seen.sight.ask
        self._saved = seen.saved
        self._settings = settings
        self._view = view

    async def told(self, sink: Sink | None = None) -> AsyncGenerator[Told, None]:
        """Yield the events that the sink does not take by itself; an event counts as read when the next one is asked for."""
        async with self._logs.followed(
            self._tenant_id, self._run_id, after=self._after, sight=self._sight, sink=sink, view=self._view
        ) as follower:
            news: list[Told] | None = None
            while True:
                try:
                    tolds, more = await self._next(follower, news)
                    if not tolds or not tolds[0].follows(follower.last):
                        known = await self._state()
                        if known.finished and follower.last == known.last_seq:
                            return
                        tolds, more = await self._filled(follower, tolds, known, more=more)
                except OUTAGES:
                    # The reader waits for Valkey to come back; the answer goes on being made.
                    await asyncio.sleep(OUTAGE_PAUSE)
                    news = None
                    continue
                for told in self._pieces(follower, tolds):
                    if follower.doubted:
                        follower.doubted = False
                        await self._state()
                    yield told
                    follower.read(told)
                    if told.is_last:
                        return
                if tolds and tolds[-1].event.seq > follower.last:
                    follower.pass_over(tolds[-1])
                news = None if more else await follower.wait(min(QUIET_SECONDS, self._settings.run_heartbeat_seconds))
                if not news and follower.silence() >= self._settings.run_heartbeat_seconds:
                    beat = Told(Heartbeat(seq=follower.last, at=time.time()))
                    yield beat
                    follower.read(beat)

    async def page(self, most: int) -> tuple[list[Told], bool]:
        """Return the next events that are known now, at most so many, and whether there are more; raises `ValkeyIsUnavailable`.

        Beyond the end they are those that `told` yields there.
        """
        try:
            found, more = await self._written(most)
            if not found or not found[0].follows(self._after):
                known = await self._state()
                if known.finished and self._after > known.last_seq:
                    found, more = await self._ended(), False
                if known.last_seq > self._after and not found and not _is_long_over(known):
                    await asyncio.sleep(OUTAGE_PAUSE)  # PostgreSQL may have heard of events before the log did
                    found, more = await self._written(most)
                if known.last_seq > self._after and not (found and found[0].follows(self._after)):
                    bridged = await self._bridged(self._after, found, known, slow=False, later=False)
                    found, more = bridged or [], more or bridged is None
        except OUTAGES as error:
            raise ValkeyIsUnavailable("The run's log cannot be read.") from error
        return found[:most], len(found) > most or more

    async def _written(self, most: int) -> tuple[list[Told], bool]:
        """Read on until there is one event more than asked for, or no more."""
        cipher = await self._logs.cipher(self._tenant_id)
        found, more = await self._logs.page(cipher, self._run_id, after=self._after)
        while more and len(found) <= most:
            tolds, more = await self._logs.page(cipher, self._run_id, after=found[-1].event.seq, since=found[-1].entry_id)
            found += tolds
        return found, more

    def _pieces(self, follower: Follower, tolds: Sequence[Told]) -> Sequence[Told]:
        """Return what the view shows, in larger pieces where that is wanted or the reader is slow."""
        if not self._view.reasoning:
            tolds = Veil(self._view).shown(tolds)
        if follower.slow:
            SLOW_READERS.add(1, "merged")
        return merged(tolds) if follower.slow or self._view.gather_seconds else tolds

    async def _next(self, follower: Follower, news: Sequence[Told] | None) -> tuple[list[Told], bool]:
        """Return what came and fits, or read the log: at first, after a gap, and after a silence; and whether it has more."""
        fresh = [told for told in news or () if told.event.seq > follower.last]
        if fresh and fresh[0].follows(follower.last):
            return fresh, False
        return await self._page(follower)

    async def _page(self, follower: Follower) -> tuple[list[Told], bool]:
        return await self._logs.page(follower.cipher, self._run_id, after=follower.last, since=follower.entry_id)

    async def _late(self, follower: Follower) -> tuple[list[Told], bool]:
        """Give the log a moment: PostgreSQL may hear of events before it does."""
        clock = asyncio.get_running_loop().time
        until = clock() + END_SECONDS
        tolds: list[Told] = []
        more = False
        while not tolds and (left := until - clock()) > 0:
            await follower.wait(left, live=False)
            tolds, more = await self._page(follower)
        return tolds, more

    async def _filled(self, follower: Follower, tolds: list[Told], known: RunState, *, more: bool) -> tuple[list[Told], bool]:
        """Fill what the log lacks before what it has, or find that nothing is lacking."""
        if known.finished and follower.last > known.last_seq:
            return await self._ended(), False
        if known.position is not None and follower.last == 0 and not tolds:
            return [Told(RunQueued(seq=1, at=known.created_at, position=known.position))], False
        if not tolds and known.last_seq > follower.last and not _is_long_over(known):
            tolds, more = await self._late(follower)
        if tolds and tolds[0].follows(follower.last):
            return tolds, more
        if not tolds and known.last_seq <= follower.last:
            return [], False
        later = follower.told_at > follower.began_at
        filled = await self._bridged(follower.last, tolds, known, slow=follower.overrun, later=later)
        if filled is None:
            await asyncio.sleep(SAVE_PAUSE)
            return [], True
        return filled, more

    async def _bridged(self, last: int, tolds: Sequence[Told], known: RunState, *, slow: bool, later: bool) -> list[Told] | None:
        """Tell what is saved in place of what is lost, and what comes after it; None while the two do not meet yet."""
        saved = await self._saved()
        at = time.time()
        if saved.finished_at is not None:
            await self._renew(saved.finished_at)
            end = Told(RunFinished(seq=saved.last_seq, at=saved.finished_at, status=saved.status))
            if end.follows(last):
                return [end]
            reason = await self._reason(known, slow=slow, later=later)
            return [Told(RunSnapshot(seq=saved.last_seq - 1, at=saved.finished_at, reason=reason, outputs=saved.outputs)), end]
        if saved.last_seq <= last or (tolds and saved.last_seq < tolds[0].since - 1):
            return None
        reason = await self._reason(known, slow=slow, later=later)
        snapshot = Told(RunSnapshot(seq=saved.last_seq, at=at, reason=reason, outputs=saved.outputs))
        return [snapshot, *(told for told in tolds if told.event.seq > saved.last_seq)]

    async def _ended(self) -> list[Told]:
        """Tell how the run ended to who asked for what follows an event that it never had."""
        saved = await self._saved()
        at = saved.finished_at or time.time()
        await self._renew(at)
        snapshot = RunSnapshot(seq=saved.last_seq - 1, at=at, reason="RESUME_BEYOND_END", outputs=saved.outputs)
        return [Told(snapshot), Told(RunFinished(seq=saved.last_seq, at=at, status=saved.status))]

    async def _renew(self, finished_at: float) -> None:
        """Let nobody who hears of this end be given anything older: whoever saved it may not have come to its log, or be gone."""
        if finished_at > time.time() - self._settings.graphql_cached_answer_seconds:
            await self._logs.renew(self._tenant_id)

    async def _reason(self, known: RunState, *, slow: bool, later: bool) -> str:
        if slow:
            return "SLOW_CONSUMER"
        if later:
            return "GAP"
        if self._after > 0 or _is_over_since(known, self._settings.run_log_finished_seconds):
            return "RESUME_BEFORE_WINDOW"
        return "RESUME_BEFORE_WINDOW" if await self._logs.was_cut(self._tenant_id, self._run_id) else "GAP"


def _is_long_over(known: RunState) -> bool:
    return _is_over_since(known, QUIET_SECONDS)


def _is_over_since(known: RunState, seconds: float) -> bool:
    return known.finished_at is not None and known.finished_at <= time.time() - seconds
