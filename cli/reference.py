"""The API's reference in Markdown, made of the schema's text: a page for each kind of type, with links between them."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from graphql import (
    ConstDirectiveNode,
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    print_ast,
    value_from_ast_untyped,
)
from graphql.utilities import ast_from_value

from schema.evolution import deprecated

KINDS: Final[dict[type[GraphQLNamedType], str]] = {
    GraphQLObjectType: "objects",
    GraphQLInterfaceType: "interfaces",
    GraphQLUnionType: "unions",
    GraphQLEnumType: "enums",
    GraphQLInputObjectType: "inputs",
    GraphQLScalarType: "scalars",
}


def pages(schema: GraphQLSchema) -> dict[str, str]:
    """Return each page's name and text."""
    roots = {"queries": schema.query_type, "mutations": schema.mutation_type, "subscriptions": schema.subscription_type}
    types = [kind for name, kind in sorted(schema.type_map.items()) if not name.startswith("__") and kind not in roots.values()]
    made = {f"{name}.md": _page(name, _operations(root)) for name, root in roots.items() if root is not None}
    for of, name in KINDS.items():
        made[f"{name}.md"] = _page(name, (_type(schema, kind) for kind in types if isinstance(kind, of)))
    return {"README.md": _index(schema, made), **made}


def _index(schema: GraphQLSchema, made: Mapping[str, str]) -> str:
    lines = (f"* [{name.removesuffix('.md').capitalize()}]({name}): {text.count(chr(10) + '## ')}" for name, text in made.items())
    going = sorted((one.name, [one.reason]) for one in deprecated(schema))
    told = _table("Name", going, "Since when, until when, and what to use instead") if going else "Nothing is deprecated."
    return "\n\n".join(["# The API", "\n".join(lines), "## What goes away", told]) + "\n"


def _page(name: str, entries: Iterable[str]) -> str:
    return "\n\n".join([f"# {name.capitalize()}", *entries]) + "\n"


def _operations(root: GraphQLObjectType) -> Iterable[str]:
    for name, field in sorted(root.fields.items()):
        yield "\n\n".join(part for part in (
            f"## {name}", _described(field), f"Returns {_link(field.type)}.", _rules(field), _rows("Argument", field.args),
        ) if part)  # fmt: skip


def _type(schema: GraphQLSchema, kind: GraphQLNamedType) -> str:
    parts = [f"## {kind.name}", kind.description or ""]
    if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
        parts += [_listed("Implements", kind.interfaces), _fields(kind)]
    if isinstance(kind, GraphQLInterfaceType | GraphQLUnionType):
        parts.append(_listed("One of", schema.get_possible_types(kind)))
    if isinstance(kind, GraphQLInputObjectType):
        parts += ["Exactly one of its fields is given." if kind.is_one_of else "", _rows("Field", kind.fields)]
    if isinstance(kind, GraphQLEnumType):
        parts.append(_table("Value", ((name, [_described(value)]) for name, value in kind.values.items()), "Meaning"))
    if isinstance(kind, GraphQLScalarType) and kind.specified_by_url:
        parts.append(f"Specified by <{kind.specified_by_url}>.")
    return "\n\n".join(part for part in parts if part)


def _fields(kind: GraphQLObjectType | GraphQLInterfaceType) -> str:
    def told(field: GraphQLField) -> str:
        arguments = "<br>".join(f"`{name}`: {_link(one.type)}. {_described(one)}" for name, one in field.args.items())
        return "<br>".join(part for part in (_described(field), _rules(field), arguments) if part)

    return _table("Field", ((name, [_link(field.type), told(field)]) for name, field in kind.fields.items()), "Type", "Meaning")


def _rows(title: str, members: Mapping[str, GraphQLArgument] | Mapping[str, GraphQLInputField]) -> str:
    rows = ((name, [_link(one.type), _default(one), _described(one)]) for name, one in members.items())
    return _table(title, rows, "Type", "Default", "Meaning") if members else ""


def _table(first: str, rows: Iterable[tuple[str, list[str]]], *others: str) -> str:
    head = [f"| {first} | {' | '.join(others)} |", "|---" * (len(others) + 1) + "|"]
    return "\n".join([*head, *(f"| `{name}` | {' | '.join(map(_cell, cells))} |" for name, cells in rows)])


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _listed(title: str, kinds: Iterable[GraphQLNamedType]) -> str:
    links = ", ".join(_link(kind) for kind in kinds)
    return f"{title}: {links}." if links else ""


def _link(kind: Any) -> str:
    """Write a type with its brackets, linked to where its name is explained."""
    named = get_named_type(kind)
    before, _, after = str(kind).partition(named.name)
    page = next(name for of, name in KINDS.items() if isinstance(named, of))
    return f"{before}[{named.name}]({page}.md#{named.name.lower()}){after}"


def _described(one: Any) -> str:
    advice = f"**Deprecated.** {one.deprecation_reason}" if one.deprecation_reason else ""
    return "<br>".join(part for part in (one.description, advice) if part)


def _default(one: GraphQLArgument | GraphQLInputField) -> str:
    shown = ast_from_value(one.default_value, one.type) if _has_default(one) else None
    return f"`{print_ast(shown)}`" if shown is not None else ""


def _has_default(one: GraphQLArgument | GraphQLInputField) -> bool:
    node = one.ast_node
    return node is not None and node.default_value is not None


def _needs(any: list[str]) -> str:
    return f"Needs {'one of the scopes' if len(any) > 1 else 'the scope'} {_codes(any)}." if any else "Needs a sign-in."


def _costs(weight: int, multipliers: list[str] | None = None) -> str:
    times = f" for each of {_codes(multipliers)}" if multipliers else ""
    return f"Costs {weight:,} {'point' if weight == 1 else 'points'}{times}."


def _codes(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


RULES: Final[dict[str, Callable[..., str]]] = {
    "scope": _needs,
    "cost": _costs,
    "emits": lambda events: f"Emits {_codes(events)}.",
}


def _rules(field: GraphQLField) -> str:
    """Say in words what a field's directives declare."""
    directives = (field.ast_node and field.ast_node.directives) or ()
    return " ".join(RULES[one.name.value](**_arguments(one)) for one in directives if one.name.value in RULES)


def _arguments(directive: ConstDirectiveNode) -> dict[str, Any]:
    return {one.name.value: value_from_ast_untyped(one.value) for one in directive.arguments or ()}
