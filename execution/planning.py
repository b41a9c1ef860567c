"""Makes the plan of an operation: its fields collected as graphql-core collects them, and what each of them is."""

import inspect
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any, Final, cast

from graphql import (
    GraphQLAbstractType,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLUnionType,
    is_abstract_type,
    is_leaf_type,
)
from graphql.execution.collect_fields import FieldDetails, FragmentDetails, collect_fields, collect_subfields
from graphql.execution.values import VariableValues
from strawberry.types.field import StrawberryField

from execution.declarations import Batch, Column, declared
from execution.plans import Field, Selection
from execution.runs import Compiled
from execution.shapes import Leaf, Many, One, Shape, ones
from execution.sources import class_of, definition_of, source_attribute

_TYPENAME: Final = "__typename"
_STRAWBERRY_FIELD: Final = "strawberry-definition"


class Uncompilable(Exception):
    """Only graphql-core runs this operation; `reason` says why, in a few words that suit a metric's label."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Planner:
    """Plans one operation for one set of values of the variables that its `@skip` and `@include` read."""

    def __init__(self, compiled: Compiled, values: VariableValues, *, most_fields: int) -> None:
        self._schema = compiled.schema
        self._operation = compiled.operation
        self._fragments = {name: FragmentDetails(fragment) for name, fragment in compiled.fragments.items()}
        self._values = values
        self._most_fields = most_fields
        self._planned: dict[tuple[str, int], tuple[list[FieldDetails], Selection]] = {}
        # How many fields there are in the plan, which is what it takes of the memory.
        self.fields = 0

    def plan(self) -> Selection:
        """Return the selection of the root type; raises `Uncompilable`."""
        root = self._schema.get_root_type(self._operation.operation)
        if root is None:
            raise Uncompilable("no root type")
        grouped = collect_fields(self._schema, self._fragments, self._values, root, self._operation).grouped_field_set
        selection = self._selection(root, grouped)
        _tell_columns(selection)
        return selection

    def _below(self, named: GraphQLObjectType, details: list[FieldDetails]) -> Selection:
        # By identity, and kept, so that no other list can take its place.
        key = (named.name, id(details))
        if key not in self._planned:
            collected = collect_subfields(self._schema, self._fragments, self._values, self._operation, named, details)
            self._planned[key] = (details, self._selection(named, collected.grouped_field_set))
        return self._planned[key][1]

    def _selection(self, named: GraphQLObjectType, grouped: dict[str, list[FieldDetails]]) -> Selection:
        selection = Selection(named, [], make=_maker(named))
        for place, (key, details) in enumerate(grouped.items()):
            name = details[0].node.name.value
            if name == _TYPENAME:
                selection.typenames.append((place, key))
            elif name.startswith("__"):
                raise Uncompilable("introspection")
            elif (definition := named.fields.get(name)) is not None:
                selection.fields.append(self._field(named, key, details, definition))
        return selection

    def _field(self, named: GraphQLObjectType, key: str, details: list[FieldDetails], definition: GraphQLField) -> Field:
        self.fields += 1
        if self.fields > self._most_fields:
            raise Uncompilable("too many fields")
        shape = self._shape(definition.type, details)
        known = (definition.extensions or {}).get(_STRAWBERRY_FIELD)
        strawberry = known if isinstance(known, StrawberryField) else None
        return Field(key, named, definition, details, shape, _declaration(named, strawberry), strawberry)

    def _shape(self, expected: GraphQLOutputType, details: list[FieldDetails], *, nonnull: bool = False) -> Shape:
        if isinstance(expected, GraphQLNonNull):
            return self._shape(cast("GraphQLOutputType", expected.of_type), details, nonnull=True)
        if isinstance(expected, GraphQLList):
            return Many(self._shape(expected.of_type, details), nonnull)
        if is_leaf_type(expected):
            return Leaf(expected, nonnull)
        possible = self._schema.get_possible_types(expected) if is_abstract_type(expected) else [cast("GraphQLObjectType", expected)]
        _check_resolvers(expected, possible)
        named = cast("GraphQLObjectType | GraphQLAbstractType", expected)
        return One(named, nonnull, {one.name: self._below(one, details) for one in possible})


def _maker(named: GraphQLObjectType) -> Any:
    """Say how an instance is made of a source; None where the instance is the source."""
    owner = class_of(named)
    attribute = None if owner is None else source_attribute(owner)
    return None if owner is None or attribute is None else partial(_make, owner, attribute)


def _make(owner: type, attribute: str, source: Any) -> Any:
    return owner(**{attribute: source})


def _declaration(named: GraphQLObjectType, strawberry: StrawberryField | None) -> Column | Batch | None:
    owner = class_of(named)
    if strawberry is None or owner is None:
        return None
    found = declared(strawberry.metadata or {}, owner)
    if found is not None and strawberry.extensions:
        # They stand before graphql-core's resolver only, and one of them may be a permission.
        raise Uncompilable(f"{named.name}.{strawberry.python_name} is declared and has extensions")
    if found is None and strawberry.is_basic_field and strawberry.default_resolver is getattr:
        if source_attribute(owner) is not None:
            raise Uncompilable(f"{named.name}.{strawberry.python_name} is neither declared nor in the source")
        return Column(strawberry.python_name, attribute=True)
    return found


def _check_resolvers(expected: GraphQLOutputType, possible: Sequence[GraphQLObjectType]) -> None:
    """Completion does not wait for anybody to find out a type."""
    resolvers: list[Any] = [one.is_type_of for one in possible]
    if isinstance(expected, GraphQLInterfaceType | GraphQLUnionType):
        resolvers.append(expected.resolve_type)
    if any(inspect.iscoroutinefunction(resolver) for resolver in resolvers):
        raise Uncompilable("a type that is resolved asynchronously")


def _tell_columns(root: Selection) -> None:
    """Tell each batch what is read of the sources that it finds."""
    for field in _batches(root, set()):
        shape = field.shape
        while isinstance(shape, Many):
            shape = shape.item
        if isinstance(shape, One) and len(shape.selections) > 1:
            field.needed = {name: _needed(selection) for name, selection in shape.selections.items()}
        else:
            field.needed = _needed_of(shape)


def _batches(selection: Selection, seen: set[int]) -> Iterator[Field]:
    if id(selection) in seen:
        return
    seen.add(id(selection))
    for field in selection.fields:
        if isinstance(field.declared, Batch):
            yield field
        for one in ones(field.shape):
            for below in one.selections.values():
                yield from _batches(below, seen)


def _needed_of(shape: Shape) -> frozenset[str] | None:
    return _union(_needed(selection) for one in ones(shape) for selection in one.selections.values())


def _needed(selection: Selection) -> frozenset[str] | None:
    """Return the columns that a selection reads, through envelopes; None for all."""
    if is_envelope(selection.type):
        return _union(_needed_of(one.shape) for one in selection.fields if isinstance(one.declared, Column) and one.declared.carried)
    return _union(_read(one.declared) for one in selection.fields)


def _read(declaration: Column | Batch | None) -> frozenset[str] | None:
    if isinstance(declaration, Column):
        return frozenset([declaration.name])
    return None if declaration is None else declaration.needs


def _union(sets: Iterable[frozenset[str] | None]) -> frozenset[str] | None:
    found: frozenset[str] = frozenset()
    for one in sets:
        if one is None:
            return None
        found |= one
    return found


@lru_cache(maxsize=4096)
def is_envelope(named: GraphQLObjectType) -> bool:
    """Whether a type carries the sources of another: a page, an edge."""
    definition, owner = definition_of(named), class_of(named)
    if definition is None or owner is None:
        return False
    found = (declared(one.metadata or {}, owner) for one in definition.fields)
    return any(isinstance(one, Column) and one.carried for one in found)
