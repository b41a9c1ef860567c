"""No tenant reads, changes or learns anything of another one, in any table, whatever is asked as whichever role."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from db.pools import open_pool
from db.scopes import TenantScopes
from settings import Settings
from stack.addresses import Addresses
from tests.db import probes
from tests.db.catalog import Table, privileges, read_tables
from tests.db.conftest import Clone
from tests.db.databases import connected, undone
from tests.db.probes import Case, make_case
from tests.db.rows import Rows

ROLES = ("penny_app", "penny_system")
# What `penny_system` may read in every tenant: which rows, and of `runs` which columns. All else it reads like `penny_app`.
SYSTEM_SEES = {"tenants": "true", "roles": "true", "memberships": "true", "sessions": "true", "runs": "status IN ('QUEUED', 'RUNNING')"}
SYSTEM_COLUMNS = {"runs": {"tenant_id", "id", "status", "lease_until", "created_at"}}
# What belongs to no tenant, and what `penny_app` may do with it.
DIRECTORY = {
    "users": {"SELECT"},
    "user_tokens": set(),
    "tenant_slugs": set(),
    "platform_keys": set(),
    "mails": {"INSERT"},
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

    def findings_of(self, cases: list[Case] | None = None) -> list[Case]:
        return self.cases if cases is None else cases


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
            await make_case(admin, tables, table, role, me, them)
            for table in tables.values()
            if table.schema == "penny"
            for role in ROLES
        ]
        yield Two(database, admin, {"penny_app": app, "penny_system": system}, tables, cases, me, them)


def looks_up(case: Case) -> bool:
    """Whether this case is reviewed by name instead: `penny_system` in a table that it may search in every tenant."""
    return case.role == "penny_system" and case.table.name in SYSTEM_SEES


@pytest.mark.parametrize("probe", ["inserts", "changes", "grafts", "side_doors"])
async def test_no_role_writes_into_another_tenant_or_takes_a_side_door(two: Two, probe: str):
    assert [finding for case in two.cases for finding in await probes.PROBES[probe](two.connections[case.role], case)] == []


@pytest.mark.parametrize("probe", ["reads", "reads_without_tenant"])
async def test_no_role_reads_another_tenant_or_without_one(two: Two, probe: str):
    cases = [case for case in two.cases if not looks_up(case)]
    assert {case.table.full_name for case in cases} == {name for name in two.tables if name.startswith("penny.")}
    assert [finding for case in cases for finding in await probes.PROBES[probe](two.connections[case.role], case)] == []
