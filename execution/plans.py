"""A compiled operation at rest: selections of fields, level below level."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from graphql import FieldNode, GraphQLField, GraphQLObjectType, Node, VariableNode
from graphql.execution.collect_fields import FieldDetails
from strawberry.types.field import StrawberryField

from execution.declarations import Batch, Column
from execution.shapes import Leaf, Many, One, Shape
from execution.writing import written


@dataclass(eq=False)
class Field:
    """One response key of a selection. `declared` is None for a plain resolver."""

    key: str
    parent: GraphQLObjectType
    definition: GraphQLField
    details: list[FieldDetails]
    shape: Shape
    declared: Column | Batch | None
    strawberry: StrawberryField | None
    # The columns that the selection below reads of the child's source; None for all of them.
    needed: frozenset[str] | None = None
    constant: Mapping[str, Any] | None = None

    @cached_property
    def nodes(self) -> list[FieldNode]:
        """Where the document asks for it."""
        return [details.node for details in self.details]

    @property
    def name(self) -> str:
        """The field's name in the schema."""
        return self.nodes[0].name.value

    @cached_property
    def is_constant(self) -> bool:
        """Whether its arguments are the same in every run."""
        waiting: list[Node] = list(self.nodes[0].arguments or ())
        while waiting:
            node = waiting.pop()
            if isinstance(node, VariableNode):
                return False
            waiting += [below for key in node.keys for below in _nodes(getattr(node, key, None))]
        return True

    @property
    def is_direct(self) -> bool:
        """Whether the value is a leaf that is read from the source: the generated code does that."""
        return isinstance(self.declared, Column) and isinstance(self.shape, Leaf)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has to be awaited for it, nor asked of anybody: not of the context either."""
        return isinstance(self.declared, Column) and is_quiet(self.shape)


@dataclass(eq=False)
class Selection:
    """The fields that are asked of one object type. `make` makes an instance of a source, for plain resolvers."""

    type: GraphQLObjectType
    fields: list[Field]
    typenames: list[tuple[int, str]] = field(default_factory=list)
    make: Callable[[Any], Any] | None = None

    @cached_property
    def keys(self) -> list[str | Field]:
        """The response's keys in order: fields, and aliases of `__typename` as text."""
        keys: list[str | Field] = list(self.fields)
        for place, alias in self.typenames:
            keys.insert(place, alias)
        return keys

    @cached_property
    def fetched(self) -> list[Field]:
        """The fields that the generated code does not read itself."""
        return [one for one in self.fields if not one.is_direct]

    @cached_property
    def is_quiet(self) -> bool:
        """Whether every field below is read from sources alone."""
        return all(one.is_quiet for one in self.fields)

    @cached_property
    def build(self) -> Callable[..., list[dict[str, Any]]]:
        """Generated code: `build(sources, *completed)` makes the objects; it raises where anything is out of the ordinary."""
        return written(self)


def _nodes(value: Any) -> list[Node]:
    if isinstance(value, Node):
        return [value]
    return [one for one in value if isinstance(one, Node)] if isinstance(value, list | tuple) else []


def is_quiet(shape: Shape) -> bool:
    """Whether a value of this shape is completed without awaiting and without the context."""
    while isinstance(shape, Many):
        shape = shape.item
    return not isinstance(shape, One) or all(selection.is_quiet for selection in shape.selections.values())
