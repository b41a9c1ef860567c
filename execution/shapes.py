"""What a field's type makes of a value: a leaf, a list, or an object whose fields are selected."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from graphql import GraphQLAbstractType, GraphQLLeafType, GraphQLObjectType, Undefined
from graphql.pyutils import inspect

if TYPE_CHECKING:
    from execution.plans import Selection


@dataclass(eq=False, slots=True)
class Leaf:
    """A scalar or an enum."""

    named: GraphQLLeafType
    nonnull: bool

    def complete(self, value: Any) -> Any:
        """Coerce a value; raises for one that cannot be, and for a null where none may be. Words and order are graphql-core's."""
        if isinstance(value, Exception):
            raise value
        if value is None or value is Undefined:
            if self.nonnull:
                raise MissingValue
            return None
        coerced = self.named.coerce_output_value(value)
        if coerced is Undefined or coerced is None:
            raise TypeError(
                f"Expected `{inspect(self.named)}.coerce_output_value({inspect(value)})` to return non-nullable value, "
                f"returned: {inspect(coerced)}"
            )
        return coerced


@dataclass(eq=False, slots=True)
class Many:
    """A list."""

    item: "Shape"
    nonnull: bool


@dataclass(eq=False, slots=True)
class One:
    """An object, an interface or a union, with a selection for each type that it may be."""

    named: GraphQLObjectType | GraphQLAbstractType
    nonnull: bool
    selections: Mapping[str, "Selection"]
    # What the values of a Python class are here, found out once for each class.
    kinds: dict[type, Any] = field(default_factory=dict)


Shape = Leaf | Many | One


class MissingValue(Exception):
    """A null stands where the type forbids it; where it is known which field it is, this is said in graphql-core's words."""


def ones(shape: Shape) -> "Iterator[One]":
    """Yield the objects in a shape."""
    while isinstance(shape, Many):
        shape = shape.item
    if isinstance(shape, One):
        yield shape
