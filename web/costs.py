"""What a document may cost: measured before any resolver runs, fragments counted wherever they are used."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from graphql import (
    ConstValueNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    is_composite_type,
    is_introspection_type,
)

from errors import Code
from schema.fields import Cost
from settings import Settings
from web.spending import Share, Shares, Sizing

# How many rows a list without a page size is taken to have.
USUAL_LIST: Final = 10
LARGEST: Final = 1_000_000
LARGEST_INT: Final = 2**31 - 1
"""What GraphQL's `Int` can hold."""
# The fields of a page that hold its rows.
PAGED: Final = ("edges", "nodes")
# What begins introspection, and the type that it gives.
INTROSPECTED: Final = {"__schema": "__Schema", "__type": "__Type"}
# How many there usually are of what a schema lists; 0 is as many as it has types.
USUAL_IN_SCHEMA: Final = {
    "types": 0, "directives": 8, "fields": 4, "inputFields": 2,
    "args": 1, "enumValues": 1, "interfaces": 1, "possibleTypes": 1, "locations": 1,
}  # fmt: skip
# The whole of introspection (47 ms of CPU) costs as much as rows that take as long.
SCHEMA_OBJECTS_A_POINT: Final = 7
# For how many different sizes the measure of an operation is remembered.
KEPT_MEASURES: Final = 32


@dataclass(frozen=True)
class Measure:
    """Cost in points, nesting, aliases, top-level fields and the longest list that is written out in a selection."""

    cost: int = 0
    depth: int = 0
    aliases: int = 0
    fields: int = 0
    items: int = 0

    def beside(self, other: "Measure") -> "Measure":
        depth, items = max(self.depth, other.depth), max(self.items, other.items)
        return Measure(self.cost + other.cost, depth, self.aliases + other.aliases, self.fields + other.fields, items)


class Refused(Exception):
    """The document is beyond a limit; nothing of it ran."""

    def __init__(self, code: Code, message: str, **numbers: int) -> None:
        super().__init__(message)
        self.code = code
        self.numbers = numbers


class Measures:
    """The measures of one operation: what it costs depends on nothing but the variables that say how many rows there are.

    `shares` says what became of the cost in the end.
    """

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> None:
        self._schema = schema
        self._document = document
        self._operation = operation
        self._sizing: tuple[str, ...] | None = None
        self._known: dict[tuple[Any, ...], Measure] = {}
        self.shares = Shares()

    def of(self, variables: Mapping[str, Any]) -> Measure:
        """Return the measure for these variables."""
        key = None if self._sizing is None else self._key(variables, self._sizing)
        if key is not None and (known := self._known.get(key)) is not None:
            return known
        measuring = Measuring(self._schema, self._document, variables)
        measure, self.shares = measuring.operation(self._operation)
        self._sizing = tuple(sorted(measuring.sizing))
        if len(self._known) >= KEPT_MEASURES:
            self._known.clear()
        self._known[self._key(variables, self._sizing)] = measure
        return measure

    @staticmethod
    def _key(variables: Mapping[str, Any], names: tuple[str, ...]) -> tuple[int | None, ...]:
        return tuple(_size_of(variables[name]) if name in variables else None for name in names)


class Measuring:
    """Measures one operation; each fragment once for each type it is used on. `sizing` are the variables it looked at."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, variables: Mapping[str, Any]) -> None:
        self._schema = schema
        self._variables = variables
        self.sizing: set[str] = set()
        self._fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
        self._known: dict[str, tuple[Measure, Shares]] = {}
        self._defaults: dict[str, ConstValueNode] = {}

    def operation(self, node: OperationDefinitionNode) -> tuple[Measure, Shares]:
        self._defaults = {one.variable.name.value: one.default_value for one in node.variable_definitions or () if one.default_value}
        root = self._schema.get_root_type(node.operation)
        return self._selections(node.selection_set, root)

    def _selections(self, selections: SelectionSetNode | None, parent: Any) -> tuple[Measure, Shares]:
        measure, shares = Measure(), Shares()
        for node in selections.selections if selections else ():
            if isinstance(node, FieldNode):
                more, share = self._field(node, parent)
                shares.add(share)
            elif isinstance(node, InlineFragmentNode):
                on = self._schema.get_type(node.type_condition.name.value) if node.type_condition else parent
                more, inner = self._selections(node.selection_set, on)
                shares.include(inner)
            elif isinstance(node, FragmentSpreadNode):
                more, inner = self._fragment(node.name.value)
                shares.include(inner)
            measure = measure.beside(more)
        return measure, shares

    def _fragment(self, name: str) -> tuple[Measure, Shares]:
        if name not in self._known:
            fragment = self._fragments[name]
            self._known[name] = self._selections(fragment.selection_set, self._schema.get_type(fragment.type_condition.name.value))
        return self._known[name]

    def _field(self, node: FieldNode, parent: Any) -> tuple[Measure, Share]:
        field: GraphQLField | None = getattr(parent, "fields", {}).get(node.name.value)
        alias, key = (1, node.alias.value) if node.alias else (0, node.name.value)
        if field is None:  # introspection's own fields, which are on no type
            return self._introspection(node, key, alias)
        declared, of = _declared_cost(field), get_named_type(field.type)
        weight = declared.weight if declared else int(is_composite_type(of))
        size = self._size(node, field, declared, parent)
        inner, inside = self._selections(node.selection_set, of)
        # A page that turns out to be empty was looked up as well.
        own, each = weight, weight if declared and declared.multipliers else 0
        cost = own + size * (each + inner.cost)
        share = Share(key, cost=cost, own=own, each=each, inside=inside, sizing=_sizing(node, field, inside))
        items = max([inner.items, *(_longest(argument.value) for argument in node.arguments or ())])
        return Measure(cost, inner.depth + 1, inner.aliases + alias, 1, items), share

    def _introspection(self, node: FieldNode, key: str, alias: int) -> tuple[Measure, Share]:
        """Measure what is asked of the schema: many small things, which are all there and cost less than rows."""
        inner, _ = self._selections(node.selection_set, self._schema.get_type(INTROSPECTED.get(node.name.value, "")))
        cost = 1 + inner.cost // SCHEMA_OBJECTS_A_POINT
        return Measure(cost, inner.depth + 1, inner.aliases + alias, 1), Share(key, cost=cost)

    def _size(self, node: FieldNode, field: GraphQLField, declared: Cost | None, parent: Any) -> int:
        """How many rows the field may give: its page size, the length of an argument, or a usual list's."""
        if (usual := USUAL_IN_SCHEMA.get(node.name.value)) is not None and is_introspection_type(parent):
            return usual or len(self._schema.type_map)
        names = (declared.multipliers if declared else None) or [name for name in ("first", "last") if name in field.args]
        if names:
            sizes = [self._number(argument.value) for argument in node.arguments or () if argument.name.value in names]
            return max([1, *sizes]) if sizes else USUAL_LIST
        if _is_list(field) and is_composite_type(get_named_type(field.type)) and node.name.value not in PAGED:
            return USUAL_LIST
        return 1

    def _number(self, value: Any) -> int:
        """How large a size is; what cannot be told is taken for the largest, so that it is never more than was counted."""
        if isinstance(value, VariableNode):
            name = value.name.value
            self.sizing.add(name)
            if name not in self._variables:
                return self._number(self._defaults[name]) if name in self._defaults else USUAL_LIST
            return _size_of(self._variables[name])
        if isinstance(value, ListValueNode):
            return len(value.values)
        if isinstance(value, NullValueNode):
            return USUAL_LIST
        return min(int(value.value), LARGEST) if isinstance(value, IntValueNode) else LARGEST


def _longest(value: ValueNode) -> int:
    """How long the longest list in a value is."""
    if isinstance(value, ListValueNode):
        return max([len(value.values), *map(_longest, value.values)])
    if isinstance(value, ObjectValueNode):
        return max((_longest(field.value) for field in value.fields), default=0)
    return 0


def _size_of(given: Any) -> int:
    if given is None:
        return USUAL_LIST
    if isinstance(given, list):
        return len(given)
    return int(given) if isinstance(given, int | float) and abs(given) < LARGEST else LARGEST


def _is_list(field: GraphQLField) -> bool:
    return isinstance(field.type.of_type if isinstance(field.type, GraphQLNonNull) else field.type, GraphQLList)


def _sizing(node: FieldNode, field: GraphQLField, inside: Shares) -> Sizing:
    """Say how many rows a field's value turns out to have."""
    if not inside:
        return Sizing.ONE
    if _is_list(field):
        return Sizing.ROWS if node.name.value in PAGED else Sizing.LIST
    return Sizing.PAGE if inside.rows else Sizing.ONE


def _declared_cost(field: GraphQLField) -> Cost | None:
    definition = field.extensions.get("strawberry-definition")
    return next((one for one in getattr(definition, "directives", ()) if isinstance(one, Cost)), None)


def check(measure: Measure, operation: OperationDefinitionNode, settings: Settings) -> None:
    """Raise `Refused` for an operation beyond the limits."""
    limits = (
        (measure.depth, settings.graphql_max_depth, Code.DEPTH_LIMIT, "The document is nested too deeply."),
        (measure.aliases, settings.graphql_max_aliases, Code.COST_LIMIT, "The document has too many aliases."),
        (measure.items, settings.graphql_max_list_items, Code.COST_LIMIT, "The document has too long a list."),
        (measure.cost, settings.graphql_max_cost, Code.COST_LIMIT, "The document costs too much."),
    )
    for number, limit, code, message in limits:
        if number > limit:
            # JSON's readers take no larger number than this, and nobody needs to know one.
            requested = min(number, LARGEST_INT)
            raise Refused(code, f"{message} {requested:,} of at most {limit:,}.", requested=requested, maximum=limit)
    if operation.operation.value == "mutation" and measure.fields > settings.graphql_max_mutations:
        most = settings.graphql_max_mutations
        raise Refused(Code.COST_LIMIT, f"An operation has at most {most} mutations.", requested=measure.fields, maximum=most)


def check_variables(variables: Mapping[str, Any], settings: Settings) -> None:
    """Raise `Refused` for lists or strings beyond the limits, before anything reads them."""
    length, waiting = 0, list[Any](variables.values())
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            length += len(value)
        elif isinstance(value, dict):
            length += sum(map(len, value))
            waiting.extend(value.values())
        elif isinstance(value, list):
            if len(value) > (most := settings.graphql_max_list_items):
                raise Refused(Code.COST_LIMIT, f"A list has at most {most:,} items.", requested=len(value), maximum=most)
            waiting.extend(value)
        if length > (most := settings.graphql_max_variables_length):
            raise Refused(Code.COST_LIMIT, f"The variables have at most {most:,} characters.", requested=length, maximum=most)
