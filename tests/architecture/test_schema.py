"""What the schema declares: who may, what everything is, and that it is the one that is committed."""

from collections.abc import Iterator
from typing import Any

import graphql
import pytest
from strawberry.types.field import StrawberryField

from auth.roles import SCOPES
from execution.declarations import METADATA, Batch
from resolvers.operations import Operation
from schema.fields import Permission, Scope
from schema.schema import build_schema, sdl
from tests.architecture.sources import ROOT

SCHEMA = build_schema()
CORE = graphql.build_schema(sdl())
# What anybody may ask for; all else needs a signed-in viewer.
PUBLIC = {
    "Query": {"sharedChat", "apiInfo", "rateLimit", "documentCost"},
    "Mutation": {"emailVerify", "passwordReset", "passwordResetRequest", "signIn", "signOut", "signUp"},
    "Subscription": set(),
}


def root_fields() -> dict[str, StrawberryField]:
    """The fields of the root types that exist, by type and name in the schema."""
    found = {}
    for root in PUBLIC:
        definition: Any = SCHEMA.get_type_by_name(root)
        for field in definition.fields if definition else ():
            found[f"{root}.{SCHEMA.config.name_converter.get_graphql_name(field)}"] = field
    return found


ROOT_FIELDS = root_fields()


def permission_of(field: StrawberryField) -> Permission | None:
    declared = [one for one in field.extensions if isinstance(one, Permission)]
    if isinstance(batch := field.metadata.get(METADATA), Batch) and batch.guard is not None:
        declared.append(batch.guard.__self__)  # type: ignore[attr-defined] # `Permission.check`, as `schema.fields.batch` makes it
    return declared[0] if declared else field.metadata.get("permission")


def parts() -> Iterator[tuple[str, str | None]]:
    """Everything that the schema shows, with its description."""
    for type_ in CORE.type_map.values():
        if type_.name.startswith("__") or graphql.is_specified_scalar_type(type_):
            continue
        yield type_.name, type_.description
        for name, value in getattr(type_, "values", {}).items():
            yield f"{type_.name}.{name}", value.description
        for name, field in getattr(type_, "fields", {}).items():
            yield f"{type_.name}.{name}", field.description
            for argument, declared in getattr(field, "args", {}).items():
                yield f"{type_.name}.{name}({argument})", declared.description
    for directive in CORE.directives:
        if not graphql.is_specified_directive(directive):
            yield f"@{directive.name}", directive.description


def test_the_committed_schema_is_the_built_one() -> None:
    assert (ROOT / "schema" / "schema.graphql").read_text() == sdl(), "run `make schema`"


def test_everything_in_the_schema_is_described() -> None:
    described = dict(parts())
    assert len(described) > 300
    assert [name for name, description in described.items() if not (description or "").strip()] == []


def test_a_description_is_more_than_the_name() -> None:
    def words(text: str) -> str:
        return "".join(letter for letter in text.lower() if letter.isalpha())

    assert [name for name, description in parts() if words(description or "") == words(name.rpartition(".")[2])] == []


@pytest.mark.parametrize("name", ROOT_FIELDS)
def test_a_root_field_declares_who_may_ask(name: str) -> None:
    permission = permission_of(ROOT_FIELDS[name])
    root, _, field = name.partition(".")
    assert permission is not None
    assert permission.public is (field in PUBLIC[root])


def fields() -> dict[str, StrawberryField]:
    """Every field of every object type that has a declaration of ours."""
    return {
        f"{name}.{field.python_name}": field
        for name, type_ in SCHEMA.schema_converter.type_map.items()
        for field in getattr(type_.definition, "fields", ())
        if isinstance(field, StrawberryField)
    }


def test_what_a_field_checks_is_what_it_publishes() -> None:
    permissions = {name: (permission_of(field), field) for name, field in fields().items() if permission_of(field)}
    assert len(permissions) > len(ROOT_FIELDS)
    for name, (permission, field) in permissions.items():
        assert permission is not None
        assert set(permission.scopes) <= set(SCOPES), name
        published = [tuple(one.any) for one in field.directives if isinstance(one, Scope)]
        assert published == ([] if permission.public else [permission.scopes]), name


def literal(type_: Any) -> str:
    """The smallest value of an input type."""
    type_ = graphql.get_nullable_type(type_)
    if graphql.is_list_type(type_):
        return "[]"
    if graphql.is_enum_type(type_):
        return str(next(iter(type_.values)))
    if graphql.is_input_object_type(type_):
        given = [f"{name}: {literal(field.type)}" for name, field in type_.fields.items() if graphql.is_required_input_field(field)]
        return "{" + ", ".join(given) + "}"
    scalars = {"Int": "1", "Float": "1", "Boolean": "true", "DateTime": '"2026-11-22T00:00:00Z"', "JSON": "{}", "Decimal": "1"}
    return (scalars | {"URL": '"https://example.com"'}).get(type_.name, '"a"')


def document_for(name: str) -> str:
    """An operation that asks for a root field with the least that it needs."""
    root, _, field_name = name.partition(".")
    type_: Any = CORE.type_map[root]
    field = type_.fields[field_name]
    given = ", ".join(f"{key}: {literal(one.type)}" for key, one in field.args.items() if graphql.is_required_argument(one))
    selection = "" if graphql.is_leaf_type(graphql.get_named_type(field.type)) else " { __typename }"
    return f"{root.lower()} {{ {field_name}{f'({given})' if given else ''}{selection} }}"


@pytest.mark.parametrize("name", [name for name in ROOT_FIELDS if name.partition(".")[2] not in PUBLIC[name.partition(".")[0]]])
async def test_nobody_is_answered_without_signing_in(name: str) -> None:
    """There is nothing behind this operation: a resolver that ran would break on it, and not say UNAUTHENTICATED."""
    nobody: Any = Operation(works=None, caller=None, credential=None)  # type: ignore[arg-type] # never reached
    document = document_for(name)
    if name.startswith("Subscription."):
        stream: Any = await SCHEMA.subscribe(document, context_value=nobody)
        result = stream if hasattr(stream, "errors") else await anext(stream)
    else:
        result = await SCHEMA.execute(document, context_value=nobody)
    assert result.errors
    assert [getattr(error.original_error, "code", error.message) for error in result.errors] == ["UNAUTHENTICATED"]
