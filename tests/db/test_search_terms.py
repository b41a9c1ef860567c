"""The blind index is looked up by its index and within the tenant, as the role that serves requests."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from db.scopes import Reading
from db.statements import terms
from stack.addresses import Addresses
from tests.db.conftest import Clone
from tests.db.databases import connected, undone

TENANTS = WHALE, OTHER = UUID(int=1), UUID(int=2)
READER = UUID(int=7)
MESSAGES = 20_000
# Every message has the term 1, one in a thousand has 1000 + n, one has 1000000 + n. Both tenants use the same terms here.
SEED = """
    SET session_replication_role = replica;
    INSERT INTO penny.chats (tenant_id, id, owner_id, visibility)
        SELECT tenant, int_id(n), int_id(7 + n % 2), CASE WHEN n % 4 = 3 THEN 'TENANT' ELSE 'PRIVATE' END
        FROM unnest($1::uuid[]) AS tenant, generate_series(0, 999) AS n;
    INSERT INTO penny.message_terms (tenant_id, message_id, chat_id, created_at, key_version, terms)
        SELECT tenant, int_id(n), int_id(n % 1000), timestamptz '2026-01-01' + n * interval '1 minute', 1,
            ARRAY[1, 1000 + n % 1000, 1000000 + n] || ARRAY(SELECT (n::bigint << 32) + i FROM generate_series(1, 40) AS i)
        FROM unnest($1::uuid[]) AS tenant, generate_series(1, $2::int) AS n;
    INSERT INTO penny.chat_terms (tenant_id, chat_id, owner_id, created_at, key_version, terms)
        SELECT tenant, int_id(n), int_id(7 + n % 2), '2026-01-01', 1, ARRAY[1, 1000 + n]
        FROM unnest($1::uuid[]) AS tenant, generate_series(0, 999) AS n;
    SET session_replication_role = origin;
"""
INT_ID = "CREATE FUNCTION pg_temp.int_id(bigint) RETURNS uuid LANGUAGE sql RETURN lpad(to_hex($1), 32, '0')::uuid"
ARGUMENTS: dict[str, Any] = {
    "lowest": 0, "since": None, "until": None, "author_id": None, "chat_id": None, "messages": True, "titles": False, "beyond": None,
    "limit": 21,
}  # fmt: skip


@pytest.fixture(scope="module")
async def app(stack: Addresses, clone: Clone) -> AsyncIterator[Any]:
    async with clone("terms") as database:
        async with connected(stack, "postgres", database) as admin:
            await admin.execute(INT_ID)
            for statement in SEED.replace("int_id", "pg_temp.int_id").strip().removesuffix(";").split(";"):
                values = [value for name, value in (("$1", list(TENANTS)), ("$2", MESSAGES)) if name in statement]
                await admin.execute(statement, *values)
            await admin.execute("VACUUM ANALYZE penny.message_terms, penny.chat_terms, penny.chats")
        async with connected(stack, "penny_app", database) as connection:
            yield connection


async def look_up(app: Any, *wanted: int, **arguments: Any) -> list[Any]:
    async with undone(app, WHALE):
        weights = dict.fromkeys(wanted, 1)
        return await terms.find(Reading(app), WHALE, READER, **ARGUMENTS | {"rare": list(wanted), "weights": weights} | arguments)


async def buffers_of(app: Any, sql: str) -> int:
    """How many pages a statement reads, those of functions that it calls among them."""
    async with undone(app, WHALE):
        await app.execute(sql)
        plan = json.loads(await app.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {sql}"))[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


async def test_terms_are_looked_up_through_their_index(app: Any) -> None:
    nothing = "lowest => 0, since => '-infinity', until => 'infinity', of_author => NULL, of_chat => NULL, messages => true, titles => true"
    function = "SELECT * FROM penny.matching_terms(rare => '{%s}', wanted => '{%s}', weights => '{1}', " + nothing + ")"
    pages = await app.fetchval("SELECT sum(pg_relation_size(relid)) / 8192 FROM pg_partition_tree('penny.message_terms') WHERE isleaf")
    assert pages > 1000
    assert await buffers_of(app, function % (1_000_005, 1_000_005)) < 60
    assert await buffers_of(app, function % (1005, 1005)) < 120
    # Why there is a function: row-level security lets no operator that might tell something look at an index first.
    assert await buffers_of(app, f"SELECT * FROM penny.message_terms WHERE tenant_id = '{WHALE}' AND terms && '{{1000005}}'") > pages / 4


async def test_a_look_up_finds_rows_of_its_own_tenant_that_the_reader_may_see(app: Any) -> None:
    everything = await look_up(app, 1, limit=10 * MESSAGES)
    assert len(everything) == MESSAGES * 3 // 4
    assert {row["chat_id"].int % 4 for row in everything} == {0, 2, 3}
    assert [row["id"].int for row in await look_up(app, 1_000_004)] == [4]
    assert await look_up(app, 1_000_001) == []  # somebody else's private chat
    async with undone(app):
        assert await terms.find(Reading(app), WHALE, READER, **ARGUMENTS | {"rare": [1], "weights": {1: 1}}) == []


async def test_the_function_asks_nobody_which_tenant_it_is(app: Any) -> None:
    sql = "SELECT count(*) FROM penny.matching_terms('{1}', '{1}', '{1}', 0, '-infinity', 'infinity', NULL, NULL, true, true)"
    assert await app.fetchval(sql) == 0
    async with undone(app, OTHER):
        assert await app.fetchval(sql) == MESSAGES + 1000
    async with undone(app, UUID(int=3)):
        assert await app.fetchval(sql) == 0


async def test_nobody_becomes_the_owner_of_the_function(app: Any) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app.execute("SET ROLE penny_search")
    rights = await app.fetch(
        """
        SELECT relname, privilege FROM pg_class, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
        WHERE relnamespace IN ('penny'::regnamespace, 'directory'::regnamespace) AND relkind IN ('r', 'p', 'v', 'm')
          AND CASE WHEN privilege = 'DELETE' THEN has_table_privilege('penny_search', oid, privilege)
              ELSE has_any_column_privilege('penny_search', oid, privilege) END
        """
    )
    assert {tuple(row) for row in rights} == {("message_terms", "SELECT"), ("chat_terms", "SELECT")}
    assert await app.fetchval("SELECT NOT rolcanlogin AND NOT rolbypassrls AND NOT rolsuper FROM pg_roles WHERE rolname = 'penny_search'")
    owned = "SELECT count(*) FROM pg_proc WHERE proowner = 'penny_search'::regrole"
    assert await app.fetchval(owned) == 1
    assert await app.fetchval("SELECT count(*) FROM pg_class WHERE relowner = 'penny_search'::regrole") == 0


async def test_scores_add_up_and_pages_follow_each_other(app: Any) -> None:
    weights = {1: 1, 1004: 5, 1_000_004: 9}
    found = await look_up(app, rare=[1004], weights=weights)
    assert [(row["id"].int, row["score"]) for row in found[:3]] == [(4, 15), (19_004, 6), (18_004, 6)]
    assert {row["score"] for row in await look_up(app, rare=[1004], weights=weights, lowest=7)} == {15}
    seen: list[int] = []
    beyond = None
    while page := await look_up(app, rare=[1004], weights=weights, beyond=beyond, limit=6):
        seen += [row["id"].int for row in page]
        beyond = (page[-1]["score"], page[-1]["id"])
    assert seen == [4, *(number * 1000 + 4 for number in range(19, 0, -1))]


async def test_filters_hold_for_messages_and_titles(app: Any) -> None:
    both = {"titles": True}
    assert len(await look_up(app, 1004, **both)) == 21
    assert [row["message_id"] for row in await look_up(app, 1004, messages=False, titles=True)] == [None]
    assert len(await look_up(app, 1, chat_id=UUID(int=4), limit=99, **both)) == 21
    assert len(await look_up(app, 1, author_id=UUID(int=7), messages=False, titles=True, limit=999)) == 500


async def test_the_newest_messages_that_the_reader_may_see_tell_how_rare_a_term_is(app: Any) -> None:
    async with undone(app, WHALE):
        assert await terms.sample(Reading(app), WHALE, READER, [1, 1000, 1001, 5], size=100) == (100, {1: 100, 1000: 1})
        assert await terms.sample(Reading(app), WHALE, UUID(int=9), [1, 1000, 1003], size=300) == (300, {1: 300, 1003: 1})
    async with undone(app, UUID(int=3)):
        assert await terms.sample(Reading(app), UUID(int=3), READER, [1], size=100) == (0, {})
