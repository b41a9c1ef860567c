"""A question: the keys that many fields ask for at about the same time, answered by one read."""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from db.scopes import Reading, Reads, is_in_scope
from db.statements.projections import Columns

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)


class Ask(Protocol[K, V_co]):
    """Reads the answers to many keys at once; rows have at least the wanted columns, all of them for None."""

    async def __call__(self, scope: Reading, tenant_id: UUID, keys: list[K], columns: Columns | None = None, /) -> Mapping[K, V_co]: ...


class Question(Generic[K, V]):
    """Answers keys in reads of at most `max_batch`, each key once; belongs to one operation of one tenant."""

    __slots__ = ("_batches", "_columns", "_narrowed")

    def __init__(self, ask: Ask[K, V], scopes: Reads, tenant_id: UUID, *, max_batch: int = 1000) -> None:
        self._batches = _Batches(ask, scopes, tenant_id, max_batch)
        self._columns: Columns | None = None
        self._narrowed: dict[Columns | None, Question[K, V]] = {None: self}

    def of(self, columns: Columns | None) -> "Question[K, V]":
        """Return the question whose answers need to have these columns only, all of them for None.

        Those who ask at about the same time share one read, whatever columns each wants: rows may have more than one asked for.
        """
        if (narrowed := self._narrowed.get(columns)) is None:
            narrowed = self._narrowed[columns] = object.__new__(Question)
            narrowed._batches, narrowed._narrowed, narrowed._columns = self._batches, self._narrowed, columns
        return narrowed

    async def load(self, key: K) -> V | None:
        """Return the answer for this key, or None when there is none."""
        (read,) = self._batches.reads_of((key,), self._columns)
        assert read is not None
        return (await read.answers()).get(key)

    async def load_many(self, keys: Sequence[K | None]) -> list[V | None]:
        """Return the answers in the order of the keys: None where there is none, and for a key that is None."""
        reads = self._batches.reads_of(keys, self._columns)
        several = set(reads)
        several.discard(None)
        if len(several) == 1:
            (read,) = several
            assert read is not None
            get = (await read.answers()).get
            return [None if key is None else get(key) for key in keys]
        found = await asyncio.gather(*(read.answers() for read in several if read is not None))
        answers = dict(zip(several, found, strict=True))
        return [None if key is None or read is None else answers[read].get(key) for key, read in zip(keys, reads, strict=True)]


class _Read(Generic[K, V]):
    """The keys of one statement, and all who wait for their answers.

    One of those who wait reads for all: a task of its own would cost more than the rest of a small read. When that one is cancelled,
    the next begins anew.
    """

    __slots__ = ("_error", "_found", "_is_led", "_is_ready", "_read", "_waiting", "columns", "keys")

    def __init__(self, columns: Columns | None, read: Callable[["_Read[K, V]"], Awaitable[Mapping[K, V]]]) -> None:
        self.keys: dict[K, None] = {}
        self.columns = columns
        self._read = read
        self._found: Mapping[K, V] | None = None
        self._error: BaseException | None = None
        self._is_ready = self._is_led = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    def covers(self, columns: Columns | None) -> bool:
        return self.columns is None or (columns is not None and columns <= self.columns)

    def widen(self, columns: Columns | None) -> None:
        """Read these columns too."""
        if not self.covers(columns):
            self.columns = None if self.columns is None or columns is None else self.columns | columns

    async def answers(self) -> Mapping[K, V]:
        """Wait for the answers; raises what the read failed with."""
        while self._found is None and self._error is None:
            if self._is_ready and not self._is_led:
                await self._lead()
                break
            # Each caller's own: a field that is given up must not take the answer away from the others.
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                self._wake_leader()  # it may have been this one's turn
                raise
        if self._error is not None:
            raise self._error
        assert self._found is not None
        return self._found

    def begin(self) -> None:
        """Let the first who waits read; no more keys come."""
        self._is_ready = True
        self._wake_leader()

    async def _lead(self) -> None:
        """Read for all. A read that is cancelled with whoever leads it is left to the next."""
        self._is_led = True
        try:
            self._found = await self._read(self)
        except asyncio.CancelledError:
            self._is_led = False
            self._wake_leader()
            raise
        except Exception as error:  # noqa: BLE001 - it is raised to all who asked
            self._error = error
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        self._waiting.clear()

    def _wake_leader(self) -> None:
        while self._is_ready and not self._is_led and self._waiting:
            if not (waiter := self._waiting.popleft()).done():
                waiter.set_result(None)
                return


class _Batches(Generic[K, V]):
    """Which read answers which key; reads begin when no more keys come."""

    def __init__(self, ask: Ask[K, V], scopes: Reads, tenant_id: UUID, max_batch: int) -> None:
        self._ask = ask
        self._scopes = scopes
        self._tenant_id = tenant_id
        self._max_batch = max_batch
        self._reads: dict[K, _Read[K, V]] = {}
        self._gathering: list[_Read[K, V]] = []
        self._joined = 0

    def reads_of(self, keys: Sequence[K | None], columns: Columns | None) -> list[_Read[K, V] | None]:
        """Return the read that answers each key with these columns, a new one where none does; None for None."""
        find = self._reads.get
        if missing := {key: None for key in keys if key is not None and ((read := find(key)) is None or not read.covers(columns))}:
            self._join(list(missing), columns)
        return list(map(find, keys))  # type: ignore[arg-type] # there is no read under None

    def _join(self, keys: list[K], columns: Columns | None) -> None:
        """Let reads that have not begun answer these keys too."""
        if not self._gathering:
            loop = asyncio.get_running_loop()
            loop.call_soon(self._gather, loop, self._joined)
            self._gathering.append(_Read(columns, self._read))
        self._joined += len(keys)
        while keys:
            read = self._gathering[-1]
            room = self._max_batch - len(read.keys)
            if room == 0:
                self._gathering.append(_Read(columns, self._read))
                continue
            read.widen(columns)
            taken, keys = dict.fromkeys(keys[:room]), keys[room:]
            read.keys.update(taken)
            self._reads.update(dict.fromkeys(taken, read))

    def _gather(self, loop: asyncio.AbstractEventLoop, seen: int) -> None:
        """Read when a whole turn of the event loop brought no new key: siblings deeper in the tree get in too."""
        if self._joined > seen:
            loop.call_soon(self._gather, loop, self._joined)
            return
        reads, self._gathering = self._gathering, []
        for read in reads:
            read.begin()

    async def _read(self, read: _Read[K, V]) -> Mapping[K, V]:
        try:
            if is_in_scope():
                # The read must neither run inside the scope of whoever asked first, nor lend it its own.
                return await asyncio.get_running_loop().create_task(self._asked(read), context=contextvars.Context())
            return await self._asked(read)
        except Exception:
            for key in read.keys:
                if self._reads.get(key) is read:
                    del self._reads[key]
            raise

    async def _asked(self, read: _Read[K, V]) -> Mapping[K, V]:
        async with self._scopes.reading(self._tenant_id) as scope:
            return await self._ask(scope, self._tenant_id, list(read.keys), read.columns)
