"""The interface of everything that has an id of its own."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self
from uuid import UUID

import strawberry

from resolvers.operations import Operation
from schema.fields import computed
from schema.ids import global_id

_KINDS: dict[str, "type[Node]"] = {}


@strawberry.interface(description="Anything with a global id, which `node` finds again.")
class Node:
    row: strawberry.Private[Any]
    known: strawberry.Private[Mapping[str, Any] | None] = None
    id_column: ClassVar[str] = "id"

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        _KINDS[cls.__name__] = cls

    @computed(description="Global id; opaque, and unique over all types.")
    def id(self) -> strawberry.ID:
        return strawberry.ID(global_id(type(self).__name__, self.row[self.id_column]))

    @classmethod
    async def find(cls, operation: Operation, id: UUID) -> Self | None:
        """Find the node for this viewer; what they may not see and what does not exist are both None."""
        raise NotImplementedError

    @classmethod
    def of(cls, row: Any) -> Self | None:
        """Dress a row that may be missing."""
        return None if row is None else cls(row=row)


def kinds() -> Mapping[str, type[Node]]:
    """Every node type by its name in the schema; a noun's module adds its own when it is imported."""
    return _KINDS
