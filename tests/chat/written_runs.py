"""Runs whose logs a test writes itself, in Valkey as it is, with a key of their own."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Protocol, cast
from uuid import UUID, uuid4

from auth.encryption.ciphers import TenantCipher
from auth.encryption.keyring import Keyring
from chat.events import Event
from chat.logs import RunLogs, stream_key
from chat.readers import RunReader, RunState, Saved, Seen
from chat.sights import Sight
from chat.views import EVERYTHING, View
from errors import NotFound
from events.tails import Tails
from events.valkey import open_valkey
from events.versions import Versions
from settings import Settings
from tests.chat.events_of_a_run import new_cipher, said


class Keys:
    """A keyring of one tenant."""

    def __init__(self, cipher: TenantCipher) -> None:
        self._cipher = cipher

    async def cipher(self, tenant_id: UUID) -> TenantCipher:
        assert tenant_id == self._cipher.tenant_id
        return self._cipher


class WrittenRun:
    """A run, what its log is given, and what PostgreSQL would know of it."""

    def __init__(self, logs: RunLogs, cipher: TenantCipher, events: list[Event]) -> None:
        self.logs = logs
        self.versions = logs._versions
        self.cipher = cipher
        self.run_id = uuid4()
        self.events = events
        self.visible = True
        self.position: int | None = None
        self.key = stream_key(logs._settings, cipher.tenant_id, self.run_id)
        self._writer = logs.writer(cipher, self.run_id, 1)
        self._written = 0
        self._ended_at = time.time()

    @property
    def is_whole(self) -> bool:
        return self._written == len(self.events)

    async def write(self, count: int) -> None:
        """Add so many events to the log, in one piece."""
        some = self.events[self._written : self._written + count]
        if some:
            self._written += len(some)
            await self._writer.append(*some)

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait, one question to Valkey after the other."""
        while not true():
            await self.logs._valkey.ping()

    async def state(self) -> RunState:
        if not self.visible:
            raise NotFound("It is out of sight.")
        return RunState(self._status, self._written, self._finished_at, 1.0, self.position)

    async def saved(self) -> Saved:
        """What was saved with the last event that was written; what the answer says stands for the message."""
        await self.state()
        return Saved(self._status, self._written, self._finished_at, [{"said": said(self.events[: self._written])}])

    @property
    def _status(self) -> str:
        return "COMPLETED" if self.is_whole else "RUNNING"

    @property
    def _finished_at(self) -> float | None:
        return self._ended_at if self.is_whole else None

    def reader(self, *, after: int = 0, view: View = EVERYTHING) -> RunReader:
        seen = Seen(Sight("ada", self.state), self.saved)
        settings = self.logs._settings
        return RunReader(self.logs, self.cipher.tenant_id, self.run_id, after=after, seen=seen, settings=settings, view=view)


class Begin(Protocol):
    """Gives runs that are going to say what they are given, under the settings that are named."""

    def __call__(self, events: list[Event], **given: Any) -> WrittenRun: ...


@asynccontextmanager
async def beginning(settings: Settings) -> AsyncIterator[Begin]:
    """Let runs begin; at the end nobody may follow them any more."""
    commands, blocking, cipher = open_valkey(settings), open_valkey(settings, waits_seconds=10), new_cipher()
    tails = Tails(blocking, commands, settings.valkey_prefix)
    versions = Versions(commands, settings)
    begun: list[RunLogs] = []

    def begin(events: list[Event], **given: Any) -> WrittenRun:
        own = replace(settings, **given)
        begun.append(RunLogs(valkey=commands, tails=tails, keyring=cast("Keyring", Keys(cipher)), versions=versions, settings=own))
        return WrittenRun(begun[-1], cipher, events)

    yield begin
    assert all(logs._broadcasts == {} for logs in begun), "who leaves leaves nothing behind"
    await versions.close()
    await tails.close()
    await blocking.aclose()
    await commands.aclose()
