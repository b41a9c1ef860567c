"""Variables and arguments: coerced by graphql-core and Strawberry, with what is the same in every run found out once."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from graphql import (
    GraphQLBoolean,
    GraphQLError,
    GraphQLID,
    GraphQLInputType,
    GraphQLInt,
    GraphQLNonNull,
    GraphQLScalarType,
    GraphQLString,
    Node,
    Undefined,
    VariableNode,
)
from graphql.execution.get_variable_signature import GraphQLVariableSignature, get_variable_signature
from graphql.execution.values import VariableValues, VariableValueSource, get_argument_values, get_variable_values
from graphql.type import GraphQLArgument
from strawberry.relay import GlobalID
from strawberry.types.base import StrawberryMaybe, StrawberryOptional

from execution.plans import Field
from execution.runs import Compiled

MOST_ERRORS: Final = 50
# Values of these classes are their own coerced values.
_AS_THEY_ARE: Final[dict[GraphQLScalarType, type]] = {GraphQLString: str, GraphQLID: str, GraphQLBoolean: bool, GraphQLInt: int}
_LARGEST_INT: Final = 2**31 - 1


class _Variable(NamedTuple):
    name: str
    signature: GraphQLVariableSignature
    classes: tuple[type, ...]


class Variables:
    """The variables of one operation."""

    def __init__(self, compiled: Compiled) -> None:
        self._compiled = compiled
        self._definitions = compiled.operation.variable_definitions or ()
        signatures = [get_variable_signature(compiled.schema, node) for node in self._definitions]
        plain = [one for one in signatures if not isinstance(one, GraphQLError)]
        self._simple = [_Variable(one.name, one, _classes(one.type)) for one in plain] if len(plain) == len(signatures) else None

    def coerced(self, given: Mapping[str, Any] | None) -> Any:
        """Coerce variables; a list holds their errors."""
        given = given or {}
        if self._simple is not None and (values := self._as_they_are(self._simple, given)) is not None:
            return values
        compiled = self._compiled
        return get_variable_values(
            compiled.schema, self._definitions, dict(given), max_errors=MOST_ERRORS, hide_suggestions=compiled.hide_suggestions
        )

    @staticmethod
    def _as_they_are(simple: list[_Variable], given: Mapping[str, Any]) -> VariableValues | None:
        """Take plain values of plain types over; None where anything else is among them."""
        sources: dict[str, VariableValueSource] = {}
        coerced: dict[str, Any] = {}
        for name, signature, classes in simple:
            value = given.get(name, Undefined)
            if value.__class__ not in classes or (value.__class__ is int and abs(value) > _LARGEST_INT):
                return None
            sources[name] = VariableValueSource(signature, value)
            coerced[name] = value
        return VariableValues(sources, coerced)


def _classes(expected: GraphQLInputType) -> tuple[type, ...]:
    nonnull = isinstance(expected, GraphQLNonNull)
    named: Any = expected.of_type if isinstance(expected, GraphQLNonNull) else expected
    if not isinstance(named, GraphQLScalarType) or named not in _AS_THEY_ARE:
        return ()
    return (_AS_THEY_ARE[named],) if nonnull else (_AS_THEY_ARE[named], type(None))


class Arguments:
    """The arguments of one declared field: those without variables are found out once, those that are a variable are taken over."""

    def __init__(self, field: Field, compiled: Compiled) -> None:
        # The field itself is not kept: a circle would keep a plan that was forgotten until the garbage collector comes by.
        self._compiled = compiled
        self._taken = _taken(field, compiled)
        self._fixed: dict[str, Any] | None = None

    def of(self, field: Field, values: VariableValues) -> dict[str, Any]:
        """Return the field's arguments by their Python names; raises what is wrong with them."""
        if not field.definition.args:
            return {}
        if self._taken is None or self._fixed is None:
            return self._converted(field, values)
        arguments = dict(self._fixed)
        for name, variable, is_required in self._taken:
            value = values.coerced.get(variable, Undefined)
            if value is Undefined or (value is None and is_required):
                return self._converted(field, values)
            arguments[name] = value
        return arguments

    def _converted(self, field: Field, values: VariableValues) -> dict[str, Any]:
        compiled = self._compiled
        coerced = get_argument_values(field.definition, field.nodes[0], values, None, compiled.hide_suggestions)
        arguments: dict[str, Any] = compiled.convert_arguments(coerced, field.strawberry)
        if self._taken is not None:
            taken = {name for name, _, _ in self._taken}
            fixed = {name: value for name, value in arguments.items() if name not in taken}
            # Others could be changed by whoever is given them.
            if all(isinstance(value, str | int | float | None) for value in fixed.values()):
                self._fixed = fixed
        return arguments


def _taken(field: Field, compiled: Compiled) -> list[tuple[str, str, bool]] | None:
    """Return the arguments that are variables of scalar types: Python name, variable, required; None where a variable is elsewhere."""
    given = {node.name.value: node.value for node in field.nodes[0].arguments or ()}
    found: list[tuple[str, str, bool]] = []
    for argument in field.strawberry.arguments if field.strawberry is not None else ():
        name = compiled.name_argument(argument)
        node = given.get(name)
        if isinstance(node, VariableNode):
            definition: GraphQLArgument = field.definition.args[name]
            if not _is_scalar(definition.type, argument.type):
                return None
            found.append((argument.python_name, node.name.value, isinstance(definition.type, GraphQLNonNull)))
        elif node is not None and _has_variable(node):
            return None
    return found


def _is_scalar(expected: GraphQLInputType, strawberry: Any) -> bool:
    named = expected.of_type if isinstance(expected, GraphQLNonNull) else expected
    while isinstance(strawberry, StrawberryOptional) and not isinstance(strawberry, StrawberryMaybe):
        strawberry = strawberry.of_type
    return isinstance(named, GraphQLScalarType) and not isinstance(strawberry, StrawberryMaybe) and strawberry is not GlobalID


def _has_variable(value: Node) -> bool:
    waiting = [value]
    while waiting:
        node = waiting.pop()
        if isinstance(node, VariableNode):
            return True
        waiting += [below for key in node.keys for below in _nodes(getattr(node, key, None))]
    return False


def _nodes(value: Any) -> list[Node]:
    if isinstance(value, Node):
        return [value]
    return [one for one in value if isinstance(one, Node)] if isinstance(value, list | tuple) else []
