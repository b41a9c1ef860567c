"""A run's log: a Valkey stream of encrypted events under the ids `<epoch>-<seq>`.

Valkey refuses an id that is not above the last, so a worker that was paused and replaced cannot write: the epoch of its
successor is higher. Pub/sub would lose what falls between two connections; a stream does not.
"""

import contextlib
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final
from uuid import UUID

from valkey.asyncio import Valkey
from valkey.exceptions import ResponseError

from auth.encryption.ciphers import TenantCipher
from auth.encryption.keyring import Keyring
from chat.broadcasts import Broadcast, opened, place_of, seq_of
from chat.events import Event, RunFinished, encoded
from chat.followers import Follower, Sink
from chat.sights import Sight
from chat.views import Told, View
from events.entries import Entry
from events.tails import Tails
from events.valkey import OUTAGES, ValkeyIsUnavailable
from events.versions import Versions
from events.wires import Pipe, refusal_among
from settings import Settings

PAGE: Final = 1000
FENCES: Final = 16  # entries that are looked at for the first event: more workers have hardly been lost one after the other
NO_LATER_EPOCH: Final = 2**62


class RunWasTaken(Exception):
    """Another worker writes this run's log now; stop without a further word."""


class RunLog:
    """Writes one run's log for one epoch."""

    def __init__(  # noqa: PLR0913 - what is written, for whom and how
        self, valkey: Valkey, pipe: Pipe, cipher: TenantCipher, versions: Versions, settings: Settings, run_id: UUID, epoch: int
    ) -> None:
        self._valkey = valkey
        self._versions = versions
        self._pipe = pipe
        self._cipher = cipher
        self._settings = settings
        self._run_id = run_id
        self._epoch = epoch
        self._key = stream_key(settings, cipher.tenant_id, run_id)
        self._window = Window(settings.run_log_max_bytes)

    def hold(self, written: Sequence[Told]) -> None:
        """Take note of what earlier epochs wrote, which counts for the log's size."""
        for told in written:
            self._window.grow(told.entry_id, told.size)

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
        """Add events in their order; raises `RunWasTaken` when a later epoch has written.

        Whoever hears of the run's end, which is saved before it is told, is given nothing older: its tenant's version is renewed first.
        """
        key = self._key.encode()
        commands: list[Sequence[bytes]] = []
        for event in events:
            sealed = self._cipher.encrypt("runs", "events", place_of(self._run_id, event.seq), encoded(event))
            entry_id = f"{self._epoch}-{event.seq}"
            commands.append((b"XADD", key, entry_id.encode(), b"e", sealed))
            self._window.grow(entry_id, len(sealed))
        if (first := self._window.cut()) is not None:
            commands.append((b"XTRIM", key, b"MINID", b"=", first.encode()))
        kept = self._settings.run_log_finished_seconds if isinstance(events[-1], RunFinished) else self._settings.run_log_seconds
        commands.append((b"EXPIRE", key, b"%d" % kept))
        if len(events) > 1:  # in one piece, so that a waiting reader is woken once and gets all of it
            commands = [(b"MULTI",), *commands, (b"EXEC",)]
        if isinstance(events[-1], RunFinished) and self._versions.are_kept:
            commands.insert(0, self._versions.renewal(self._cipher.tenant_id))
        try:
            refused = refusal_among(await self._pipe.asked(*commands))
        except OUTAGES as error:
            raise ValkeyIsUnavailable("The run's log cannot be written.") from error
        if refused is None:
            return
        if not _is_late(refused):  # out of memory, read-only: it may be well again in a moment
            raise ValkeyIsUnavailable("The run's log cannot be written.") from refused
        await self._append_rest(events)

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


class Window:
    """Finds out where a log must begin so that it stays within its limit, to a hundredth of that."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = 0
        self._marks: deque[tuple[str, int]] = deque()

    def grow(self, entry_id: str, size: int) -> None:
        """Count an entry."""
        if not self._marks or self._size - self._marks[-1][1] >= self._most // 100:
            self._marks.append((entry_id, self._size))
        self._size += size

    def cut(self) -> str | None:
        """Return the entry that is to be the first, where some must go."""
        before = len(self._marks)
        while len(self._marks) > 1 and self._size - self._marks[0][1] > self._most:
            self._marks.popleft()
        return self._marks[0][0] if len(self._marks) < before else None


class RunLogs:
    """Opens and reads the logs of all runs."""

    def __init__(self, *, valkey: Valkey, tails: Tails, keyring: Keyring, versions: Versions, settings: Settings) -> None:
        self._valkey = valkey
        self._versions = versions
        self._pipe = Pipe(valkey, seconds=settings.valkey_timeout_seconds)
        self._tails = tails
        self._keyring = keyring
        self._settings = settings
        self._broadcasts: dict[str, Broadcast] = {}

    def writer(self, cipher: TenantCipher, run_id: UUID, epoch: int) -> RunLog:
        """Open a run's log for writing in this epoch."""
        return RunLog(self._valkey, self._pipe, cipher, self._versions, self._settings, run_id, epoch)

    async def cipher(self, tenant_id: UUID) -> TenantCipher:
        """Return what opens the logs of a tenant."""
        return await self._keyring.cipher(tenant_id)

    async def renew(self, tenant_id: UUID) -> None:
        """Let nobody be given what was kept before the end of a run that is told without its log."""
        await self._versions.renew(tenant_id)

    async def forget(self, tenant_id: UUID, run_ids: Sequence[UUID]) -> None:
        """Empty the logs of runs for good; again is no mistake.

        What stays is a fence: a worker that still has something to tell is refused, since no epoch comes after it.
        """
        pipe = self._valkey.pipeline(transaction=False)
        for run_id in run_ids:
            key = stream_key(self._settings, tenant_id, run_id)
            pipe.xadd(key, {"e": b""}, id=f"{NO_LATER_EPOCH}-0")
            pipe.xtrim(key, maxlen=1, approximate=False)
            pipe.expire(key, self._settings.run_log_seconds)
        for answer in await pipe.execute(raise_on_error=False):
            if isinstance(answer, ResponseError) and not _is_late(answer):  # the fence stands already
                raise ValkeyIsUnavailable("The runs' logs cannot be emptied.") from answer

    async def newest_seq(self, tenant_id: UUID, run_id: UUID) -> int:
        """Return the last seq that the log holds, 0 for none."""
        newest = await self._valkey.xrevrange(stream_key(self._settings, tenant_id, run_id), count=2)  # the last may be a fence
        return max((seq_of(entry_id.decode()) for entry_id, _ in newest), default=0)

    async def first_seqs(self, tenant_id: UUID, run_ids: Sequence[UUID]) -> list[int]:
        """Return the first seq that each log holds, 0 for none; raises `ValkeyIsUnavailable`."""
        pipe = self._valkey.pipeline(transaction=False)
        for run_id in run_ids:
            pipe.xrange(stream_key(self._settings, tenant_id, run_id), count=FENCES)
        try:
            answers = await pipe.execute()
        except OUTAGES as error:
            raise ValkeyIsUnavailable("The runs' logs cannot be read.") from error
        return [next((seq for entry_id, _ in found if (seq := seq_of(entry_id.decode()))), 0) for found in answers]

    async def was_cut(self, tenant_id: UUID, run_id: UUID) -> bool:
        """Whether a log was once longer than it may be."""
        try:
            about = await self._valkey.xinfo_stream(stream_key(self._settings, tenant_id, run_id))
        except ResponseError:  # there is none
            return False
        return int(about["entries-added"]) > int(about["length"])

    async def written(self, cipher: TenantCipher, run_id: UUID) -> list[Told]:
        """Return the events that the log holds, in order."""
        found: list[Told] = []
        more, last = True, ""
        while more:
            tolds, more = await self.page(cipher, run_id, after=0, since=last)
            found += tolds
            last = tolds[-1].entry_id if tolds else last
        return found

    async def page(self, cipher: TenantCipher, run_id: UUID, *, after: int, since: str = "") -> tuple[list[Told], bool]:
        """Return the next events after a seq, and whether there may be more; `since` is an entry that lies before them."""
        key = stream_key(self._settings, cipher.tenant_id, run_id)
        while True:
            found: list[tuple[bytes, dict[bytes, bytes]]] = await self._valkey.xrange(key, min=f"({since}" if since else "-", count=PAGE)
            entries: list[Entry] = [(entry_id.decode(), fields) for entry_id, fields in found]
            broadcast = self._broadcasts.get(key)
            tolds = [
                opened(entry, cipher, run_id) if broadcast is None else broadcast.opened(entry, cipher)
                for entry in entries
                if seq_of(entry[0]) > after
            ]
            if tolds or len(entries) < PAGE:
                return tolds, len(entries) == PAGE
            since = entries[-1][0]

    @contextlib.asynccontextmanager
    async def followed(  # noqa: PLR0913 - who follows, and how
        self, tenant_id: UUID, run_id: UUID, *, after: int, sight: Sight[Any], sink: Sink | None, view: View
    ) -> AsyncIterator[Follower]:
        """Follow a run's log, beside all others who do so in this process."""
        cipher = await self.cipher(tenant_id)
        follower = Follower(
            after=after, cipher=cipher, sight=sight, sink=sink, backlog_bytes=self._settings.socket_backlog_bytes, view=view
        )
        key = stream_key(self._settings, tenant_id, run_id)
        if (broadcast := self._broadcasts.get(key)) is None:
            broadcast = self._broadcasts[key] = Broadcast(run_id)
            self._tails.follow(key, broadcast)
        broadcast.join(follower)
        try:
            yield follower
        finally:
            if broadcast.leave(follower):
                del self._broadcasts[key]
                self._tails.leave(key, broadcast)


def stream_key(settings: Settings, tenant_id: UUID, run_id: UUID) -> str:
    """Name a run's stream."""
    return f"{settings.valkey_prefix}:{tenant_id}:run:{run_id}"


def _is_late(error: ResponseError) -> bool:
    """Whether an id was refused because a higher one is there."""
    return "equal or smaller" in str(error) or "must be greater" in str(error)
