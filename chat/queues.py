"""How a worker hears of its work: a Valkey stream of waiting runs, and a channel of runs that should stop.

Both are hints. PostgreSQL is the truth: a lost hint is found by a worker's sweep and at its next sign of life.
"""

import enum
from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import UUID

from valkey.asyncio import Valkey
from valkey.exceptions import ResponseError

from settings import Settings

GROUP: Final = "workers"
LONGEST: Final = 100_000


class Stop(enum.StrEnum):
    """How an answer should stop: at once, or at the next clean point, because more was said that a new run answers."""

    CANCEL = "CANCEL"
    STEER = "STEER"


class RunQueue:
    """Hands runs that wait to workers, each to one."""

    def __init__(self, valkey: Valkey, settings: Settings) -> None:
        self._valkey = valkey
        self._key = f"{settings.valkey_prefix}:runs"
        self._stops = f"{settings.valkey_prefix}:stops"

    async def put(self, tenant_id: UUID, run_id: UUID) -> None:
        """Tell the workers of a run that waits."""
        await self._valkey.xadd(self._key, {"run": tenant_id.bytes + run_id.bytes}, maxlen=LONGEST, approximate=True)

    async def take(self, valkey: Valkey, worker: str, *, most: int, wait_ms: int) -> list[tuple[UUID, UUID]]:
        """Wait for runs on a connection that may block, and take at most `most` of them."""
        try:
            answer: Any = await valkey.xreadgroup(GROUP, worker, {self._key: ">"}, count=most, block=wait_ms, noack=True)
        except ResponseError as error:
            if "NOGROUP" not in str(error):
                raise
            await self._make_group()
            return []
        entries = [entry for _, found in answer or () for entry in found]
        if entries:
            await self._valkey.xdel(self._key, *(entry_id for entry_id, _ in entries))
        return [(UUID(bytes=fields[b"run"][:16]), UUID(bytes=fields[b"run"][16:])) for _, fields in entries]

    async def backlog(self) -> tuple[int, float]:
        """Return how many runs wait that no worker was told of, and for how many seconds the oldest has."""
        async with self._valkey.pipeline(transaction=False) as pipeline:
            pipeline.xlen(self._key)
            pipeline.xrange(self._key, count=1)
            pipeline.time()
            waiting, first, (seconds, micros) = await pipeline.execute()
        since = int(first[0][0].split(b"-")[0]) / 1000 if first else seconds + micros / 1e6
        return waiting, max(0.0, seconds + micros / 1e6 - since)

    async def stop(self, run_id: UUID, how: Stop) -> None:
        """Tell the worker that makes this answer to stop."""
        await self._valkey.publish(self._stops, run_id.bytes + how.encode())

    async def stops(self, valkey: Valkey) -> AsyncIterator[tuple[UUID, Stop]]:
        """Follow the runs that should stop, on a connection of its own."""
        async with valkey.pubsub(ignore_subscribe_messages=True) as channel:
            await channel.subscribe(self._stops)
            while True:
                message = await channel.get_message(timeout=5.0)
                if message is not None:
                    yield UUID(bytes=message["data"][:16]), Stop(message["data"][16:].decode())

    async def _make_group(self) -> None:
        try:
            await self._valkey.xgroup_create(self._key, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise
