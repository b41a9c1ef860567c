"""Links: fields that lead from a row to another node, through a question that all the rows of a level share."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import strawberry

from db.scopes import Row
from execution import Batch, batched
from execution.declarations import METADATA
from loaders.known import KnownRow
from resolvers.operations import Operation
from schema.caching import KeptFor

Find = Callable[[Operation, Sequence[Any], frozenset[str] | None], Awaitable[list[Row | None]]]


@dataclass(frozen=True)
class Link:
    """What a field's declaration says of it: the question asked (None for a resolver's own), and the column that holds the key."""

    question: str | None
    column: str


def link(question: str, *, column: str, description: str) -> Any:
    """Declare a field that is a node, found by asking `question` with a column of the row."""

    async def follow(operation: Operation, rows: Sequence[Row], needed: frozenset[str] | None) -> list[Row | None]:
        known = [row.known.get(question) if isinstance(row, KnownRow) else None for row in rows]
        keys = [row[column] if brought is None else None for row, brought in zip(rows, known, strict=True)]
        if not any(key is not None for key in keys):
            return known
        found = await getattr(operation.questions, question).of(needed).load_many(keys)
        return [row if brought is None else brought for brought, row in zip(known, found, strict=True)]

    return _linked(follow, Link(question, column), description, common=True)


def visible(find: Find, *, column: str, description: str) -> Any:
    """Declare a field that is a node, null where the viewer may not see it: `find` returns the rows of ids, as far as they may."""

    async def follow(operation: Operation, rows: Sequence[Row], needed: frozenset[str] | None) -> list[Row | None]:
        return await find(operation, [row[column] for row in rows], needed)

    return _linked(follow, Link(None, column), description, common=False)


def _linked(follow: Callable[..., Any], said: Link, description: str, *, common: bool) -> Any:
    declared = Batch.of(follow, [said.column], common=common)
    metadata = {METADATA: declared, "link": said, **(KeptFor.STANDING if common else KeptFor.CREDENTIAL).metadata}
    return strawberry.field(resolver=batched(declared), description=description, metadata=metadata)
