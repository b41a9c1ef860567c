"""Queries that are asked again and again, by GET and the id of a document: answered with what is kept, where they are marked `@cached`.

`docs/decisions/0026-answers-are-kept-by-version.md` says why that is right.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson
from graphql import ExecutionResult

from resolvers.operations import Operation
from schema.caching import KeptFor
from web.caching import tag_of
from web.documents import Prepared
from web.door import Door
from web.keeping import Key
from web.kept_answers import KeptAnswer, KeptAnswers
from web.metrics import KEPT_ANSWERS

KEPT_POINTS: Final = 1
"""What an answer costs that was kept, in points; the rest of its charge is given back."""


class Repeat(NamedTuple):
    """An answer. `tag` is None where it has errors; `status` is what `Cache-Status` says of one that might have been kept (RFC 9211)."""

    result: ExecutionResult
    tag: str | None
    status: str | None = None
    age: int | None = None
    data: bytes | None = None


class Place(NamedTuple):
    """Where an answer is kept."""

    key: Key
    version: bytes


class Repeats:
    """Answers those queries, and keeps what may be kept."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._seconds = door.settings.graphql_cached_answer_seconds
        self.kept = KeptAnswers(door.settings)
        self._sweeping: asyncio.TimerHandle | None = None

    async def answer(self, prepared: Prepared, operation: Operation, variables: dict[str, Any], *, anew: bool) -> Repeat:
        """Answer a query that was admitted; `anew` gives nothing that is kept, but keeps what comes of it."""
        if prepared.keeping is None:
            return _written(await self._door.run(prepared, operation, variables))
        place = await self._place(prepared, operation, variables)
        if isinstance(place, str):
            KEPT_ANSWERS.add(1, "bypass", place)
            return _written(await self._door.run(prepared, operation, variables), f"fwd=bypass; detail={place}")
        found = self.kept.find(*place)
        if anew:
            KEPT_ANSWERS.add(1, "bypass", "request")
            return await self._made(place, prepared, operation, variables, "fwd=request")
        if found is not None:
            return self._given(found, operation, "hit", f"hit; ttl={self.kept.left(found)}")
        async with self.kept.turn(*place) as is_first:
            if not is_first and (found := self.kept.find(*place)) is not None:
                return self._given(found, operation, "shared", "fwd=miss; collapsed")
            KEPT_ANSWERS.add(1, "miss", None)
            return await self._made(place, prepared, operation, variables, "fwd=miss")

    async def _place(self, prepared: Prepared, operation: Operation, variables: Mapping[str, Any]) -> Place | str:
        """Find out where an answer would be kept, or why nowhere. The version is read before anything else is: what is read is no older."""
        keeping, viewer = prepared.keeping, operation.credential
        assert keeping is not None, "the query is marked"
        if not self._seconds:
            return "off"
        if viewer is None:
            return "signed-out"
        if keeping.kept_for is KeptFor.NOBODY:
            return "fields"
        if (key := keeping.key(viewer, variables)) is None:
            return "variables"
        version = await self._door.process.versions.of(viewer.tenant_id)
        return "version" if version is None else Place(key, version)

    def _given(self, found: KeptAnswer, operation: Operation, outcome: str, status: str) -> Repeat:
        KEPT_ANSWERS.add(1, outcome, None)
        result = ExecutionResult(_as_it_is(found.data))
        self._door.settle(operation, result, KEPT_POINTS)
        return Repeat(result, found.tag, status, self.kept.age(found))

    async def _made(self, place: Place, prepared: Prepared, operation: Operation, variables: dict[str, Any], status: str) -> Repeat:
        assert prepared.keeping is not None, "the query is marked"
        began = self.kept.now()
        made = _written(await self._door.run(prepared, operation, variables), status)
        if made.data is None or made.tag is None:
            return made
        answer = KeptAnswer(made.data, made.tag, began, began + min(prepared.keeping.seconds, self._seconds))
        if not self.kept.keep(*place, answer):
            return made
        self._sweep_later()
        return made._replace(status=f"{status}; stored")

    def _sweep_later(self) -> None:
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(self._seconds, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = None
        if self.kept.sweep():
            self._sweep_later()


def _written(result: ExecutionResult, status: str | None = None) -> Repeat:
    """Write an answer's data, once for its tag, its body and whoever asks again."""
    if result.errors or (data := _encoded(result.data)) is None:
        return Repeat(result, None, status)
    result.data = _as_it_is(data)
    return Repeat(result, tag_of(data), status, data=data)


def _as_it_is(data: bytes) -> Any:
    """Stand for data that is written already, in what is to be written."""
    return orjson.Fragment(data)


def _encoded(data: Any) -> bytes | None:
    """Write data as JSON; None where that cannot be done, which whoever writes the answer meets again."""
    try:
        return orjson.dumps(data, default=str)
    except TypeError:
        return None
