"""Runs whose logs a test writes itself, in Valkey as it is, with a key of their own."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast
from uuid import UUID, uuid4

from auth.encryption.ciphers import TenantCipher
from auth.encryption.keyring import Keyring
from chat.events import Event
from chat.logs import RunLogs, stream_key
from chat.readers import RunReader, RunState
from chat.sights import Sight
from errors import NotFound
from events.tails import Tails
from events.valkey import open_valkey
from settings import Settings
from tests.chat.events_of_a_run import MESSAGE, new_cipher


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
        self.cipher = cipher
        self.run_id = uuid4()
        self.events = events
        self.visible = True
        self.key = stream_key(logs._settings, cipher.tenant_id, self.run_id)
        self._writer = logs.writer(cipher, self.run_id, 1)
        self._written = 0

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
        status, finished_at = ("COMPLETED", time.time()) if self.is_whole else ("RUNNING", 0.0)
        return RunState(status, self._written, self.is_whole, [MESSAGE], finished_at)

    def reader(self, *, after: int = 0) -> RunReader:
        return RunReader(self.logs, self.cipher.tenant_id, self.run_id, after=after, sight=Sight("ada", self.state))


Begin = Callable[[list[Event]], WrittenRun]


@asynccontextmanager
async def beginning(settings: Settings) -> AsyncIterator[Begin]:
    """Give runs that are going to say what they are given; at the end nobody may follow them any more."""
    commands, blocking, cipher = open_valkey(settings), open_valkey(settings, waits_seconds=10), new_cipher()
    tails = Tails(blocking, commands, settings.valkey_prefix)
    logs = RunLogs(valkey=commands, tails=tails, keyring=cast("Keyring", Keys(cipher)), settings=settings)
    yield lambda events: WrittenRun(logs, cipher, events)
    assert logs._broadcasts == {}, "who leaves leaves nothing behind"
    await tails.close()
    await blocking.aclose()
    await commands.aclose()
