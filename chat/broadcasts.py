"""What the readers of one run in this process share: each entry of its log is opened once and handed to all of them."""

import asyncio
import contextvars
from collections.abc import Sequence
from typing import Final, NoReturn
from uuid import UUID

import structlog

from auth.encryption.ciphers import TenantCipher
from chat.events import decoded
from chat.followers import Follower, Group
from chat.sights import look_again
from chat.views import Told, View
from events.entries import Entry

log = structlog.get_logger()

KEPT_EVENTS: Final = 64  # of a run that is followed, for readers who come or lag while others listen


class Broadcast:
    """Hands a run's events to its followers. The key is the run's: they are all of its tenant."""

    def __init__(self, run_id: UUID) -> None:
        self._run_id = run_id
        self._followers: dict[Follower, None] = {}
        self._groups: dict[View, Group] = {}
        self._kept: dict[str, Told] = {}
        self._heard = (0, 0)  # epoch and seq
        self._looking: asyncio.Task[NoReturn] | None = None

    def join(self, follower: Follower) -> None:
        """Add a follower; it must look into the log once more for what came before."""
        self._followers[follower] = None
        if follower.view not in self._groups:
            self._groups[follower.view] = Group(follower.view)
        self._groups[follower.view].join(follower)
        if self._looking is None:
            # It serves all of them, so it has nothing of the first one's context.
            self._looking = asyncio.create_task(look_again(self._followers.keys()), name="sights", context=contextvars.Context())

    def leave(self, follower: Follower) -> bool:
        """Forget a follower, and say whether it was the last."""
        self._followers.pop(follower, None)
        group = self._groups.get(follower.view)
        if group is not None and group.leave(follower):
            del self._groups[follower.view]
        if not self._followers and self._looking is not None:
            self._looking.cancel()
            self._looking = None
        return not self._followers

    def heard(self, entries: Sequence[Entry]) -> None:
        """Open what came once, and hand it to all.

        An answer that was asked for by a broadcast before this one may bring again what the next one brings.
        """
        if not self._followers:
            return
        try:
            # The newest reader's cipher knows the newest key.
            cipher = next(reversed(self._followers)).cipher
            tolds = [self.opened(entry, cipher) for entry in entries if seq_of(entry[0]) and _order(entry[0]) > self._heard]
        except Exception as error:  # noqa: BLE001 - readers meet it in the log, each with its own cipher, and tell it
            log.warning("run_log_unreadable", run_id=str(self._run_id), error=type(error).__name__)
            self.lagged()
            return
        if tolds:
            self._heard = _order(tolds[-1].entry_id)
            now = asyncio.get_running_loop().time()
            for group in tuple(self._groups.values()):
                group.hear(tolds, now)

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


def place_of(run_id: UUID, seq: int) -> str:
    """Name what an entry is encrypted for."""
    return f"{run_id}:{seq}"


def seq_of(entry_id: str) -> int:
    """Read an event's seq out of its entry's id; 0 is a fence, which tells nothing."""
    return int(entry_id.partition("-")[2])


def epoch_of(entry_id: str) -> int:
    """Read out of an entry's id in which epoch it was written."""
    return int(entry_id.partition("-")[0])


def _order(entry_id: str) -> tuple[int, int]:
    return epoch_of(entry_id), seq_of(entry_id)
