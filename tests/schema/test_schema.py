"""The whole schema: it is valid, every node has an id of its own, and pages and payloads have the form of all others."""

import pytest
import strawberry
from graphql import (
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    build_schema,
    validate_schema,
)

from schema.ids import PREFIXES
from schema.nodes import kinds
from schema.schema import build_schema as build
from schema.schema import merged, sdl

# A part of a message has an id, but no life of its own.
PARTS = {"Part"}
# What a list tells of its rows beside the rows themselves.
TOLD_OF_EDGES = {"SearchHitConnection": {"score", "highlights"}}
BUILT_IN = {"String", "Int", "Float", "Boolean", "ID"}


@pytest.fixture(scope="module")
def schema() -> GraphQLSchema:
    return build()._schema


def test_the_schema_is_valid_and_its_text_reads_back(schema: GraphQLSchema) -> None:
    assert validate_schema(schema) == []
    assert set(build_schema(sdl()).type_map) >= {name for name in schema.type_map if not name.startswith("__")} - BUILT_IN


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
        assert set(edge.fields) == {"cursor", "node"} | TOLD_OF_EDGES.get(name, set())


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
