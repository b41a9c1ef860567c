"""No tenant reads, changes or learns anything of another one, in any table, whatever is asked as whichever role."""

import contextlib
import itertools
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from stack.addresses import Addresses
from tests.db import probes
from tests.db.catalog import ROLES, SYSTEM_SEES, Table, privileges, read_tables
from tests.db.conftest import Clone
from tests.db.databases import connected, undone
from tests.db.probes import Case, attempt, make_case, refused
from tests.db.rows import Rows, insert

# What `penny_system` reads of a row, where that is not all of it.
SYSTEM_COLUMNS = {
    "runs": {"tenant_id", "id", "status", "lease_until", "created_at", "chat_id", "turn"},
    "jobs": {"tenant_id", "id", "kind", "status", "due_at", "finished_at"},
    "facts": {"tenant_id", "id", "era", "xact", "at"},
    "trusted_documents": {"tenant_id", "id", "sha256", "body", "is_public"},
}
# What belongs to no tenant, and what `penny_app` may do with it.
DIRECTORY = {
    "users": {"SELECT"},
    "user_tokens": set(),
    "tenant_slugs": set(),
    "platform_keys": set(),
    "mails": {"INSERT"},
    "eras": {"SELECT"},
}


@dataclass(frozen=True)
class Two:
    """Two tenants with the same kinds of rows, and a connection for each role."""

    database: str
    admin: Any
    connections: Mapping[str, Any]
    tables: Mapping[str, Table]
    cases: list[Case]
    me: UUID
    them: UUID


@pytest.fixture(scope="module")
async def two(stack: Addresses, clone: Clone) -> AsyncIterator[Two]:
    async with (
        clone("tenancy") as database,
        connected(stack, "postgres", database) as admin,
        connected(stack, "penny_app", database) as app,
        connected(stack, "penny_system", database) as system,
    ):
        tables = await read_tables(admin, "penny", "directory")
        me, them = uuid4(), uuid4()
        cases = [
            await make_case(admin, tables, table, role, me, them) for table in tables.values() if table.schema == "penny" for role in ROLES
        ]
        yield Two(database, admin, {"penny_app": app, "penny_system": system}, tables, cases, me, them)


def looks_up(case: Case) -> bool:
    """Whether this case is reviewed by name instead: `penny_system` in a table that it may search in every tenant."""
    return case.role == "penny_system" and case.table.name in SYSTEM_SEES


@pytest.mark.parametrize("probe", ["inserts", "changes", "grafts", "side_doors"])
async def test_no_role_writes_into_another_tenant_or_takes_a_side_door(two: Two, probe: str) -> None:
    assert [finding for case in two.cases for finding in await probes.PROBES[probe](two.connections[case.role], case)] == []


@pytest.mark.parametrize("probe", ["reads", "reads_without_tenant"])
async def test_no_role_reads_another_tenant_or_without_one(two: Two, probe: str) -> None:
    cases = [case for case in two.cases if not looks_up(case)]
    assert {case.table.full_name for case in cases} == {name for name in two.tables if name.startswith("penny.")}
    assert [finding for case in cases for finding in await probes.PROBES[probe](two.connections[case.role], case)] == []


async def make_one_of_each_status(two: Two, table: Table) -> None:
    """Give both tenants a row of every status that the table knows."""
    if "status" in table.columns and table.primary_key != ("tenant_id",):
        rows = Rows(two.admin, two.tables)
        for tenant_id, status in itertools.product((two.me, two.them), table.columns["status"].choices):
            await two.admin.execute(*insert(table, await rows.next(table, tenant_id) | {"status": status}))


@pytest.mark.parametrize("table", SYSTEM_SEES)
async def test_the_system_sees_across_tenants_what_its_look_up_names_and_nothing_else(two: Two, table: str) -> None:
    of, system = two.tables[f"penny.{table}"], two.connections["penny_system"]
    await make_one_of_each_status(two, of)
    ids = f"SELECT tenant_id, {of.key[0]} AS key FROM penny.{table}"
    settings: dict[UUID | None, str] = {None: "", two.me: f"OR tenant_id = '{two.me}'"}
    for tenant_id, or_own in settings.items():
        expected = sorted(await two.admin.fetch(f"{ids} WHERE {SYSTEM_SEES[table]} {or_own}"))
        async with undone(system, tenant_id):
            assert sorted(await system.fetch(ids)) == expected
        assert {two.me, two.them} <= {row["tenant_id"] for row in expected}


@pytest.mark.parametrize("table", SYSTEM_COLUMNS)
async def test_the_system_reads_only_the_columns_that_it_needs(two: Two, table: str) -> None:
    system = two.connections["penny_system"]
    for column in two.tables[f"penny.{table}"].columns:
        outcome = await attempt(system, f"SELECT {column} FROM penny.{table}")
        assert isinstance(outcome, int) is (column in SYSTEM_COLUMNS[table]), f"{column}: {outcome!r}"


async def test_a_tenant_s_scope_may_do_with_the_directory_what_was_reviewed(two: Two) -> None:
    directory = {table.name for table in two.tables.values() if table.schema == "directory"}
    assert {name: set(await privileges(two.admin, "penny_app", f"directory.{name}")) for name in directory} == DIRECTORY


async def test_a_member_sees_fellow_members_and_nobody_else(two: Two) -> None:
    app = two.connections["penny_app"]
    assert await app.fetch("SELECT id FROM directory.users") == []
    for tenant_id in (two.me, two.them):
        members = await two.admin.fetch("SELECT user_id FROM penny.memberships WHERE tenant_id = $1", tenant_id)
        async with undone(app, tenant_id):
            seen = await app.fetch("SELECT id, email, name FROM directory.users")
        assert members
        assert {row["id"] for row in seen} == {row["user_id"] for row in members}


@pytest.mark.parametrize(
    "question",
    [
        "SELECT password_hash FROM directory.users",
        "SELECT * FROM directory.users",
        "SELECT users FROM directory.users",
        "SELECT id FROM directory.users WHERE password_hash LIKE '$argon2%'",
        "SELECT id FROM directory.users ORDER BY password_hash",
        "UPDATE directory.users SET name = name RETURNING password_hash",
        "SELECT * FROM directory.user_tokens",
        "SELECT * FROM directory.platform_keys",
        "SELECT * FROM directory.tenant_slugs",
        "SELECT content FROM directory.mails",
    ],
)
async def test_a_tenant_s_scope_reads_no_secret_of_the_directory(two: Two, question: str) -> None:
    app = two.connections["penny_app"]
    async with undone(app, two.me):
        assert await app.fetch("SELECT id FROM directory.users") != []
        assert refused(await attempt(app, question), granted=False)


def switches(tenant_id: UUID) -> dict[str, str]:
    """What an injected expression could try, to become another tenant."""
    call = f"set_config('app.tenant_id', '{tenant_id}', true)"
    quoted = call.replace("'", "''")
    return {
        "a call": f"SELECT {call}",
        "a union": f"SELECT slug FROM penny.tenants UNION ALL SELECT {call}",
        "a condition": f"SELECT slug FROM penny.tenants WHERE slug <> {call}",
        "a WITH": f"WITH other AS MATERIALIZED (SELECT {call}) SELECT slug FROM penny.tenants, other",
        "a SET inside XML": f"SELECT query_to_xml('SET LOCAL app.tenant_id = ''{tenant_id}''', true, true, '')",
        "a query of words": f"SELECT * FROM ts_stat('SELECT to_tsvector({quoted})')",
        "a second statement": f"SELECT 1; SET LOCAL app.tenant_id = '{tenant_id}'",
        "the view of settings": f"UPDATE pg_settings SET setting = '{tenant_id}' WHERE name = 'app.tenant_id'",
    }


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", switches(UUID(int=0)))
async def test_an_injected_expression_cannot_switch_the_tenant(two: Two, role: str, name: str) -> None:
    connection = two.connections[role]
    async with undone(connection, two.me):
        with contextlib.suppress(asyncpg.PostgresError):
            async with connection.transaction():
                await connection.fetch(switches(two.them)[name])
        assert await connection.fetchval("SHOW app.tenant_id") == str(two.me)


@pytest.mark.parametrize("name", ["a call", "a union", "a condition", "a WITH", "a query of words"])
async def test_the_same_expressions_switch_the_tenant_for_whoever_may_call_set_config(two: Two, name: str) -> None:
    async with undone(two.admin, two.me):
        await two.admin.fetch(switches(two.them)[name])
        assert await two.admin.fetchval("SHOW app.tenant_id") == str(two.them)
    for role in ROLES:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied for function set_config"):
            await two.connections[role].fetch(switches(two.them)[name])
