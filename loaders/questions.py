"""A question: the keys that many fields ask for at about the same time, answered by one read."""

import asyncio
import contextvars
import copy
from collections.abc import Hashable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from db.scopes import Reading, Reads
from db.statements.projections import Columns

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)


class Ask(Protocol[K, V_co]):
    """Reads the answers to many keys at once; rows have at least the wanted columns, all of them for None."""

    async def __call__(self, scope: Reading, tenant_id: UUID, keys: list[K], columns: Columns | None = None, /) -> Mapping[K, V_co]: ...


class Question(Generic[K, V]):
    """Answers keys in reads of at most `max_batch`, each key once; belongs to one operation of one tenant."""

    def __init__(self, ask: Ask[K, V], scopes: Reads, tenant_id: UUID, *, max_batch: int = 1000) -> None:
        self._batches = _Batches(ask, scopes, tenant_id, max_batch)
        self._columns: Columns | None = None
        self._narrowed: dict[Columns | None, Question[K, V]] = {None: self}

    def of(self, columns: Columns | None) -> "Question[K, V]":
        """Return the question whose answers need to have these columns only, all of them for None.

        Those who ask at about the same time share one read, whatever columns each wants: rows may have more than one asked for.
        """
        if (narrowed := self._narrowed.get(columns)) is None:
            narrowed = self._narrowed[columns] = copy.copy(self)
            narrowed._columns = columns  # noqa: SLF001 - one of its own kind
        return narrowed

    async def load(self, key: K) -> V | None:
        """Return the answer for this key, or None when there is none."""
        (read,) = self._batches.reads_of((key,), self._columns)
        assert read is not None
        return (await read.answers()).get(key)

    async def load_many(self, keys: Sequence[K | None]) -> list[V | None]:
        """Return the answers in the order of the keys: None where there is none, and for a key that is None."""
        reads = self._batches.reads_of(keys, self._columns)
        answers = {read: await read.answers() for read in set(reads) if read is not None}
        if len(answers) == 1:
            get = answers.popitem()[1].get
            return [None if key is None else get(key) for key in keys]
        return [None if key is None or read is None else answers[read].get(key) for key, read in zip(keys, reads, strict=True)]


class _Read(Generic[K, V]):
    """The keys of one statement, and all who wait for their answers."""

    __slots__ = ("_error", "_found", "_waiting", "columns", "keys")

    def __init__(self, columns: Columns | None) -> None:
        self.keys: dict[K, None] = {}
        self.columns = columns
        self._found: Mapping[K, V] | None = None
        self._error: BaseException | None = None
        self._waiting: list[asyncio.Future[None]] = []

    def covers(self, columns: Columns | None) -> bool:
        return self.columns is None or (columns is not None and columns <= self.columns)

    def widen(self, columns: Columns | None) -> None:
        """Read these columns too."""
        if not self.covers(columns):
            self.columns = None if self.columns is None or columns is None else self.columns | columns

    async def answers(self) -> Mapping[K, V]:
        """Wait for the answers; raises what the read failed with."""
        if self._found is None and self._error is None:
            # Each caller's own: a field that is given up must not take the answer away from the others.
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
        if self._error is not None:
            raise self._error
        assert self._found is not None
        return self._found

    def finish(self, found: Mapping[K, V] | None, error: BaseException | None = None) -> None:
        self._found, self._error = found, error
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        self._waiting.clear()


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
        self._tasks: set[asyncio.Task[None]] = set()

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
            self._gathering.append(_Read(columns))
        self._joined += len(keys)
        while keys:
            read = self._gathering[-1]
            room = self._max_batch - len(read.keys)
            if room == 0:
                self._gathering.append(_Read(columns))
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
            # In a context of its own: the read must neither run inside the scope of whoever asked first, nor lend it its own.
            task = loop.create_task(self._run(read), context=contextvars.Context())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, read: _Read[K, V]) -> None:
        try:
            async with self._scopes.reading(self._tenant_id) as scope:
                found = await self._ask(scope, self._tenant_id, list(read.keys), read.columns)
        except BaseException as error:
            for key in read.keys:
                if self._reads.get(key) is read:
                    del self._reads[key]
            read.finish(None, _lasting(error))
            if not isinstance(error, Exception):
                raise
        else:
            read.finish(found)


def _lasting(error: BaseException) -> BaseException:
    """A cancelled read (the process stops) must not look as if the field that asked had been cancelled."""
    return RuntimeError("The read was cancelled.") if isinstance(error, asyncio.CancelledError) else error
