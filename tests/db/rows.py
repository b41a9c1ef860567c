"""Makes rows of any table from what the catalog says of it, parents first, so that a new table needs no factory of its own."""

import itertools
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
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

    async def make(self, table: Table, tenant_id: UUID) -> Values:
        """Insert a row of a tenant and all that it refers to; the tenant's own row is made once."""
        if table.primary_key != ("tenant_id",):
            values = await self.next(table, tenant_id)
            await self._connection.execute(*insert(table, values))
        else:
            values = _values(table) | {"tenant_id": tenant_id}
            await self._connection.execute(*insert(table, values, "ON CONFLICT DO NOTHING"))
        return values

    async def next(self, table: Table, tenant_id: UUID) -> Values:
        """Return a row that could be inserted now; what it refers to is there already. A tenant's row is a new tenant's."""
        values = _values(table)
        if "tenant_id" in values and table.primary_key != ("tenant_id",):
            values["tenant_id"] = tenant_id
        # The widest last, for where two of them share columns.
        for key in sorted(table.foreign_keys, key=lambda key: len(key.columns)):
            if any(table.columns[name].nullable for name in key.columns):
                continue
            row = await self.make(self._tables[key.parent], tenant_id)
            values |= {name: row[parent_name] for name, parent_name in zip(key.columns, key.parent_columns, strict=True)}
        return values


def _values(table: Table) -> Values:
    return {column.name: value_of(column) for column in table.columns.values() if not (column.nullable or column.has_default)}


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
        "numeric": lambda: Decimal(next(_count)),
        "boolean": lambda: True,
        "jsonb": lambda: "{}",
        "halfvec(256)": lambda: "[" + ",".join(["0.0625"] * 256) + "]",
        "timestamp with time zone": lambda: datetime.now(UTC),
        "date": lambda: datetime.now(UTC).date() + timedelta(days=next(_count)),
    }
    if column.type not in makers:
        raise NotImplementedError(f"tests/db/rows.py cannot make a {column.type} yet, which {column.name} needs.")
    return makers[column.type]()
