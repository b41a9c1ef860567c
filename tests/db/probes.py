"""Attempts of one tenant on the rows of another, for any table; each returns the sentences that say what was wrong.

Every attempt that must fail has its control beside it: the same on the tenant's own rows, which must succeed. A probe
that finds nothing has therefore tried something.
"""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from tests.db.catalog import ForeignKey, Table, privileges
from tests.db.databases import undone
from tests.db.rows import Rows, Values, insert, value_of

GARBAGE = ("", "x", " " * 36, "0", "null", "{tenant}\n-", "{tenant},{tenant}", "{tenant}0", "%", "00000000-0000-0000-0000-000000000000")


@dataclass(frozen=True)
class Case:
    """A table with a row of mine and one of theirs, and for both the values of a row that could be inserted next."""

    table: Table
    role: str
    may: frozenset[str]
    me: UUID
    them: UUID
    mine: Values
    theirs: Values
    my_next: Values
    their_next: Values
    their_parents: Mapping[str, Values]

    @property
    def name(self) -> str:
        return f"{self.table.full_name} as {self.role}"

    def of_key(self, first: int = 1) -> str:
        """Return the condition that names a row by its key."""
        return " AND ".join(f"{name} = ${number}" for number, name in enumerate(self.table.key, first))

    def key(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(values[name] for name in self.table.key)


async def make_case(admin: Any, tables: Mapping[str, Table], table: Table, role: str, me: UUID, them: UUID) -> Case:
    """Make the rows of a case; `admin` is the superuser's connection."""
    rows = Rows(admin, tables)
    return Case(
        table=table,
        role=role,
        may=await privileges(admin, role, table.full_name),
        me=me,
        them=them,
        mine=await rows.make(table, me),
        theirs=await rows.make(table, them),
        my_next=await rows.next(table, me),
        their_next=await rows.next(table, them),
        their_parents={key.name: await rows.make(tables[key.parent], them) for key in table.foreign_keys},
    )


async def attempt(connection: Any, sql: str, *arguments: object) -> int | asyncpg.PostgresError:
    """Run a statement in a savepoint; return how many rows it touched or why it was refused."""
    try:
        async with connection.transaction():
            status = await connection.execute(sql, *arguments)
    except asyncpg.PostgresError as error:
        return error
    tail = status.rsplit(" ", 1)[-1]
    return int(tail) if tail.isdigit() else 0


def refused(outcome: int | asyncpg.PostgresError, *, granted: bool) -> bool:
    """Whether a statement failed as it should: for want of a privilege, or else by row-level security."""
    because = "violates row-level security policy" if granted else "permission denied"
    return isinstance(outcome, asyncpg.InsufficientPrivilegeError) and because in str(outcome)


async def reads(connection: Any, case: Case) -> list[str]:
    """Ask for their row by key, in lists, counts and existence."""
    table, found = case.table.full_name, []
    if "SELECT" not in case.may:
        async with undone(connection, case.me):
            outcome = await attempt(connection, f"SELECT count(*) FROM {table}")
        return [] if refused(outcome, granted=False) else [f"{case.name}: SELECT is not granted and gave {outcome!r}"]
    by_key = f"SELECT tenant_id FROM {table} WHERE {case.of_key()}"
    async with undone(connection, case.me):
        theirs = await connection.fetch(by_key, *case.key(case.theirs))
        mine = await connection.fetch(by_key, *case.key(case.mine))
        everything = [row["tenant_id"] for row in await connection.fetch(f"SELECT tenant_id FROM {table}")]
        count = await connection.fetchval(f"SELECT count(*) FROM {table}")
        named = await connection.fetchval(f"SELECT count(*) FROM {table} WHERE tenant_id = $1", case.them)
        exists = await connection.fetchval(f"SELECT EXISTS (SELECT 1 FROM {table} WHERE tenant_id <> $1)", case.me)
    if theirs:
        found.append(f"{case.name}: a foreign row was read by its key")
    if [row["tenant_id"] for row in mine] != [case.me]:
        found.append(f"{case.name}: the own row was not found by its key")
    if set(everything) != {case.me} or count != len(everything):
        found.append(f"{case.name}: a list has other rows than the own ones")
    if named or exists:
        found.append(f"{case.name}: foreign rows were counted")
    return found


async def reads_without_tenant(connection: Any, case: Case) -> list[str]:
    """Read with no setting, with one that a transaction left behind, and with nonsense in it."""
    if "SELECT" not in case.may:
        return []
    found, count = [], f"SELECT count(*) FROM {case.table.full_name}"
    if await connection.fetchval(count):
        found.append(f"{case.name}: rows were read without a tenant")
    async with connection.transaction():
        await connection.execute(f"SET LOCAL app.tenant_id = '{case.me}'")
        if not await connection.fetchval(count):
            found.append(f"{case.name}: no own rows were read with a tenant")
    if await connection.fetchval(count):
        found.append(f"{case.name}: rows were read after the tenant's transaction")
    for garbage in GARBAGE:
        async with undone(connection):
            await connection.execute(f"SET LOCAL app.tenant_id = '{garbage.format(tenant=case.me)}'")
            outcome = await attempt(connection, f"SELECT tenant_id FROM {case.table.full_name}")
            if isinstance(outcome, int) and outcome:
                found.append(f"{case.name}: rows were read with {garbage!r} as the tenant")
            if isinstance(outcome, asyncpg.PostgresError) and not isinstance(outcome, asyncpg.InvalidTextRepresentationError):
                found.append(f"{case.name}: reading with {garbage!r} as the tenant gave {outcome!r}")
    return found


async def inserts(connection: Any, case: Case) -> list[str]:
    """Insert for the other tenant: plainly (an upsert or RETURNING would also meet the reading policy), returning, upserting."""
    may = "INSERT" in case.may
    key, set_tenant = ", ".join(case.table.primary_key), "tenant_id = excluded.tenant_id"
    attempts = {
        "a plain INSERT": insert(case.table, case.their_next),
        "INSERT … RETURNING": insert(case.table, case.their_next, "RETURNING tenant_id"),
        "an INSERT of a row that exists": insert(case.table, case.theirs),
        "ON CONFLICT DO NOTHING": insert(case.table, case.theirs, "ON CONFLICT DO NOTHING"),
    }
    if "UPDATE" in case.may:
        attempts["an upsert"] = insert(case.table, case.theirs, f"ON CONFLICT ({key}) DO UPDATE SET {set_tenant}")
        attempts["an upsert of a new row"] = insert(case.table, case.their_next, f"ON CONFLICT ({key}) DO UPDATE SET {set_tenant}")
    found = []
    async with undone(connection, case.me):
        for name, (sql, *arguments) in attempts.items():
            if not refused(outcome := await attempt(connection, sql, *arguments), granted=may):
                found.append(f"{case.name}: {name} for another tenant gave {outcome!r}")
    async with undone(connection, case.my_next["tenant_id"]):
        if may and await attempt(connection, *insert(case.table, case.my_next)) != 1:
            found.append(f"{case.name}: an INSERT of an own row failed")
    async with undone(connection):
        sql, *arguments = insert(case.table, case.my_next)
        if not refused(outcome := await attempt(connection, sql, *arguments), granted=may):
            found.append(f"{case.name}: an INSERT without a tenant gave {outcome!r}")
    return found


async def changes(connection: Any, case: Case) -> list[str]:
    """Update and delete their row by key, by tenant and blindly, and move an own row to them."""
    found = []
    for privilege, sql in _blindly(case.table).items():
        for tenant_id in (case.me, None):
            async with undone(connection, tenant_id):
                own = await _own_rows(connection, case) if tenant_id and "SELECT" in case.may else 0
                outcomes = [
                    ("by key", 0, await attempt(connection, f"{sql} WHERE {case.of_key()}", *case.key(case.theirs))),
                    ("by tenant", 0, await attempt(connection, f"{sql} WHERE tenant_id = $1", case.them)),
                    ("without a condition", own, await attempt(connection, sql)),
                ]
            for how, expected, outcome in outcomes:
                in_use = how == "without a condition" and isinstance(outcome, asyncpg.ForeignKeyViolationError)
                if not (outcome == expected or in_use) if privilege in case.may else not refused(outcome, granted=False):
                    found.append(f"{case.name}: {privilege} {how} gave {outcome!r} with the tenant {tenant_id}")
    async with undone(connection, case.me):
        return found + await _own_changes(connection, case)


def _blindly(table: Table) -> dict[str, str]:
    """Return an UPDATE and a DELETE that read no column: only then are the policies for reading not asked as well."""
    in_keys = {name for names in table.unique for name in names} | {name for key in table.foreign_keys for name in key.columns}
    free = next(one.name for one in table.columns.values() if (one.has_default or one.nullable) and one.name not in in_keys)
    return {"UPDATE": f"UPDATE {table.full_name} SET {free} = DEFAULT", "DELETE": f"DELETE FROM {table.full_name}"}


async def _own_rows(connection: Any, case: Case) -> int:
    return int(await connection.fetchval(f"SELECT count(*) FROM {case.table.full_name} WHERE tenant_id = $1", case.me))


async def _own_changes(connection: Any, case: Case) -> list[str]:
    found, by_key = [], f"WHERE {case.of_key()}"
    if "UPDATE" in case.may:
        if await attempt(connection, f"{_blindly(case.table)['UPDATE']} {by_key}", *case.key(case.mine)) != 1:
            found.append(f"{case.name}: an UPDATE of the own row failed")
        moved = f"UPDATE {case.table.full_name} SET tenant_id = ${len(case.table.key) + 1} {by_key}"
        outcomes = [await attempt(connection, moved, *case.key(case.mine), other) for other in (case.them, uuid4())]
        found += [f"{case.name}: moving an own row to another tenant gave {one!r}" for one in outcomes if not refused(one, granted=True)]
    if {"INSERT", "DELETE"} <= case.may:
        await attempt(connection, *insert(case.table, case.my_next))
        if await attempt(connection, f"DELETE FROM {case.table.full_name} {by_key}", *case.key(case.my_next)) != 1:
            found.append(f"{case.name}: a DELETE of an own row failed")
    return found


async def grafts(connection: Any, case: Case) -> list[str]:
    """Hang an own row on a parent of theirs: refused with the very words that a parent gets that never existed."""
    found = []
    for key in case.table.foreign_keys:
        if "tenant_id" not in case.their_parents[key.name] or key.columns == ("tenant_id",):
            continue
        for verb in sorted({"INSERT", "UPDATE"} & case.may):
            texts = [await _graft(connection, case, key, verb, parent) for parent in (case.their_parents[key.name], None)]
            if texts[0] != texts[1] or "violates foreign key constraint" not in texts[0]:
                found.append(f"{case.name}: {verb} with a foreign parent and with none through {key.name} gave {texts}")
    return found


async def _graft(connection: Any, case: Case, key: ForeignKey, verb: str, parent: Values | None) -> str:
    pairs = [(name, parent_name) for name, parent_name in zip(key.columns, key.parent_columns, strict=True) if name != "tenant_id"]
    grafted = {name: value_of(case.table.columns[name]) if parent is None else parent[parent_name] for name, parent_name in pairs}
    async with undone(connection, case.me):
        if verb == "INSERT":
            outcome = await attempt(connection, *insert(case.table, case.my_next | grafted))
        else:
            changed = ", ".join(f"{name} = ${number}" for number, name in enumerate(grafted, 1))
            sql = f"UPDATE {case.table.full_name} SET {changed} WHERE {case.of_key(len(grafted) + 1)}"
            outcome = await attempt(connection, sql, *grafted.values(), *case.key(case.mine))
    text = str(outcome) if isinstance(outcome, int) else f"{outcome} {outcome.detail}"
    for value in grafted.values():
        text = text.replace(str(value), "…")
    return text


async def side_doors(connection: Any, case: Case) -> list[str]:
    """Name partitions directly, empty a table, copy into it, refer to it, and see what may be done that nobody needs."""
    found = []
    statements = {
        f"{verb} of the partition {partition}": sql
        for partition in case.table.partitions
        for verb, sql in {
            "SELECT": f"SELECT 1 FROM {partition}",
            "INSERT": f"INSERT INTO {partition} (tenant_id) VALUES (gen_random_uuid())",
            "UPDATE": f"UPDATE {partition} SET tenant_id = tenant_id",
            "DELETE": f"DELETE FROM {partition}",
        }.items()
    }
    statements["TRUNCATE"] = f"TRUNCATE {case.table.full_name} CASCADE"
    statements["CREATE TABLE … REFERENCES"] = f"CREATE TABLE penny.spy (tenant_id uuid REFERENCES {case.table.full_name})"
    statements["CREATE TEMP TABLE … REFERENCES"] = f"CREATE TEMP TABLE spy (tenant_id uuid REFERENCES {case.table.full_name})"
    statements["CREATE TRIGGER"] = (
        f"CREATE TRIGGER spy BEFORE UPDATE ON {case.table.full_name} EXECUTE FUNCTION suppress_redundant_updates_trigger()"
    )
    statements["DISABLE ROW LEVEL SECURITY"] = f"ALTER TABLE {case.table.full_name} DISABLE ROW LEVEL SECURITY"
    statements["CREATE POLICY"] = f"CREATE POLICY spy ON {case.table.full_name} USING (true)"
    async with undone(connection, case.me):
        for name, sql in statements.items():
            outcome = await attempt(connection, sql)
            if not isinstance(outcome, asyncpg.InsufficientPrivilegeError) or "row-level" in str(outcome):
                found.append(f"{case.name}: {name} gave {outcome!r}")
    return found + await _copies(connection, case)


async def _copies(connection: Any, case: Case) -> list[str]:
    """COPY is refused outright under row-level security, in one way or the other."""
    async with undone(connection, case.me):
        try:
            async with connection.transaction():
                names, line = list(case.my_next), io.BytesIO(_as_csv(case.my_next.values()))
                await connection.copy_to_table(case.table.name, schema_name=case.table.schema, columns=names, source=line, format="csv")
        except (asyncpg.InsufficientPrivilegeError, asyncpg.FeatureNotSupportedError):
            return []
    return [f"{case.name}: COPY FROM went through"]


def _as_csv(values: Iterable[Any]) -> bytes:
    """Spell a row as COPY reads it; asyncpg's own way needs to know the binary form of every type."""
    line = io.StringIO()
    spelled = (f"\\x{value.hex()}" if isinstance(value, bytes) else "{}" if isinstance(value, list) else str(value) for value in values)
    csv.writer(line).writerow(spelled)
    return line.getvalue().encode()


PROBES = {
    "reads": reads,
    "reads_without_tenant": reads_without_tenant,
    "inserts": inserts,
    "changes": changes,
    "grafts": grafts,
    "side_doors": side_doors,
}
