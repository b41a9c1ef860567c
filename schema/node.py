"""Anything again by its global id: `node` and `nodes`."""

import asyncio
from collections.abc import Mapping
from typing import Annotated

import strawberry

from errors import Invalid
from resolvers.operations import Operation
from schema.fields import Columns, query
from schema.ids import type_and_id
from schema.nodes import Node, kinds

MOST_IDS = 100


Needed = Mapping[str, Columns | None] | None
Id = Annotated[strawberry.ID, strawberry.argument(description="A global id.")]
Ids = Annotated[list[strawberry.ID], strawberry.argument(description=f"Global ids, at most {MOST_IDS}.")]


async def _found(operation: Operation, text: str, needed: Needed) -> Node | None:
    if (named := type_and_id(text)) is None or (kind := kinds().get(named[0])) is None:
        return None
    return await kind.find(operation, named[1], None if needed is None else needed[named[0]])


async def _node(operation: Operation, _: object, id: Id, needed: Needed = None) -> Node | None:
    return await _found(operation, id, needed)


async def _nodes(operation: Operation, _: object, ids: Ids, needed: Needed = None) -> list[Node | None]:
    if len(ids) > MOST_IDS:
        raise Invalid(f"At most {MOST_IDS} ids at once.", path=["ids"], constraint=f"max_items={MOST_IDS}")
    return await asyncio.gather(*(_found(operation, text, needed) for text in ids))


@strawberry.type
class Query:
    node: Node | None = query(_node, description="The thing with this global id; null when there is none, or none that you may see.")
    nodes: list[Node | None] = query(
        _nodes,
        description="The things with these global ids, in their order, with null where there is none that you may see.",
        multipliers=["ids"],
    )
