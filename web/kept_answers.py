"""Answers that a process keeps: each under its tenant's version, and all of them within bounds of number and memory."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, NamedTuple
from uuid import UUID

from settings import Settings
from web.keeping import Key

LARGEST_SHARE: Final = 8
"""An answer beyond this part of the memory is not kept: one must not drive out all others."""
OVERHEAD: Final = 1024
"""What an answer takes beside its text, with its key, in bytes."""


class KeptAnswer(NamedTuple):
    """The data of an answer as JSON, its entity tag, and between which moments it may be given."""

    data: bytes
    tag: str
    made_at: float
    until: float

    @property
    def size(self) -> int:
        return len(self.data) + OVERHEAD


class Shelf:
    """The answers of one tenant that are of its latest version."""

    def __init__(self, version: bytes) -> None:
        self.version = version
        self.answers: OrderedDict[Key, KeptAnswer] = OrderedDict()
        self.size = 0

    def take(self, key: Key) -> int:
        """Take an answer off, and say what it took."""
        size = self.answers.pop(key).size
        self.size -= size
        return size


class KeptAnswers:
    """Keeps answers. Beyond the bounds, who has more than an even share makes room out of their own, or else who has not asked longest."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = settings.graphql_cached_answers
        self._most_bytes = settings.graphql_cached_answer_bytes
        self._clock = clock
        self._shelves: OrderedDict[UUID, Shelf] = OrderedDict()
        self._making: dict[tuple[Key, bytes], asyncio.Future[None]] = {}
        self.count = 0
        self.size = 0

    def find(self, key: Key, version: bytes) -> KeptAnswer | None:
        """Return an answer of this version, if there is one that is not too old; those of another version are of no use any more."""
        if (shelf := self._shelves.get(key.tenant_id)) is None:
            return None
        if shelf.version != version:
            self._clear(key.tenant_id)
            return None
        self._shelves.move_to_end(key.tenant_id)
        if (found := shelf.answers.get(key)) is None:
            return None
        if found.until <= self._clock():
            self._forget(key)
            return None
        shelf.answers.move_to_end(key)
        return found

    def keep(self, key: Key, version: bytes, answer: KeptAnswer) -> bool:
        """Keep an answer; False for one that is too large, or whose version is no longer the latest that this process has seen."""
        if answer.size > self._most_bytes // LARGEST_SHARE:
            return False
        if (shelf := self._shelves.get(key.tenant_id)) is not None:
            if shelf.version != version:
                return False
            if key in shelf.answers:
                self._forget(key)
        shelf = self._shelves.setdefault(key.tenant_id, Shelf(version))
        self._shelves.move_to_end(key.tenant_id)
        shelf.answers[key] = answer
        shelf.size += answer.size
        self.size += answer.size
        self.count += 1
        while self.size > self._most_bytes or self.count > self._most:
            self._make_room(shelf)
        return True

    def sweep(self) -> bool:
        """Let go of all that is too old, so that nothing that was redacted lies here for long; says whether anything is left."""
        now = self._clock()
        for shelf in list(self._shelves.values()):
            for key in [key for key, answer in shelf.answers.items() if answer.until <= now]:
                self._forget(key)
        return bool(self._shelves)

    def now(self) -> float:
        """Return this moment, by the clock that answers are kept by."""
        return self._clock()

    def age(self, answer: KeptAnswer) -> int:
        """How old an answer is, in seconds."""
        return int(self._clock() - answer.made_at)

    def left(self, answer: KeptAnswer) -> int:
        """How much longer an answer may be given, in seconds."""
        return int(answer.until - self._clock())

    @asynccontextmanager
    async def turn(self, key: Key, version: bytes) -> AsyncIterator[bool]:
        """Let one of those make an answer who want the same at the same time; the others wait here first, and False tells them so.

        They wait once, as long as the first one takes: where that one's could not be kept, or its maker went away, each makes its own.
        """
        name = key, version
        if (made := self._making.get(name)) is not None:
            await asyncio.shield(made)
            yield False
            return
        made = self._making[name] = asyncio.get_running_loop().create_future()
        try:
            yield True
        finally:
            del self._making[name]
            made.set_result(None)

    def _make_room(self, own: Shelf) -> None:
        """Let go of one answer: of those of the tenant that has just got one, where it has others and they take more than an even share."""
        shelves, count = len(self._shelves), len(own.answers)
        is_greedy = count > 1 and (own.size * shelves > self._most_bytes or count * shelves > self._most)
        shelf = own if is_greedy else next(iter(self._shelves.values()))
        self._forget(next(iter(shelf.answers)))

    def _forget(self, key: Key) -> None:
        """Let go of an answer, and of its tenant with the last one."""
        shelf = self._shelves[key.tenant_id]
        self.size -= shelf.take(key)
        self.count -= 1
        if not shelf.answers:
            del self._shelves[key.tenant_id]

    def _clear(self, tenant_id: UUID) -> None:
        shelf = self._shelves.pop(tenant_id)
        self.size -= shelf.size
        self.count -= len(shelf.answers)
