"""Random documents that are valid by construction: aliases, fragments, directives, variables, and the same field more than once."""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, NamedTuple

from graphql import (
    GraphQLBoolean,
    GraphQLField,
    GraphQLNonNull,
    GraphQLSchema,
    get_named_type,
    is_abstract_type,
    is_composite_type,
    is_leaf_type,
    is_object_type,
    is_required_argument,
    is_union_type,
)
from graphql.utilities.type_comparators import do_types_overlap

from tests.execution.inputs import Inputs, Pools, Variable

NAMES: Final = ("x", "y", "z", "id", "name")


class Use(NamedTuple):
    """A field as it is asked for under some response name; `variables` are those of its arguments."""

    field: str
    arguments: str
    variables: frozenset[str]


class Fragment(NamedTuple):
    name: str
    on: str
    text: str
    depth: int
    variables: frozenset[str]


@dataclass
class Response:
    """What a response name means: one type everywhere, and for each parent one field with its arguments."""

    type: str
    uses: dict[str, Use] = field(default_factory=dict)


@dataclass(frozen=True)
class Written:
    """A document, the operation of it to run, and that operation's variables."""

    text: str
    operation: str | None
    variables: list[Variable]


@dataclass(frozen=True)
class Style:
    """How documents are written: `most_fields` is about how many they have, `longest` is the longest list of an argument, and
    `avoid` names fields as `Type.field`, and `likely` says how likely arguments are, by their name."""

    depth: int = 4
    most_fields: int = 25
    width: int = 5
    longest: int = 2
    avoid: Container[str] = ()
    likely: Mapping[str, float] = field(default_factory=dict)


class Writer:
    """Writes one document over a schema."""

    def __init__(self, schema: GraphQLSchema, random: Random, pools: Pools, style: Style) -> None:
        self._schema = schema
        self._random = random
        self._style = style
        types: dict[str, Any] = {name: one for name, one in schema.type_map.items() if not name.startswith("__")}
        self._composites = {name: one for name, one in types.items() if is_composite_type(one)}
        self._left = style.most_fields
        self._inputs = Inputs(random, pools, style.longest)
        self._responses: dict[str, Response] = {}
        self._fragments: list[Fragment] = []

    def document(self, *roots: str) -> Written:
        """Write a document with one operation for each of these root types, and choose one of them."""
        operations: list[tuple[str | None, str, list[Variable]]] = []
        for number, root in enumerate(roots):
            name = f"Operation{number}" if len(roots) > 1 or self._random.random() < 0.3 else None
            operations.append(self._operation(root, name))
        name, _, variables = self._random.choice(operations)
        texts = [text for _, text, _ in operations]
        texts += [f"fragment {one.name} on {one.on} {one.text}" for one in self._fragments]
        return Written("\n".join(texts), name, variables)

    def _operation(self, root: str, name: str | None) -> tuple[str | None, str, list[Variable]]:
        self._inputs.used = set()
        kind = {"Query": "query", "Mutation": "mutation", "Subscription": "subscription"}[root]
        type_ = self._schema.type_map[root]
        # A subscription has one root field, in any case.
        body = (
            f"{{ {self._field(type_, self._style.depth, always=True)} }}"
            if root == "Subscription"
            else self._selections(type_, self._style.depth)
        )
        variables = [one for one in self._inputs.variables if one.name in self._inputs.used]
        declared = f"({', '.join(one.declaration for one in variables)})" if variables else ""
        return name, f"{kind} {name or ''}{declared} {body}", variables

    def _selections(self, parent: Any, depth: int) -> str:
        count = self._random.randint(min(2, self._style.width), self._style.width) if self._left > 0 else 1
        return "{ " + " ".join(self._selection(parent, depth) for _ in range(count)) + " }"

    def _selection(self, parent: Any, depth: int) -> str:
        roll = self._random.random()
        if roll < 0.05:
            return self._typename(parent)
        if depth > 0 and self._left > 0 and (is_union_type(parent) or roll < (0.5 if is_abstract_type(parent) else 0.18)):
            return self._fragment(parent, depth)
        return self._field(parent, depth)

    def _typename(self, parent: Any) -> str:
        return self._alias(parent, "String!", Use("__typename", "", frozenset())) + self._directives()

    def _field(self, parent: Any, depth: int, *, always: bool = False) -> str:
        self._left -= 1
        deeper = depth > 0 and self._left > 0
        fields: dict[str, GraphQLField] = {} if is_union_type(parent) else parent.fields
        names = [
            name
            for name, one in fields.items()
            if f"{parent.name}.{name}" not in self._style.avoid and (deeper or is_leaf_type(get_named_type(one.type)))
        ]
        if not names:
            return self._typename(parent)
        name = self._random.choice(names)
        text = self._asked(parent, name, fields[name]) + ("" if always else self._directives())
        of = get_named_type(fields[name].type)
        return f"{text} {self._selections(of, depth - 1)}" if is_composite_type(of) else text

    def _asked(self, parent: Any, name: str, declared: GraphQLField) -> str:
        """Ask for a field as before, so that the two merge, or anew."""
        known = [
            (alias, one.uses[parent.name])
            for alias, one in self._responses.items()
            if parent.name in one.uses and one.uses[parent.name].field == name
        ]
        if known and self._random.random() < 0.4:
            alias, use = self._random.choice(known)
            self._inputs.used |= use.variables
            return _spelled(alias, use)
        before, self._inputs.used = self._inputs.used, set()
        arguments = self._arguments(declared)
        use = Use(name, arguments, frozenset(self._inputs.used))
        self._inputs.used |= before
        return self._alias(parent, str(declared.type), use)

    def _arguments(self, declared: GraphQLField) -> str:
        given = [
            f"{name}: {self._inputs.argument(name, one.type, defaulted=one.default is not None)}"
            for name, one in declared.args.items()
            if is_required_argument(one) or self._random.random() < self._style.likely.get(name, 0.5)
        ]
        self._random.shuffle(given)
        return f"({', '.join(given)})" if given else ""

    def _alias(self, parent: Any, type_: str, use: Use) -> str:
        """Choose a response name under which the field conflicts with no other."""
        names = [use.field] if self._random.random() < 0.7 else [self._random.choice(NAMES), use.field]
        names.append(f"a{len(self._responses)}")
        alias = next(name for name in names if self._fits(name, parent, type_, use))
        self._responses.setdefault(alias, Response(type_)).uses[parent.name] = use
        return _spelled(alias, use)

    def _fits(self, alias: str, parent: Any, type_: str, use: Use) -> bool:
        if (response := self._responses.get(alias)) is None:
            return True
        return response.type == type_ and all(
            (other.field, other.arguments) == (use.field, use.arguments)
            or (name != parent.name and is_object_type(parent) and is_object_type(self._schema.type_map[name]))
            for name, other in response.uses.items()
        )

    def _fragment(self, parent: Any, depth: int) -> str:
        roll = self._random.random()
        if roll < 0.15:
            return f"...{self._directives()} {self._selections(parent, depth)}"
        on = self._random.choice([one for one in self._composites.values() if do_types_overlap(self._schema, parent, one)])
        if roll < 0.55:
            return f"... on {on.name}{self._directives()} {self._selections(on, depth - 1)}"
        return f"...{self._named(parent, on, depth)}{self._directives()}"

    def _named(self, parent: Any, on: Any, depth: int) -> str:
        known = [one for one in self._fragments if one.depth < depth and do_types_overlap(self._schema, parent, self._composites[one.on])]
        if known and self._random.random() < 0.5:
            chosen = self._random.choice(known)
        else:
            before, self._inputs.used = self._inputs.used, set()
            text = self._selections(on, depth - 1)
            chosen = Fragment(f"F{len(self._fragments)}", on.name, text, depth - 1, frozenset(self._inputs.used))
            self._fragments.append(chosen)
            self._inputs.used |= before
        self._inputs.used |= chosen.variables
        return chosen.name

    def _directives(self) -> str:
        if self._random.random() < 0.85:
            return ""
        names = self._random.sample(["skip", "include"], self._random.choice([1, 1, 2]))
        return "".join(f" @{name}(if: {self._inputs.argument('if', GraphQLNonNull(GraphQLBoolean))})" for name in names)

    def variables(self, written: Written, *, strange: float) -> dict[str, Any]:
        """Make values for the variables of the operation to run."""
        return self._inputs.values(written.variables, strange=strange)


def _spelled(alias: str, use: Use) -> str:
    return (use.field if alias == use.field else f"{alias}: {use.field}") + use.arguments
