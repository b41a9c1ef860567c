"""Rows that bring other rows along."""

from typing import Any

from db.scopes import Row


class KnownRow(dict[str, Any]):
    """A row with the answers to questions about it, by the questions' names: those are not asked again."""

    def __init__(self, row: Row, known: dict[str, Row]) -> None:
        super().__init__(row)
        self.known = known


def membership_anywhere(row: Row) -> KnownRow:
    """Take a membership of any tenant apart, whose row has its tenant and role in it: neither can be read from another tenant."""
    tenant = {"tenant_id": row["tenant_id"]} | _named(row, "tenant", "slug name status region created_at revision")
    role = {"id": row["role_id"]} | _named(row, "role", "name builtin scopes")
    return KnownRow(row, {"tenant_by_id": tenant, "role_by_id": role})


def _named(row: Row, prefix: str, columns: str) -> dict[str, Any]:
    return {name: row[f"{prefix}_{name}"] for name in columns.split()}
