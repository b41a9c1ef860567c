"""What our own clients send is compiled, every operation of it, and what is not is counted with its reason."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from graphql import DocumentNode, GraphQLSyntaxError, OperationDefinitionNode, parse, validate

from execution import Compiler
from schema.schema import build_schema
from settings import Settings
from tests.architecture.sources import ROOT
from web.door import Door
from web.metrics import FALLBACKS

SCHEMA = build_schema()
TEMPLATE = re.compile(r"`([^`]*)`")


def texts(file: Path) -> Iterator[str]:
    """Every text constant of a file that may be a document."""
    if file.suffix == ".py":
        constants = (node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant))
        yield from (value for value in constants if isinstance(value, str))
    elif file.suffix == ".graphql":
        yield file.read_text()
    else:
        yield from TEMPLATE.findall(file.read_text())


def documents() -> Iterator[tuple[str, DocumentNode]]:
    folders = ("cli", "web/graphiql/src", "tests/clients")
    files = (file for folder in folders for file in sorted((ROOT / folder).rglob("*.*")) if "node_modules" not in file.parts)
    for file in files:
        for text in texts(file) if file.suffix in {".py", ".js", ".mjs", ".jsx", ".graphql"} else ():
            try:
                document = parse(text)
            except GraphQLSyntaxError:
                continue
            if any(isinstance(node, OperationDefinitionNode) for node in document.definitions) and not validate(SCHEMA._schema, document):
                yield str(file.relative_to(ROOT)), document


DOCUMENTS = list(documents())


def test_there_are_documents_of_each_client() -> None:
    assert {"cli", "web", "tests"} == {name.split("/")[0] for name, _ in DOCUMENTS}


@pytest.mark.parametrize("name", sorted({name for name, _ in DOCUMENTS}))
def test_no_operation_of_a_client_of_ours_falls_back(name: str) -> None:
    compiler = Compiler(SCHEMA)
    for file, document in DOCUMENTS:
        if file == name:
            for node in document.definitions:
                if isinstance(node, OperationDefinitionNode):
                    compiler.compile(document, node)


def test_a_fallback_is_counted_with_its_reason(settings: Settings) -> None:
    door = Door(settings, SCHEMA)
    prepared = door.documents.prepare("{ __schema { queryType { name } } }", None, {})
    counted = FALLBACKS.of("introspection")
    before = counted.value
    assert [door.compiled(prepared) for _ in range(2)] == [None, None]
    assert (counted.attributes, counted.value - before) == ({"penny.graphql.reason": "introspection"}, 2)
