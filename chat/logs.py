"""A run's log: a Valkey stream of encrypted events under the ids `<epoch>-<seq>`.

Valkey refuses an id that is not above the last, so a worker that was paused and replaced cannot write: the epoch of its
successor is higher. Pub/sub would lose what falls between two connections; a stream does not.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Final, NamedTuple
from uuid import UUID

from valkey.asyncio import Valkey
from valkey.exceptions import ResponseError

from auth.encryption.ciphers import TenantCipher
from auth.encryption.keyring import Keyring
from chat.events import Event, RunFinished, RunSnapshot, decoded, encoded
from events.tails import Entry, Tails
from events.valkey import OUTAGES, ValkeyIsUnavailable
from settings import Settings

QUIET_SECONDS: Final = 5.0
END_SECONDS: Final = 1.0
OUTAGE_PAUSE: Final = 0.25
PAGE: Final = 1000


class RunWasTaken(Exception):
    """Another worker writes this run's log now; stop without a further word."""


class RunState(NamedTuple):
    """What PostgreSQL knows of a run: the truth when the log is silent or gone."""

    status: str
    last_seq: int
    finished: bool
    message_ids: list[UUID]
    finished_at: float


class RunLog:
    """Writes one run's log for one epoch."""

    def __init__(self, valkey: Valkey, cipher: TenantCipher, settings: Settings, run_id: UUID, epoch: int) -> None:
        self._valkey = valkey
        self._cipher = cipher
        self._settings = settings
        self._run_id = run_id
        self._epoch = epoch
        self._key = stream_key(settings, cipher.tenant_id, run_id)

    async def take_over(self) -> None:
        """Shut earlier epochs out before the log is read: none of them can write from here on. Readers skip this entry."""
        try:
            await self._valkey.xadd(self._key, {"e": b""}, id=f"{self._epoch}-0")
            await self._valkey.expire(self._key, self._settings.run_log_seconds)
        except ResponseError as error:
            raise (RunWasTaken if _is_late(error) else ValkeyIsUnavailable("The run's log cannot be written.")) from error
        except OUTAGES as error:
            raise ValkeyIsUnavailable("The run's log cannot be written.") from error

    async def append(self, *events: Event) -> None:
        """Add events in their order; raises `RunWasTaken` when a later epoch has written."""
        # In one piece, so that a waiting reader is woken once and gets all of it.
        pipe = self._valkey.pipeline(transaction=True)
        for event in events:
            sealed = self._cipher.encrypt("runs", "events", _row(self._run_id, event.seq), encoded(event))
            pipe.xadd(self._key, {"e": sealed}, id=f"{self._epoch}-{event.seq}")
        last = events[-1]
        finished = isinstance(last, RunFinished)
        pipe.expire(self._key, self._settings.run_log_finished_seconds if finished else self._settings.run_log_seconds)
        try:
            await pipe.execute()
        except ResponseError as error:
            if not _is_late(error):  # out of memory, read-only: it may be well again in a moment
                raise ValkeyIsUnavailable("The run's log cannot be written.") from error
            await self._append_rest(events)
        except OUTAGES as error:
            raise ValkeyIsUnavailable("The run's log cannot be written.") from error

    async def _append_rest(self, events: Sequence[Event]) -> None:
        """Find out why an id was refused: a later epoch wrote, or an append that seemed to fail had arrived."""
        try:
            newest = await self._valkey.xrevrange(self._key, count=1)
        except OUTAGES as error:
            raise ValkeyIsUnavailable("The run's log cannot be read.") from error
        epoch, _, seq = newest[0][0].decode().partition("-") if newest else ("0", "", "0")
        rest = [event for event in events if event.seq > int(seq)]
        if int(epoch) != self._epoch or len(rest) == len(events):
            raise RunWasTaken
        if rest:
            await self.append(*rest)


class RunLogs:
    """Opens and reads the logs of all runs."""

    def __init__(self, *, valkey: Valkey, tails: Tails, keyring: Keyring, settings: Settings) -> None:
        self._valkey = valkey
        self._tails = tails
        self._keyring = keyring
        self._settings = settings

    def writer(self, cipher: TenantCipher, run_id: UUID, epoch: int) -> RunLog:
        """Open a run's log for writing in this epoch."""
        return RunLog(self._valkey, cipher, self._settings, run_id, epoch)

    async def forget(self, tenant_id: UUID, run_ids: Sequence[UUID]) -> None:
        """Remove the logs of runs that are gone."""
        if run_ids:
            await self._valkey.unlink(*(stream_key(self._settings, tenant_id, run_id) for run_id in run_ids))

    async def newest_seq(self, tenant_id: UUID, run_id: UUID) -> int:
        """Return the last seq that the log holds, 0 for none."""
        newest = await self._valkey.xrevrange(stream_key(self._settings, tenant_id, run_id), count=2)  # the last may be a fence
        return max((_seq(entry_id.decode()) for entry_id, _ in newest), default=0)

    async def written(self, cipher: TenantCipher, run_id: UUID, *, after: int = 0) -> list[Event]:
        """Return the events that the log holds after a seq, in order."""
        events: list[Event] = []
        start = "-"
        key = stream_key(self._settings, cipher.tenant_id, run_id)
        while True:
            page: list[tuple[bytes, dict[bytes, bytes]]] = await self._valkey.xrange(key, min=start, count=PAGE)
            for entry_id, fields in page:
                if _seq(entry_id.decode()) > after:
                    events.append(self._opened(cipher, run_id, (entry_id.decode(), fields)))
            if len(page) < PAGE:
                return events
            start = "(" + page[-1][0].decode()

    async def read(
        self, tenant_id: UUID, run_id: UUID, *, after: int, state: Callable[[], Awaitable[RunState]]
    ) -> AsyncGenerator[Event, None]:
        """Yield every event after `after`, old and new, without gap or duplicate, until the run has finished.

        What the log no longer holds is told by one `RunSnapshot`; the saved messages are then the truth.
        """
        cipher = await self._keyring.cipher(tenant_id)
        tail = self._tails.follow(stream_key(self._settings, tenant_id, run_id))
        last = after
        try:
            entries: list[Entry] | None = None
            while True:
                try:
                    events = await self._news(cipher, run_id, entries, last)
                    if not events or events[0].seq > last + 1:
                        known = await state()
                        if known.finished and last >= known.last_seq:
                            return
                        if not events and known.finished_at > time.time() - QUIET_SECONDS:
                            # PostgreSQL hears of the end before the log does.
                            await tail.wait(END_SECONDS)
                            events = await self.written(cipher, run_id, after=last)
                        events = _told(events, last, known, resumed=after > 0)
                except OUTAGES:
                    # The reader waits for Valkey to come back; the answer goes on being made.
                    await asyncio.sleep(OUTAGE_PAUSE)
                    entries = None
                    continue
                for event in events:
                    yield event
                    last = event.seq
                    if isinstance(event, RunFinished):
                        return
                entries = await tail.wait(QUIET_SECONDS)
        finally:
            tail.close()

    async def _news(self, cipher: TenantCipher, run_id: UUID, entries: list[Entry] | None, last: int) -> list[Event]:
        """Open what the tail brought, or read the log itself: at first, after a gap, and after a silence."""
        fresh = [entry for entry in entries or () if _seq(entry[0]) > last]
        if fresh and _seq(fresh[0][0]) == last + 1:
            return [self._opened(cipher, run_id, entry) for entry in fresh]
        return await self.written(cipher, run_id, after=last)

    def _opened(self, cipher: TenantCipher, run_id: UUID, entry: Entry) -> Event:
        seq = _seq(entry[0])
        return decoded(cipher.decrypt("runs", "events", _row(run_id, seq), entry[1][b"e"]))


def _told(events: list[Event], last: int, state: RunState, *, resumed: bool) -> list[Event]:
    """Fill what the log lacks from what PostgreSQL knows: nothing, a snapshot before later events, or snapshot and end."""
    reason = "RESUME_BEFORE_WINDOW" if resumed else "GAP"
    if events and events[0].seq == last + 1:
        return events
    if events:
        gap = RunSnapshot(seq=events[0].seq - 1, at=events[0].at, reason=reason, message_ids=state.message_ids)
        return [gap, *events]
    if not state.finished:
        return []
    end = RunFinished(seq=state.last_seq, at=state.finished_at, status=state.status)
    if end.seq == last + 1:
        return [end]
    return [RunSnapshot(seq=end.seq - 1, at=state.finished_at, reason=reason, message_ids=state.message_ids), end]


def stream_key(settings: Settings, tenant_id: UUID, run_id: UUID) -> str:
    """Name a run's stream."""
    return f"{settings.valkey_prefix}:{tenant_id}:run:{run_id}"


def _is_late(error: ResponseError) -> bool:
    """Whether an id was refused because a higher one is there."""
    return "equal or smaller" in str(error) or "must be greater" in str(error)


def _row(run_id: UUID, seq: int) -> str:
    return f"{run_id}:{seq}"


def _seq(entry_id: str) -> int:
    return int(entry_id.partition("-")[2])
