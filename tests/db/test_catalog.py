"""Every table is walled in, keyed by its tenant, and known to Piccolo as it is."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from piccolo.columns import UUID, Array, Column

from db.piccolo_app import APP_CONFIG
from stack.addresses import Addresses
from tests.db.catalog import ROLES, SYSTEM_SEES, read_tables
from tests.db.conftest import Clone
from tests.db.databases import connected, undone

GATE = (Path(__file__).parent / "catalog_gate.sql").read_text()
# What belongs to no tenant, each with its reason; a new table of `directory` needs one too.
GLOBAL = {
    "users": "a person belongs to several tenants",
    "user_tokens": "a mailed link is a person's",
    "platform_keys": "they encrypt what is no tenant's",
    "eras": "the numbers of transactions are the whole cluster's",
    "mails": "they wait for a worker that knows no tenant",
}
# Slugs are taken for good, whoever asks: only `penny_system` may look, and to tell that one is taken is the table's purpose.
SLUGS = {
    "G02 row-level security is not enabled: directory.tenant_slugs",
    "G03 row-level security is not forced on the owner: directory.tenant_slugs",
    "G05 no policy: directory.tenant_slugs",
    "G09 a unique index does not begin with tenant_id, and tells whether others have a value: directory.tenant_slugs_pkey",
    *(
        f"G24 no floor under {verb} of {role}: directory.tenant_slugs"
        for role in ROLES
        for verb in ("SELECT", "INSERT", "UPDATE", "DELETE")
    ),
}
SLIPS = "CREATE TABLE penny.slips (tenant_id uuid NOT NULL, id uuid NOT NULL, PRIMARY KEY (tenant_id, id)); "


async def findings(connection: Any, schema: str = "penny") -> list[str]:
    lookups = [f"penny.{name}" for name in SYSTEM_SEES]
    return [row[0] for row in await connection.fetch(GATE, schema, list(ROLES), lookups)]


@pytest.fixture(scope="module")
async def admin(stack: Addresses, clone: Clone) -> AsyncIterator[Any]:
    async with clone("catalog") as database, connected(stack, "postgres", database) as connection:
        yield connection


async def test_the_gate_finds_nothing_wrong_with_the_tenants_tables(admin: Any) -> None:
    assert await admin.fetchval("SELECT count(*) FROM pg_class WHERE relnamespace = 'penny'::regnamespace AND relkind IN ('r', 'p')") > 10
    assert await findings(admin) == []


async def test_what_belongs_to_no_tenant_was_reviewed(admin: Any) -> None:
    expected = {f"G01 no tenant_id, and not on the reviewed list of global tables: directory.{name}" for name in GLOBAL}
    assert set(await findings(admin, "directory")) == expected | SLUGS


PLANTED = {
    "G01": ("CREATE TABLE penny.slips (id uuid PRIMARY KEY)", "penny.slips"),
    "G02": ("ALTER TABLE penny.chats DISABLE ROW LEVEL SECURITY", "penny.chats"),
    "G02 partition": ("ALTER TABLE penny.messages_3 DISABLE ROW LEVEL SECURITY", "penny.messages_3"),
    "G03": ("ALTER TABLE penny.chats NO FORCE ROW LEVEL SECURITY", "penny.chats"),
    "G04": ("CREATE TABLE penny.slips (tenant_id uuid, id uuid)", "penny.slips"),
    "G05": (SLIPS, "penny.slips"),
    "G06": (
        "CREATE POLICY slow ON penny.chats USING (tenant_id = current_setting('app.tenant_id')::uuid) WITH CHECK (false)",
        "penny.chats.slow",
    ),
    "G07": ("CREATE POLICY open ON penny.chats USING (true) WITH CHECK (true)", "penny.chats.open"),
    "G07 INSERT": ("CREATE POLICY open ON penny.chats FOR INSERT WITH CHECK (true)", "penny.chats.open"),
    "G08": ("CREATE POLICY loose ON penny.chats FOR UPDATE USING (owner_id IS NOT NULL)", "penny.chats.loose"),
    "G09": ("CREATE UNIQUE INDEX one_slug ON penny.tenants (slug)", "penny.one_slug"),
    "G09 expression": ("CREATE UNIQUE INDEX one_slug ON penny.tenants (lower(slug), tenant_id)", "penny.one_slug"),
    "G10": (
        """
        ALTER TABLE penny.chats ADD UNIQUE (id);
        ALTER TABLE penny.branches ADD CONSTRAINT stray FOREIGN KEY (chat_id) REFERENCES penny.chats (id)
        """,
        "penny.branches.stray",
    ),
    "G11": ("CREATE TABLE penny.slips (tenant_id uuid NOT NULL, id uuid NOT NULL)", "penny.slips"),
    "G12": ("CREATE VIEW penny.titles AS SELECT title FROM penny.chats", "penny.titles"),
    "G13": ("CREATE MATERIALIZED VIEW penny.titles AS SELECT title FROM penny.chats", "penny.titles"),
    "G14": ("GRANT SELECT ON penny.messages_3 TO penny_app", "penny.messages_3"),
    "G15": ("CREATE FUNCTION penny.peek() RETURNS bigint SECURITY DEFINER SET search_path = '' RETURN 1", "penny.peek()"),
    "G16": ("CREATE FUNCTION penny.peek() RETURNS bigint SECURITY DEFINER RETURN 1", "penny.peek()"),
    "G17": ("ALTER ROLE penny_app BYPASSRLS", "penny_app"),
    "G18": ("ALTER TABLE penny.chats OWNER TO penny_app", "penny_app owns penny.chats"),
    "G19": ("GRANT penny_owner TO penny_app", "penny_app may become penny_owner"),
    "G20": ("GRANT TRUNCATE ON penny.chats TO penny_app", "penny_app has TRUNCATE on penny.chats"),
    "G21": ("GRANT EXECUTE ON FUNCTION pg_catalog.set_config TO PUBLIC", "penny_system"),
    "G22": ("GRANT CREATE ON SCHEMA public TO PUBLIC", "public"),
    "G23": ("DO $$ BEGIN EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO PUBLIC', current_database()); END $$", "penny_app"),
    "G24": ("DROP POLICY tenant_floor ON penny.chats", "SELECT of penny_app: penny.chats"),
    "G24 command": ("DROP POLICY system_update_floor ON penny.sessions", "UPDATE of penny_system: penny.sessions"),
    "G24 wider": (
        """
        DROP POLICY tenant_floor ON penny.chats;
        CREATE POLICY tenant_floor ON penny.chats AS RESTRICTIVE
            USING (tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid) OR visibility = 'TENANT')
            WITH CHECK (false)
        """,
        "SELECT of penny_app: penny.chats",
    ),
    "G25": ("ALTER TABLE penny.chats ALTER tenant_id SET DEFAULT gen_random_uuid()", "penny.chats"),
    "G26": ("GRANT SELECT ON penny.chats TO PUBLIC", "penny.chats"),
}


@pytest.mark.parametrize("mistake", PLANTED)
async def test_the_gate_names_a_planted_mistake(admin: Any, mistake: str) -> None:
    sql, where = PLANTED[mistake]
    async with undone(admin):
        await admin.execute(sql)
        said = await findings(admin)
    assert [finding for finding in said if finding.startswith(mistake[:3]) and where in finding], said
    assert await findings(admin) == []


def test_every_rule_of_the_gate_has_a_planted_mistake() -> None:
    assert set(re.findall(r"'(G\d\d) ", GATE)) == {mistake[:3] for mistake in PLANTED}


async def test_keys_and_foreign_keys_begin_with_the_tenant(admin: Any) -> None:
    tables = await read_tables(admin, "penny", "directory")
    for table in tables.values():
        if table.schema != "penny":
            continue
        assert table.columns["tenant_id"].type == "uuid"
        assert table.unique
        assert {names[0] for names in table.unique} == {"tenant_id"}, table.name
        for key in table.foreign_keys:
            if tables[key.parent].schema == "penny":
                assert key.columns[0] == key.parent_columns[0] == "tenant_id", key.name


async def test_rows_have_ids_that_no_counter_gives(admin: Any) -> None:
    assert (
        await admin.fetch(
            "SELECT relname FROM pg_class WHERE relkind = 'S' AND relnamespace IN ('penny'::regnamespace, 'directory'::regnamespace)"
        )
        == []
    )
    for table in (await read_tables(admin, "penny", "directory")).values():
        if "id" in table.columns:
            assert table.columns["id"].type == "uuid"
            assert not table.columns["id"].has_default, table.name
            assert table.key == ("id",), table.name


PICCOLO_TABLES = {f"{table._meta.schema}.{table._meta.tablename}": table for table in APP_CONFIG.table_classes}


async def test_piccolo_knows_every_table(admin: Any) -> None:
    assert set(PICCOLO_TABLES) == set(await read_tables(admin, "penny", "directory"))


@pytest.mark.parametrize("name", sorted(PICCOLO_TABLES))
async def test_piccolo_s_columns_are_the_database_s(admin: Any, name: str) -> None:
    migrated = (await read_tables(admin, "penny", "directory"))[name]
    expected = {column.name: (column.type, column.nullable) for column in migrated.columns.values()}
    assert {column._meta.db_column_name: (type_of(column), column._meta.null) for column in PICCOLO_TABLES[name]._meta.columns} == expected


@pytest.mark.parametrize("name", sorted(PICCOLO_TABLES))
def test_piccolo_makes_no_id_up(name: str) -> None:
    ids = [column for column in PICCOLO_TABLES[name]._meta.columns if isinstance(column, UUID)]
    assert {column._meta.name: column.get_default_value() for column in ids if column.get_default_value() is not None} == {}


def type_of(column: Column) -> str:
    """Spell a Piccolo column's type as PostgreSQL's catalog does."""
    if isinstance(column, Array):
        return f"{type_of(column.base_column)}[]"
    return {"TIMESTAMPTZ": "timestamp with time zone"}.get(column.column_type, str(column.column_type).lower())
