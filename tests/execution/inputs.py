"""Random input: literals for documents and JSON values for variables, nearly all of them valid."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    get_named_type,
    is_required_input_field,
)

Pools = Mapping[str, Sequence[Any]]

BUILT_IN: Final[Pools] = {
    "Int": (0, 1, 2, -3, 4, 5, 60, 700, 2147483647),
    "Float": (0, 1.5, -2, 1e3),
    "String": ("", "a", "b", "c", "word", 'q"\\\n', "ü"),
    "Boolean": (True, False),
    "ID": ("a", "1", "x_9", "b", "2"),
}
STRANGE: Final[tuple[Any, ...]] = (None, "text", "", 3, 2.5, True, [], [None], {}, {"strange": 1}, 2**40, [["a"]])


@dataclass(frozen=True)
class Variable:
    """A variable as an operation declares it."""

    name: str
    type: GraphQLInputType
    default: str | None

    @property
    def declaration(self) -> str:
        return f"${self.name}: {self.type}" + ("" if self.default is None else f" = {self.default}")


class Inputs:
    """Makes input of any type, lists with at most `longest` items. `pools` are values for arguments of
    built-in types by their name, or for scalars by their type's."""

    def __init__(self, random: Random, pools: Pools, longest: int = 2) -> None:
        self._random = random
        self._longest = longest
        self._pools = {**BUILT_IN, **pools}
        self.variables: list[Variable] = []
        self.used: set[str] = set()

    def argument(self, name: str, type_: GraphQLInputType, *, defaulted: bool = False) -> str:
        """Write the value of an argument: a literal, or a variable that is declared for it."""
        if self._random.random() < 0.4:
            return self._variable(name, type_, defaulted=defaulted)
        return self.literal(type_, name=name)

    def literal(self, type_: GraphQLInputType, *, name: str = "", constant: bool = False) -> str:
        """Write a valid literal, with variables inside of it unless it must be constant."""
        if isinstance(type_, GraphQLNonNull):
            return self._literal(type_.of_type, name, constant=constant)
        return "null" if self._random.random() < 0.15 else self._literal(type_, name, constant=constant)

    def _literal(self, type_: Any, name: str, *, constant: bool) -> str:
        if isinstance(type_, GraphQLList):
            of = _nullable(type_.of_type)
            if self._random.random() < 0.1 and not isinstance(of, GraphQLList):  # one value stands for a list of it
                return self._literal(of, name, constant=constant)
            items = [self._inside(name, type_.of_type, constant=constant) for _ in range(self._random.randint(0, self._longest))]
            return f"[{', '.join(items)}]"
        if isinstance(type_, GraphQLInputObjectType):
            given = {field: self._inside(field, of, constant=constant) for field, of in self._fields_of(type_).items()}
            return "{" + ", ".join(f"{field}: {value}" for field, value in given.items()) + "}"
        return spelled(self._scalar(type_, name), name=isinstance(type_, GraphQLEnumType))

    def _inside(self, name: str, type_: GraphQLInputType, *, constant: bool) -> str:
        return self.literal(type_, name=name, constant=True) if constant else self.argument(name, type_)

    def _fields_of(self, type_: GraphQLInputObjectType) -> dict[str, GraphQLInputType]:
        if type_.is_one_of:
            name = self._random.choice(list(type_.fields))
            return {name: GraphQLNonNull(_nullable(type_.fields[name].type))}
        return {name: field.type for name, field in type_.fields.items() if is_required_input_field(field) or self._random.random() < 0.5}

    def _scalar(self, type_: Any, name: str) -> Any:
        if isinstance(type_, GraphQLEnumType):
            return self._random.choice(list(type_.values))
        named = self._pools.get(name) if type_.name in BUILT_IN else None
        return self._random.choice(named or self._pools[type_.name])

    def _variable(self, name: str, type_: GraphQLInputType, *, defaulted: bool) -> str:
        """Use a variable that fits: of this type, of the stricter one, or of the looser one with a default."""
        made = [variable for variable in self.variables if variable.type == type_]
        if made and self._random.random() < 0.4:
            return self._using(self._random.choice(made))
        default = None
        roll = self._random.random()
        if isinstance(type_, GraphQLNonNull):
            if roll < 0.3:
                type_ = type_.of_type
                default = None if defaulted else self._literal(type_, name, constant=True)
            elif roll < 0.5:
                default = self.literal(type_, name=name, constant=True)
        elif roll < 0.3:
            type_ = GraphQLNonNull(type_)
        elif roll < 0.6:
            default = self.literal(type_, name=name, constant=True)
        self.variables.append(variable := Variable(f"v{len(self.variables)}", type_, default))
        return self._using(variable)

    def _using(self, variable: Variable) -> str:
        self.used.add(variable.name)
        return f"${variable.name}"

    def values(self, variables: Sequence[Variable], *, strange: float) -> dict[str, Any]:
        """Give the variables values; `strange` is how likely one is anything at all."""
        given: dict[str, Any] = {}
        for variable in variables:
            optional = variable.default is not None or not isinstance(variable.type, GraphQLNonNull)
            if self._random.random() < (0.3 if optional else strange / 4):
                continue
            given[variable.name] = self.value(variable.type, strange=strange)
        return given

    def value(self, type_: Any, *, name: str = "", strange: float = 0) -> Any:
        """Make a JSON value of a type."""
        if self._random.random() < strange:
            return self._random.choice(STRANGE)
        if isinstance(type_, GraphQLNonNull):
            type_ = type_.of_type
        elif self._random.random() < 0.2:
            return None
        if isinstance(type_, GraphQLList):
            return [self.value(type_.of_type, name=name, strange=strange) for _ in range(self._random.randint(0, self._longest))]
        if isinstance(type_, GraphQLInputObjectType):
            return {field: self.value(of, name=field, strange=strange) for field, of in self._fields_of(type_).items()}
        return self._scalar(get_named_type(type_), name)


def spelled(value: Any, *, name: bool = False) -> str:
    """Write a JSON value as GraphQL does."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {spelled(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(spelled, value))}]"
    return str(value) if name else json.dumps(value)


def _nullable(type_: Any) -> Any:
    return type_.of_type if isinstance(type_, GraphQLNonNull) else type_
