"""The interface of everything that has an id of its own."""

from typing import Any, ClassVar

import strawberry

from schema.ids import global_id


@strawberry.interface(description="Anything with a global id, which `node` finds again.")
class Node:
    row: strawberry.Private[Any]
    id_column: ClassVar[str] = "id"

    @strawberry.field(description="Global id; opaque, and unique over all types.")
    def id(self) -> strawberry.ID:
        return strawberry.ID(global_id(type(self).__name__, self.row[self.id_column]))
