"""Anything again by its global id: `node` and `nodes`."""

import asyncio
from typing import Annotated

import strawberry

from errors import Invalid
from resolvers.operations import Operation
from schema.fields import query
from schema.ids import type_and_id
from schema.nodes import Node, kinds

MOST_IDS = 100


async def _found(operation: Operation, text: str) -> Node | None:
    if (named := type_and_id(text)) is None or (kind := kinds().get(named[0])) is None:
        return None
    return await kind.find(operation, named[1])


async def _node(
    operation: Operation, _: object, id: Annotated[strawberry.ID, strawberry.argument(description="A global id.")]
) -> Node | None:
    return await _found(operation, id)


async def _nodes(
    operation: Operation,
    _: object,
    ids: Annotated[list[strawberry.ID], strawberry.argument(description=f"Global ids, at most {MOST_IDS}.")],
) -> list[Node | None]:
    if len(ids) > MOST_IDS:
        raise Invalid(f"At most {MOST_IDS} ids at once.", path=["ids"], constraint=f"max_items={MOST_IDS}")
    return await asyncio.gather(*(_found(operation, text) for text in ids))


@strawberry.type
class Query:
    node: Node | None = query(_node, description="The thing with this global id; null when there is none, or none that you may see.")
    nodes: list[Node | None] = query(
        _nodes,
        description="The things with these global ids, in their order, with null where there is none that you may see.",
        multipliers=["ids"],
    )
