"""Makes rows of any table from what the catalog says of it, parents first, so that a new table needs no factory of its own."""

import itertools
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from tests.db.catalog import Column, Table

Values = dict[str, Any]
_count = itertools.count(1)


class Rows:
    """Makes rows through a connection that no policy holds up (the superuser's)."""

    def __init__(self, connection: Any, tables: Mapping[str, Table]) -> None:
        self._connection = connection
        self._tables = tables

    async def own(self, table: Table, tenant_id: UUID) -> Values:
        """Return a row that a tenant has, made now unless the table holds one a tenant."""
        if table.key == ("tenant_id",) and await self._is_there(table, tenant_id):
            return {"tenant_id": tenant_id}
        return await self.make(table, tenant_id)

    async def make(self, table: Table, tenant_id: UUID) -> Values:
        """Insert a row of a tenant, and all that it refers to."""
        values = await self.next(table, tenant_id)
        await self._connection.execute(*insert(table, values))
        return values

    async def next(self, table: Table, tenant_id: UUID) -> Values:
        """Return a row that could be inserted now; what it refers to is there already."""
        values = {column.name: value_of(column) for column in table.columns.values() if not (column.nullable or column.has_default)}
        if "tenant_id" in table.columns:
            values["tenant_id"] = tenant_id
        for key in table.foreign_keys:
            parent = self._tables[key.parent]
            if key.parent_columns == ("tenant_id",):
                await self._found(parent, tenant_id)
            elif not any(table.columns[name].nullable for name in key.columns):
                row = await self.make(parent, tenant_id)
                values |= {name: row[parent_name] for name, parent_name in zip(key.columns, key.parent_columns, strict=True)}
        return values

    async def _found(self, tenants: Table, tenant_id: UUID) -> None:
        if not await self._connection.fetchval("SELECT EXISTS (SELECT 1 FROM penny.tenants WHERE tenant_id = $1)", tenant_id):
            await self.make(tenants, tenant_id)


def insert(table: Table, values: Mapping[str, Any], after: str = "") -> tuple[Any, ...]:
    """Return an INSERT and its arguments."""
    names, places = ", ".join(values), ", ".join(f"${number}" for number in range(1, len(values) + 1))
    return f"INSERT INTO {table.full_name} ({names}) VALUES ({places}) {after}", *values.values()


def value_of(column: Column) -> Any:
    """Return a value for a column, another one every time where its type has as many."""
    if column.type.endswith("[]"):
        return []
    if column.choices:
        return column.choices[0]
    makers: dict[str, Any] = {
        "uuid": uuid4,
        "text": lambda: uuid4().hex,
        "bytea": lambda: uuid4().bytes,
        "smallint": lambda: next(_count),
        "integer": lambda: next(_count),
        "bigint": lambda: next(_count),
        "boolean": lambda: False,
        "jsonb": lambda: "{}",
        "timestamp with time zone": lambda: datetime.now(UTC),
    }
    if column.type not in makers:
        raise NotImplementedError(f"tests/db/rows.py cannot make a {column.type} yet, which {column.name} needs.")
    return makers[column.type]()
