"""The whole schema: everything is described, everything is permitted on purpose, and every node has an id of its own."""

from collections.abc import Iterator

import pytest
import strawberry
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    validate_schema,
)

from schema.fields import Scope
from schema.ids import PREFIXES
from schema.nodes import kinds
from schema.schema import build_schema as build
from schema.schema import merged, sdl

# What anybody may ask for: what this server is and allows; whoever signs in has no credential yet, and a mailed link is one.
PUBLIC = {"apiInfo", "signUp", "signIn", "signOut", "emailVerify", "passwordResetRequest", "passwordReset"}
# A part of a message has an id, but no life of its own.
PARTS = {"Part"}
BUILT_IN = {"String", "Int", "Float", "Boolean", "ID"}


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    return build()._schema


def described(schema: GraphQLSchema) -> Iterator[tuple[str, str | None]]:
    """Every name of the schema with its description."""
    for name, kind in schema.type_map.items():
        if name in BUILT_IN or name.startswith("__"):
            continue
        yield name, kind.description
        if isinstance(kind, GraphQLEnumType):
            yield from ((f"{name}.{value}", one.description) for value, one in kind.values.items())
        if isinstance(kind, GraphQLInputObjectType):
            yield from ((f"{name}.{field}", one.description) for field, one in kind.fields.items())
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType):
            for field, one in kind.fields.items():
                yield f"{name}.{field}", one.description
                yield from ((f"{name}.{field}({argument})", given.description) for argument, given in one.args.items())


def test_the_schema_is_valid_and_its_text_reads_back(schema: GraphQLSchema) -> None:
    assert validate_schema(schema) == []
    assert set(build_schema(sdl()).type_map) >= {name for name in schema.type_map if not name.startswith("__")} - BUILT_IN


def test_every_name_is_described(schema: GraphQLSchema) -> None:
    names = dict(described(schema))
    assert len(names) > 300
    assert [name for name, text in names.items() if not text or not text.strip()] == []


def test_every_root_field_says_who_may_use_it(schema: GraphQLSchema) -> None:
    for root in (schema.query_type, schema.mutation_type, schema.subscription_type):
        for name, field in root.fields.items() if root else ():
            directives = field.extensions["strawberry-definition"].directives
            assert any(isinstance(one, Scope) for one in directives) != (name in PUBLIC), name


def test_every_node_has_a_prefix_and_every_prefix_a_node(schema: GraphQLSchema) -> None:
    interface = schema.type_map["Node"]
    assert isinstance(interface, GraphQLInterfaceType)
    assert {kind.name for kind in schema.get_possible_types(interface)} == set(kinds()) == set(PREFIXES) - PARTS
    assert len(set(PREFIXES.values())) == len(PREFIXES)


def test_pages_are_named_after_what_they_list(schema: GraphQLSchema) -> None:
    pages = [name for name in schema.type_map if name.endswith("Connection")]
    assert {"TenantMembershipConnection", "InvitationConnection", "ApiKeyConnection"} <= set(pages)
    for name in pages:
        page, edge = schema.type_map[name], schema.type_map[name.removesuffix("Connection") + "Edge"]
        assert isinstance(page, GraphQLObjectType)
        assert isinstance(edge, GraphQLObjectType)
        assert set(page.fields) == {"edges", "nodes", "pageInfo", "totalCount"}
        assert set(edge.fields) == {"cursor", "node"}


def test_every_mutation_has_one_input_and_a_payload_with_errors(schema: GraphQLSchema) -> None:
    assert schema.mutation_type is not None
    for name, field in schema.mutation_type.fields.items():
        kind = name[0].upper() + name[1:]
        assert str(field.type) == f"{kind}Payload!"
        assert [(argument, str(given.type)) for argument, given in field.args.items()] in ([("input", f"{kind}Input!")], []), name
        payload = schema.type_map[f"{kind}Payload"]
        assert isinstance(payload, GraphQLObjectType)
        assert str(payload.fields["errors"].type) == "[UserError!]!"


def test_two_nouns_cannot_have_a_root_field_of_the_same_name() -> None:
    @strawberry.type
    class One:
        thing: str

    @strawberry.type
    class Other:
        thing: str

    assert issubclass(merged("Query", (One,), "One."), One)
    with pytest.raises(TypeError, match="thing"):
        merged("Query", (One, Other), "Both.")
