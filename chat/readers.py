"""Reading a run: what its log holds, what is added while somebody listens, and what PostgreSQL knows where the log has nothing."""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from typing import Final, NamedTuple
from uuid import UUID

from chat.broadcasts import Follower, Sink, Told, merged
from chat.events import RunFinished, RunSnapshot
from chat.logs import RunLogs
from chat.sights import Sight
from events.valkey import OUTAGES

QUIET_SECONDS: Final = 5.0
END_SECONDS: Final = 1.0
OUTAGE_PAUSE: Final = 0.25


class RunState(NamedTuple):
    """What PostgreSQL knows of a run: the truth when the log is silent or gone."""

    status: str
    last_seq: int
    finished: bool
    message_ids: list[UUID]
    finished_at: float


class RunReader:
    """Tells one reader a run: every event after `after`, old and new, without gap or duplicate, until the run has finished.

    What the log no longer holds is told by one `RunSnapshot`; the saved messages are then the truth. `sight` is asked
    in every silence and, by `chat.sights`, every few seconds.
    """

    def __init__(self, logs: RunLogs, tenant_id: UUID, run_id: UUID, *, after: int, sight: Sight[RunState]) -> None:
        self._logs = logs
        self._tenant_id = tenant_id
        self._run_id = run_id
        self._after = after
        self._sight = sight
        self._state = sight.ask

    async def told(self, sink: Sink | None = None) -> AsyncGenerator[Told, None]:
        """Yield the events that the sink does not take by itself; an event counts as read when the next one is asked for."""
        async with self._logs.followed(self._tenant_id, self._run_id, after=self._after, sight=self._sight, sink=sink) as follower:
            news: list[Told] | None = None
            while True:
                try:
                    tolds, more = await self._next(follower, news)
                    if not tolds or tolds[0].event.seq > follower.last + 1:
                        known = await self._state()
                        if known.finished and follower.last >= known.last_seq:
                            return
                        if not tolds and known.finished_at > time.time() - QUIET_SECONDS:
                            # PostgreSQL hears of the end before the log does.
                            await follower.wait(END_SECONDS, live=False)
                            tolds, more = await self._page(follower)
                        tolds = _filled(tolds, follower.last, known, resumed=self._after > 0)
                except OUTAGES:
                    # The reader waits for Valkey to come back; the answer goes on being made.
                    await asyncio.sleep(OUTAGE_PAUSE)
                    news = None
                    continue
                for told in merged(tolds) if follower.slow else tolds:
                    if follower.doubted:
                        follower.doubted = False
                        await self._state()
                    yield told
                    follower.read(told)
                    if told.is_last:
                        return
                news = None if more else await follower.wait(QUIET_SECONDS)

    async def _next(self, follower: Follower, news: Sequence[Told] | None) -> tuple[list[Told], bool]:
        """Return what came and fits, or read the log: at first, after a gap, and after a silence; and whether it has more."""
        fresh = [told for told in news or () if told.event.seq > follower.last]
        if fresh and fresh[0].event.seq == follower.last + 1:
            return fresh, False
        return await self._page(follower)

    async def _page(self, follower: Follower) -> tuple[list[Told], bool]:
        return await self._logs.page(follower.cipher, self._run_id, after=follower.last, since=follower.entry_id)


def _filled(tolds: list[Told], last: int, state: RunState, *, resumed: bool) -> list[Told]:
    """Fill what the log lacks from what PostgreSQL knows: nothing, a snapshot before later events, or snapshot and end."""
    reason = "RESUME_BEFORE_WINDOW" if resumed else "GAP"
    if tolds:
        first = tolds[0].event
        if first.seq == last + 1:
            return tolds
        return [Told(RunSnapshot(seq=first.seq - 1, at=first.at, reason=reason, message_ids=state.message_ids)), *tolds]
    if not state.finished:
        return []
    end = RunFinished(seq=state.last_seq, at=state.finished_at, status=state.status)
    if end.seq == last + 1:
        return [Told(end)]
    return [Told(RunSnapshot(seq=end.seq - 1, at=state.finished_at, reason=reason, message_ids=state.message_ids)), Told(end)]
