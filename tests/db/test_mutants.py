"""The probes of the tenancy tests speak when a wall is taken away: one that cannot fail would prove nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import uuid4

import pytest

from stack.addresses import Addresses
from tests.db.catalog import Table, read_tables
from tests.db.conftest import Clone
from tests.db.databases import connected
from tests.db.probes import PROBES, make_case

READS, INSERTS, CHANGES = {"reads": "SELECT", "reads_without_tenant": "SELECT"}, {"inserts": "INSERT"}, {"changes": "UPDATE"}
NO_FLOOR = "DROP POLICY tenant_floor ON {table}; "


@dataclass(frozen=True)
class Mutant:
    """What is done to every table, and the probes that must then speak, each where `penny_app` has the privilege beside it."""

    sql: str
    speak: dict[str, str]


MUTANTS = {
    "a policy for everything, and no floor": Mutant(
        NO_FLOOR + "CREATE POLICY open ON {table} USING (true) WITH CHECK (true)", READS | INSERTS | CHANGES
    ),
    "row-level security disabled": Mutant(
        "ALTER TABLE {table} DISABLE ROW LEVEL SECURITY", READS | INSERTS | CHANGES | {"side_doors": "INSERT"}
    ),
    "a policy for any INSERT, and no floor": Mutant(NO_FLOOR + "CREATE POLICY open ON {table} FOR INSERT WITH CHECK (true)", INSERTS),
    "a policy for any SELECT, and no floor": Mutant(NO_FLOOR + "CREATE POLICY open ON {table} FOR SELECT USING (true)", READS),
    "a policy for any UPDATE, and no floor": Mutant(NO_FLOOR + "CREATE POLICY open ON {table} FOR UPDATE USING (true)", CHANGES),
    "a policy for any DELETE, and no floor": Mutant(
        NO_FLOOR + "CREATE POLICY open ON {table} FOR DELETE USING (true)", {"changes": "DELETE"}
    ),
    "no tenant is every tenant": Mutant(
        NO_FLOOR + "CREATE POLICY open ON {table} USING (coalesce(current_setting('app.tenant_id', true), '') = '')",
        {"reads_without_tenant": "SELECT"} | CHANGES,
    ),
    "TRUNCATE granted": Mutant("GRANT TRUNCATE ON ALL TABLES IN SCHEMA penny TO penny_app", {"side_doors": "SELECT"}),
}
# A DELETE of all roles ends at the members who have them, and one of all members at the assistants that they own, whoever's they are.
CANNOT_TELL = {("a policy for any DELETE, and no floor", f"penny.{table}") for table in ("roles", "memberships")}


async def said(stack: Addresses, database: str, tables: Mapping[str, Table], probes: Mapping[str, str]) -> dict[tuple[str, str], list[str]]:
    """Run probes as `penny_app` on every tenant table on which it has the privilege, and return what they said of each."""
    me, them = uuid4(), uuid4()
    async with connected(stack, "postgres", database) as admin, connected(stack, "penny_app", database) as app:
        cases = [await make_case(admin, tables, table, "penny_app", me, them) for table in tables.values() if table.schema == "penny"]
        return {
            (probe, case.table.full_name): await PROBES[probe](app, case)
            for probe, privilege in probes.items()
            for case in cases
            if privilege in case.may
        }


async def spoil(stack: Addresses, database: str, sql: str) -> dict[str, Table]:
    """Do something to every tenant table, and return all tables."""
    async with connected(stack, "postgres", database) as admin:
        tables = await read_tables(admin, "penny", "directory")
        for table in tables.values():
            if table.schema == "penny":
                await admin.execute(sql.format(table=table.full_name))
        return tables


@pytest.mark.parametrize("name", MUTANTS)
async def test_probes_speak_of_every_table_whose_wall_is_gone(stack: Addresses, clone: Clone, name: str) -> None:
    async with clone("mutant") as database:
        tables = await spoil(stack, database, MUTANTS[name].sql)
        findings = await said(stack, database, tables, MUTANTS[name].speak)
    assert {probe for probe, _ in findings} == set(MUTANTS[name].speak)
    assert [(probe, table) for (probe, table), found in findings.items() if not found and (name, table) not in CANNOT_TELL] == []


async def test_the_floor_holds_under_a_policy_that_opens_everything(stack: Addresses, clone: Clone) -> None:
    async with clone("mutant") as database:
        tables = await spoil(stack, database, "CREATE POLICY open ON {table} USING (true) WITH CHECK (true)")
        findings = await said(stack, database, tables, dict.fromkeys(PROBES, "SELECT"))
    assert [found for found in findings.values() if found] == []


async def test_a_probe_speaks_of_a_partition_that_is_granted(stack: Addresses, clone: Clone) -> None:
    async with clone("mutant") as database:
        tables = await spoil(stack, database, "GRANT SELECT ON penny.messages_0 TO penny_app")
        findings = await said(stack, database, tables, {"side_doors": "SELECT"})
    assert [table for (_, table), found in findings.items() if found] == ["penny.messages"]


async def test_a_probe_speaks_of_a_foreign_key_that_forgets_the_tenant(stack: Addresses, clone: Clone) -> None:
    async with clone("mutant") as database:
        async with connected(stack, "postgres", database) as admin:
            await admin.execute("ALTER TABLE penny.chats ADD UNIQUE (id)")
            await admin.execute("ALTER TABLE penny.branches DROP CONSTRAINT branches_tenant_id_chat_id_fkey")
            await admin.execute("ALTER TABLE penny.branches ADD FOREIGN KEY (chat_id) REFERENCES penny.chats (id)")
            tables = await read_tables(admin, "penny", "directory")
        findings = await said(stack, database, tables, {"grafts": "SELECT"})
    assert [table for (_, table), found in findings.items() if found] == ["penny.branches"]
