"""Every statement over a tenant's rows names the tenant beside the policy: PostgreSQL estimates by what it is told, not by a policy."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted([*(ROOT / "db" / "statements").glob("*.py"), *(ROOT / "loaders").glob("*.py")])
TABLE = re.compile(r"(?:FROM|JOIN|UPDATE)\s+penny\.(\w+)\b(?!\()")
TENANT = re.compile(r"tenant_id = (?:\$1|\w+\.tenant_id)")
# These look across tenants, in a system scope: a token names none, a person may be in several, sweeps and an operator are for all.
ACROSS = {
    "SESSION_BY_HASH",
    "tenants_with_sessions",
    "of_user",
    "abandoned",
    "due",
    "every_id",
    "tenants_since",
    "tenants_before",
    "tenants_with_due",
    "public_by_sha256",
}


def texts(tree: ast.AST, place: str = "") -> Iterator[tuple[str, str]]:
    """All texts of a module, of an f-string the whole, each with the name that it is given or the function that it stands in."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from texts(node, node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield from texts(node, place or node.target.id)
        elif isinstance(node, ast.JoinedStr):
            yield place, ast.unparse(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield place, node.value
        else:
            yield from texts(node, place)


def forgetful(source: str) -> list[str]:
    """Where a module's SQL reads or changes more tables of tenants than it names the tenant of."""
    return [place for place, text in texts(ast.parse(source)) if len(TABLE.findall(text)) > len(TENANT.findall(text))]


def test_every_statement_names_the_tenant() -> None:
    found = {place for file in FILES for place in forgetful(file.read_text())}
    assert found == ACROSS


def test_no_statement_changes_a_setting() -> None:
    """A read-only transaction is passed on to the tenant's next read, and with it what was set in it."""
    found = [text for file in FILES for _, text in texts(ast.parse(file.read_text())) if re.match(r"\W*(RE)?SET\b|.*\bset_config\b", text)]
    assert found == []


def test_there_are_statements_to_look_at() -> None:
    assert sum(bool(TABLE.search(text)) for file in FILES for _, text in texts(ast.parse(file.read_text()))) > 40


@pytest.mark.parametrize(
    "text",
    [
        'X: Final = "SELECT * FROM penny.chats WHERE id = $1"',
        'async def f(): return "UPDATE penny.runs SET status = $2 WHERE id = $1"',
        'X: Final = f"DELETE FROM penny.chats WHERE {OPEN}"',
        'X: Final = "SELECT * FROM penny.a JOIN penny.b ON b.id = a.id WHERE a.tenant_id = $1"',
    ],
)
def test_a_statement_that_forgets_the_tenant_is_found(text: str) -> None:
    assert len(forgetful(text)) == 1
