"""Writes the Python that turns sources into response objects: one dict display in one comprehension for each selection.

The generated code takes the ordinary case and raises in any other; the level is then completed again, value by value, by
`execution.completing`. So it may be fast where graphql-core must be careful, and still never disagree with it.
"""

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from graphql import GraphQLBoolean, GraphQLEnumType, GraphQLID, GraphQLInt, GraphQLString, Undefined
from graphql.type import GraphQLLeafType

from execution.declarations import Column
from execution.shapes import Leaf

if TYPE_CHECKING:
    from execution.plans import Field, Selection

# Values of these classes leave as they are: `{v}` is where the value is first read, `{w}` the value.
_AS_IT_IS: Final[dict[GraphQLLeafType, str]] = {
    GraphQLString: "{v}.__class__ is str",
    GraphQLID: "{v}.__class__ is str",
    GraphQLBoolean: "{v}.__class__ is bool",
    GraphQLInt: "{v}.__class__ is int and -2147483648 <= {w} <= 2147483647",
}


def written(selection: "Selection") -> Callable[..., list[dict[str, Any]]]:
    """Generate and load the code of a selection. Nothing of a document gets into it but by `repr`."""
    names: dict[str, Any] = {}
    items: list[str] = []
    for place, key in enumerate(selection.keys):
        if isinstance(key, str):
            items.append(f"{key!r}: {selection.type.name!r}")
        elif key.is_direct:
            items.append(f"{key.key!r}: {_direct(key, place, names)}")
        else:
            items.append(f"{key.key!r}: o{selection.fetched.index(key)}")
    outputs = [f"o{place}" for place in range(len(selection.fetched))]
    loop = f"for s, {', '.join(outputs)} in zip(S, {', '.join(o.upper() for o in outputs)})" if outputs else "for s in S"
    code = f"def build({', '.join(['S', *(o.upper() for o in outputs)])}):\n    return [{{{', '.join(items)}}} {loop}]\n"
    exec(compile(code, f"<{selection.type.name}>", "exec"), names)  # noqa: S102 - made of names of the schema and reprs
    build: Callable[..., list[dict[str, Any]]] = names["build"]
    return build


def _direct(field: "Field", place: int, names: dict[str, Any]) -> str:
    column, leaf = field.declared, field.shape
    assert isinstance(column, Column)
    assert isinstance(leaf, Leaf)
    value = "s" if column.name is None else f"s.{column.name}" if column.attribute else f"s[{column.name!r}]"
    if (mapping := _enum_names(column, leaf)) is not None:
        names[f"m{place}"] = mapping
        return f"m{place}[{value}]"
    finish = _Finish(column, leaf)
    names |= {f"f{place}": finish, f"c{place}": finish.classes, "Undefined": Undefined}
    v, w = f"v{place}", f"w{place}"
    if column.convert is None and (test := _AS_IT_IS.get(leaf.named)) is not None:
        return f"({v} if {test.format(v=f'({v} := {value})', w=v)} else f{place}({v}))"
    # Values of the classes that `finish` has met go through one call, without its questions.
    if column.convert is None:
        names[f"k{place}"] = leaf.named.coerce_output_value
        good = f"({w} := k{place}({v})) is not None and {w} is not Undefined"
        return f"({w} if ({v} := {value}).__class__ in c{place} and {good} else f{place}({v}))"
    if finish.is_text:
        names[f"k{place}"] = column.convert
        return f"({w} if ({v} := {value}).__class__ in c{place} and ({w} := k{place}({v})).__class__ is str else f{place}({v}))"
    return f"f{place}({value})"


class _Finish:
    """Converts and coerces values; what is not ordinary is left to `Leaf.complete`. `classes` are those of the ordinary ones."""

    def __init__(self, column: Column, leaf: Leaf) -> None:
        self._convert = column.convert
        self._leaf = leaf
        self.is_text = leaf.named in (GraphQLID, GraphQLString)
        self.classes: set[type] = set()

    def __call__(self, value: Any) -> Any:
        converted = value if self._convert is None or value is None else self._convert(value)
        output = self._leaf.complete(converted)
        if output is not None:
            self.classes.add(value.__class__)
        return output


def _enum_names(column: Column, leaf: Leaf) -> dict[Any, str | None] | None:
    """Map what rows hold to the names of an enum, where a column is converted by the enum's own class."""
    named: GraphQLLeafType = leaf.named
    wanted = column.convert
    if not isinstance(named, GraphQLEnumType) or not isinstance(wanted, type) or not issubclass(wanted, enum.Enum):
        return None
    found: dict[Any, str | None] = {}
    for member in wanted:
        try:
            found[member.value] = named.coerce_output_value(member)
        except (ValueError, TypeError):
            return None
    return found if leaf.nonnull else {**found, None: None}
