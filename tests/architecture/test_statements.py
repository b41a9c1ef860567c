"""Statements are built in `db/` and `loaders/` and nowhere else; the works fill rows and name columns, the operator looks at the server."""

import ast
import re

import pytest
from piccolo.table import Table

from db.piccolo_app import APP_CONFIG
from tests.architecture.sources import PRODUCT, Module

BUILDERS = {"db", "loaders"}
WORKS = {"auth", "chat", "gateway", "inference"}
# The operator's commands connect on their own: to make a database, and to tell what is wrong with one. Tenants' rows they never touch.
OPERATOR = {"cli/database.py", "cli/database_checks.py", "cli/migrate.py", "cli/migrations.py"}
SQL = re.compile(
    r"\s*(SELECT\s|INSERT\s+INTO\s|UPDATE\s+\S+\s+SET\s|DELETE\s+FROM\s|WITH\s+\S+\s+AS\s|TRUNCATE\s|(CREATE|ALTER|DROP)\s+[A-Z]+\s"
    r"|GRANT\s+[A-Z]+\s|REVOKE\s+[A-Z]+\s|SET\s+LOCAL\s|COPY\s|LOCK\s+TABLE\s|LISTEN\s|NOTIFY\s|BEGIN\b|COMMIT\b|ROLLBACK\b)"
)
OUTSIDE = [module for module in PRODUCT if module.package not in BUILDERS]
TABLES = {table.__name__: table for table in APP_CONFIG.table_classes}


def tables_imported(module: Module) -> set[str]:
    return {name.rsplit(".", 1)[-1] for name in module.imports if name.startswith("db.tables.")} & set(TABLES)


def misuses(module: Module) -> list[str]:
    """Everything that a module does with a table class beyond making rows of it and naming its columns."""
    tables = tables_imported(module)
    return [
        f"{module.name}:{node.lineno} {node.value.id}.{node.attr}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in tables
        if node.attr not in {column._meta.name for column in TABLES[node.value.id]._meta.columns}
    ]


def test_sql_is_written_in_db_and_loaders_only() -> None:
    assert [f"{module.name}: {text}" for module in OUTSIDE if module.name not in OPERATOR for text in module.texts if SQL.match(text)] == []


def test_the_operator_s_sql_touches_no_tenant_s_rows() -> None:
    statements = [text for module in OUTSIDE if module.name in OPERATOR for text in module.texts if SQL.match(text)]
    assert statements
    assert [text for text in statements if "penny." in text] == []


def test_queries_are_built_in_db_and_loaders_only() -> None:
    assert [found for module in OUTSIDE for found in misuses(module)] == []


def test_table_classes_are_known_to_db_loaders_and_the_works_that_fill_rows() -> None:
    assert {module.package for module in PRODUCT if module.imports_from("db.tables")} <= BUILDERS | WORKS


def test_connections_are_opened_in_db_and_by_the_operator_only() -> None:
    assert {module.name for module in OUTSIDE if module.imports_from("asyncpg")} <= OPERATOR


@pytest.mark.parametrize(
    ("text", "findings"),
    [
        ("from db.tables.chats import Chat\nChat(title=b'')", 0),
        ("from db.tables.chats import Chat\nvalues = {Chat.title: b''}", 0),
        ("from db.tables.chats import Chat\nChat.select()", 1),
        ("from db.tables.chats import Chat\nChat.objects().first()", 1),
        ("from db.tables.chats import Chat\nverb = Chat.insert", 1),
    ],
)
def test_a_query_outside_is_found(text: str, findings: int) -> None:
    assert len(misuses(Module("chat/planted.py", text))) == findings


@pytest.mark.parametrize("text", ["SELECT 1", "\n  INSERT INTO penny.chats VALUES", "SET LOCAL app.tenant_id = ''", "DELETE FROM x "])
def test_sql_outside_is_found(text: str) -> None:
    assert SQL.match(text)


def test_every_table_class_is_watched() -> None:
    assert len(TABLES) == len(APP_CONFIG.table_classes) > 10
    assert all(issubclass(table, Table) for table in TABLES.values())
