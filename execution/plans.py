"""A compiled operation at rest: selections of fields, level below level."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from graphql import FieldNode, GraphQLField, GraphQLObjectType
from graphql.execution.collect_fields import FieldDetails
from strawberry.types.field import StrawberryField

from execution.declarations import METADATA, Batch, Column
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
    # The columns that the selection below reads of the child's source, None for all of them; by types where there may be several.
    needed: frozenset[str] | Mapping[str, frozenset[str] | None] | None = None
    # How its arguments are found, made by the first run.
    arguments: Any = None

    @cached_property
    def nodes(self) -> list[FieldNode]:
        """Where the document asks for it."""
        return [details.node for details in self.details]

    @property
    def name(self) -> str:
        """The field's name in the schema."""
        return self.nodes[0].name.value

    @cached_property
    def is_direct(self) -> bool:
        """Whether the value is a leaf that is read from the source: the generated code does that."""
        return isinstance(self.declared, Column) and isinstance(self.shape, Leaf)

    @cached_property
    def is_trusted(self) -> bool:
        """Whether its values may be sources in place of instances: only a declaration in the schema may give those."""
        return self.strawberry is not None and METADATA in (self.strawberry.metadata or {})

    @cached_property
    def is_quiet_below(self) -> bool:
        """Whether its values are completed without awaiting and without the context."""
        return is_quiet(self.shape)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has to be awaited for it, nor asked of anybody: not of the context either."""
        return isinstance(self.declared, Column) and self.is_quiet_below

    @property
    def is_common(self) -> bool:
        """Whether whoever sees the parent is answered the same, whatever the variables are."""
        is_own = isinstance(self.declared, Batch) and (not self.declared.common or any(node.arguments for node in self.nodes))
        return self.declared is not None and not is_own and is_common(self.shape)


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
    def is_common(self) -> bool:
        """Whether whoever sees its object is answered the same."""
        return all(one.is_common for one in self.fields)

    @cached_property
    def build(self) -> Callable[..., list[dict[str, Any]]]:
        """Generated code: `build(sources, *completed)` makes the objects; it raises where anything is out of the ordinary."""
        return written(self)


def is_quiet(shape: Shape) -> bool:
    """Whether a value of this shape is completed without awaiting and without the context."""
    return all(selection.is_quiet for selection in selections_of(shape))


def is_common(shape: Shape) -> bool:
    """Whether a value of this shape is the same to whoever sees it."""
    return all(selection.is_common for selection in selections_of(shape))


def selections_of(shape: Shape) -> Iterable[Selection]:
    """Return what is asked of a value's object, by what it may be."""
    while isinstance(shape, Many):
        shape = shape.item
    return shape.selections.values() if isinstance(shape, One) else ()
