"""What PostgreSQL's catalog says about our tables."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ROLES = ("penny_app", "penny_system")
# Which rows `penny_system` may read in every tenant; all other tables it reads like `penny_app`.
SYSTEM_SEES = {
    "tenants": "true",
    "roles": "true",
    "memberships": "true",
    "sessions": "true",
    "runs": "status IN ('QUEUED', 'RUNNING')",
    "jobs": "status IN ('QUEUED', 'RUNNING')",
    "facts": "true",
    "vectors_due": "true",
    "trusted_documents": "is_public",
}
PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE")


@dataclass(frozen=True)
class Column:
    name: str
    type: str
    nullable: bool
    has_default: bool
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class ForeignKey:
    name: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table that is no partition; `unique` are the columns of its primary key and of every other unique index."""

    schema: str
    name: str
    columns: Mapping[str, Column]
    primary_key: tuple[str, ...]
    unique: tuple[tuple[str, ...], ...]
    foreign_keys: tuple[ForeignKey, ...]
    partitions: tuple[str, ...]

    @property
    def full_name(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def key(self) -> tuple[str, ...]:
        """The primary key without the tenant, or the tenant where nothing else is in it."""
        return tuple(name for name in self.primary_key if name != "tenant_id") or self.primary_key


_TABLES = """
    SELECT n.nspname AS schema, c.relname AS name,
        ARRAY(SELECT i.inhrelid::regclass::text FROM pg_inherits i WHERE i.inhparent = c.oid ORDER BY 1) AS partitions
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY($1) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    ORDER BY 1, 2
"""
_COLUMNS = """
    SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, NOT a.attnotnull AS nullable, a.atthasdef AS has_default,
        (SELECT string_agg(pg_get_constraintdef(k.oid), ' ') FROM pg_constraint k
         WHERE k.conrelid = a.attrelid AND k.contype = 'c' AND k.conkey = ARRAY[a.attnum]) AS checks
    FROM pg_attribute a
    WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_UNIQUE = """
    SELECT i.indisprimary AS is_primary,
        ARRAY(SELECT coalesce(a.attname, '(expression)') FROM unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
              LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND k.attnum > 0
              WHERE k.place <= i.indnkeyatts ORDER BY k.place) AS columns
    FROM pg_index i WHERE i.indrelid = $1::text::regclass AND i.indisunique ORDER BY 1 DESC, 2
"""
_FOREIGN_KEYS = """
    SELECT k.conname AS name, k.confrelid::regclass::text AS parent,
        ARRAY(SELECT a.attname FROM unnest(k.conkey) WITH ORDINALITY AS c (attnum, place)
              JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = c.attnum ORDER BY c.place) AS columns,
        ARRAY(SELECT a.attname FROM unnest(k.confkey) WITH ORDINALITY AS c (attnum, place)
              JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = c.attnum ORDER BY c.place) AS parent_columns
    FROM pg_constraint k WHERE k.conrelid = $1::text::regclass AND k.contype = 'f' AND k.conparentid = 0 ORDER BY 1
"""


async def read_tables(connection: Any, *schemas: str) -> dict[str, Table]:
    """Read the tables of schemas, by their full names."""
    tables = [await _read_table(connection, row) for row in await connection.fetch(_TABLES, list(schemas))]
    return {table.full_name: table for table in tables}


async def _read_table(connection: Any, row: Any) -> Table:
    full_name = f"{row['schema']}.{row['name']}"
    columns = [
        Column(one["name"], one["type"], one["nullable"], one["has_default"], tuple(re.findall(r"'([^']*)'::text", one["checks"] or "")))
        for one in await connection.fetch(_COLUMNS, full_name)
    ]
    unique = [(one["is_primary"], tuple(one["columns"])) for one in await connection.fetch(_UNIQUE, full_name)]
    foreign_keys = [
        ForeignKey(one["name"], tuple(one["columns"]), one["parent"], tuple(one["parent_columns"]))
        for one in await connection.fetch(_FOREIGN_KEYS, full_name)
    ]
    return Table(
        schema=row["schema"],
        name=row["name"],
        columns={column.name: column for column in columns},
        primary_key=next((names for is_primary, names in unique if is_primary), ()),
        unique=tuple(names for _, names in unique),
        foreign_keys=tuple(foreign_keys),
        partitions=tuple(row["partitions"]),
    )


async def privileges(connection: Any, role: str, table: str) -> frozenset[str]:
    """Name what a role may do with a table, or with at least one of its columns."""
    return frozenset(
        [
            privilege
            for privilege in PRIVILEGES
            if await connection.fetchval("SELECT has_table_privilege($1, $2, $3)", role, table, privilege)
            or (privilege != "DELETE" and await connection.fetchval("SELECT has_any_column_privilege($1, $2, $3)", role, table, privilege))
        ]
    )


_DUMP = """
    SELECT 'schema ' || nspname || ' ' || coalesce(nspacl::text, '') FROM pg_namespace WHERE nspname = ANY($1)
    UNION ALL SELECT format('relation %s %s owner %s acl %s security %s %s bound %s partition by %s', c.relkind, c.oid::regclass,
        c.relowner::regrole, c.relacl, c.relrowsecurity, c.relforcerowsecurity, pg_get_expr(c.relpartbound, c.oid),
        pg_get_partkeydef(c.oid))
        FROM pg_class c WHERE c.relnamespace = ANY($2)
    UNION ALL SELECT format('column %s.%s %s not null %s default %s acl %s options %s', a.attrelid::regclass, a.attname,
        format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attacl, a.attoptions)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE c.relnamespace = ANY($2) AND c.relkind IN ('r', 'p', 'v', 'm') AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL SELECT format('index %s', pg_get_indexdef(i.indexrelid))
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relnamespace = ANY($2)
    UNION ALL SELECT format('constraint %s.%s %s', k.conrelid::regclass, k.conname, pg_get_constraintdef(k.oid))
        FROM pg_constraint k WHERE k.connamespace = ANY($2)
    UNION ALL SELECT format('policy %s.%s %s %s to %s using %s check %s', p.polrelid::regclass, p.polname, p.polpermissive, p.polcmd,
        p.polroles::regrole[], pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
        FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE c.relnamespace = ANY($2)
    UNION ALL SELECT format('function %s %s', p.oid::regprocedure, pg_get_functiondef(p.oid))
        FROM pg_proc p WHERE p.pronamespace = ANY($2) AND p.prokind IN ('f', 'p')
    UNION ALL SELECT format('statistics %s', pg_get_statisticsobjdef(s.oid)) FROM pg_statistic_ext s WHERE s.stxnamespace = ANY($2)
"""


async def dump(connection: Any) -> list[str]:
    """Describe our schemas in full: relations, columns, indexes, constraints, policies, grants, functions."""
    schemas = ["penny", "directory"]
    namespaces = [row["oid"] for row in await connection.fetch("SELECT oid FROM pg_namespace WHERE nspname = ANY($1)", schemas)]
    return sorted(row[0] for row in await connection.fetch(_DUMP, schemas, namespaces))
