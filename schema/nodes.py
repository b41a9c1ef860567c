"""The interface of everything that has an id of its own."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self
from uuid import UUID

import strawberry

from execution import Column, read
from execution.declarations import METADATA
from resolvers.operations import Operation
from schema.caching import KeptFor
from schema.fields import Columns
from schema.ids import ids_of

_KINDS: dict[str, "type[Node]"] = {}


def _id_of(kind: type) -> Column:
    """Say how the ids of a type of node are read."""
    return Column(getattr(kind, "id_column"), ids_of(kind.__name__))  # noqa: B009 - a node's class


@strawberry.interface(description="Anything with a global id, which `node` finds again.")
class Node:
    __source__: ClassVar[str] = "row"
    id_column: ClassVar[str] = "id"

    row: strawberry.Private[Any]

    def __init_subclass__(cls, *, interface: bool = False) -> None:
        super().__init_subclass__()
        if not interface:
            _KINDS[cls.__name__] = cls

    id: strawberry.ID = strawberry.field(
        resolver=read(_id_of),
        description="Global id; opaque, and unique over all types.",
        metadata={METADATA: _id_of, **KeptFor.STANDING.metadata},
    )

    @classmethod
    async def find(cls, operation: Operation, id: UUID, columns: Columns | None = None) -> Self | None:
        """Find the node for this viewer, with these columns; what they may not see and what does not exist are both None."""
        raise NotImplementedError

    @classmethod
    def of(cls, row: Any) -> Self | None:
        """Dress a row that may be missing."""
        return None if row is None else cls(row=row)


def kinds() -> Mapping[str, type[Node]]:
    """Every node type by its name in the schema; a noun's module adds its own when it is imported."""
    return _KINDS
