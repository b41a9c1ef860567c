"""The nearest messages are found in every tenant, large or small, by the index or without it, as the role that serves requests."""

import random
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from db.scopes import Reading, TenantScopes
from db.statements import vectors
from knowledge.vectors import DIMENSIONS, spelled
from stack.addresses import Addresses
from tests.db.conftest import Clone
from tests.db.databases import connected, undone
from tests.knowledge.test_vectors import some_vector

WHALE, READER = UUID(int=1), UUID(int=7)
SMALL = [UUID(int=number) for number in range(100, 130)]
ARGUMENTS: dict[str, Any] = {"key_version": 1, "since": None, "until": None, "author_id": None, "chat_id": None}


def embedding_of(seed: int) -> str:
    """Spell a vector that varies in sixteen directions, as texts do in few: no index finds its way where all differ by as much."""
    return spelled([*some_vector(seed, 16), *([0.0] * (DIMENSIONS - 16))])


@pytest.fixture(scope="module")
async def app(stack: Addresses, clone: Clone) -> AsyncIterator[Any]:
    drawn = random.Random(5)
    async with clone("vectors") as database:
        async with connected(stack, "postgres", database) as admin:
            await admin.execute("SET session_replication_role = replica")
            for tenant_id, count in [(WHALE, 3000), *((tenant_id, 20) for tenant_id in SMALL)]:
                chats = [(tenant_id, UUID(int=number), READER if number % 2 else UUID(int=8)) for number in range(10)]
                await admin.executemany("INSERT INTO penny.chats (tenant_id, id, owner_id) VALUES ($1, $2, $3)", chats)
                await admin.executemany(
                    """
                    INSERT INTO penny.message_vectors (tenant_id, message_id, chunk, chat_id, created_at, key_version, embedding)
                    VALUES ($1, $2, 0, $3, now(), 1, $4::text::halfvec)
                    """,
                    [(tenant_id, UUID(int=number), UUID(int=number % 10), embedding_of(drawn.randrange(10**9))) for number in range(count)],
                )
            await admin.execute("VACUUM ANALYZE penny.message_vectors, penny.chats")
        async with connected(stack, "penny_app", database) as connection:
            await connection.execute("SET hnsw.iterative_scan = strict_order; SET hnsw.ef_search = 100")
            yield connection


async def nearest(app: Any, tenant_id: UUID, *, exactly: bool, limit: int = 10, **more: Any) -> list[int]:
    async with undone(app, tenant_id):
        rows = await vectors.nearest(
            Reading(app), tenant_id, READER, embedding=embedding_of(3), exactly=exactly, limit=limit, **ARGUMENTS | more
        )  # fmt: skip
    assert [row["similarity"] for row in rows] == sorted((row["similarity"] for row in rows), reverse=True)
    return [row["message_id"].int for row in rows]


async def test_a_small_tenant_in_a_large_one_s_partition_finds_all_it_has(app: Any) -> None:
    async with undone(app, WHALE):
        partition = await app.fetchval("SELECT tableoid FROM penny.message_vectors LIMIT 1")
    found = 0
    for tenant_id in SMALL:
        async with undone(app, tenant_id):
            shares = await app.fetchval("SELECT tableoid FROM penny.message_vectors LIMIT 1") == partition
        if shares:
            found += 1
            exact = await nearest(app, tenant_id, exactly=True)
            assert len(exact) == 10  # every other chat is somebody else's
            assert await nearest(app, tenant_id, exactly=False) == exact
    assert found


async def test_the_index_finds_nearly_what_comparing_all_finds(app: Any) -> None:
    exact, by_index = [set(await nearest(app, WHALE, exactly=exactly, limit=20)) for exactly in (True, False)]
    assert len(exact) == len(by_index) == 20
    assert len(exact & by_index) >= 16


async def test_filters_and_the_tenant_hold(app: Any) -> None:
    assert {number % 10 for number in await nearest(app, WHALE, exactly=True, chat_id=UUID(int=3))} == {3}
    assert await nearest(app, WHALE, exactly=True, chat_id=UUID(int=4)) == []  # somebody else's
    assert await nearest(app, WHALE, exactly=True, key_version=2) == []
    async with undone(app, SMALL[0]):
        other = await vectors.nearest(
            Reading(app), WHALE, READER, embedding=embedding_of(3), exactly=True, limit=9, **ARGUMENTS
        )  # fmt: skip
        assert other == []
        assert await vectors.size(Reading(app), SMALL[0], most=1000) == 20
        assert await vectors.size(Reading(app), SMALL[0], most=5) == 5


async def test_every_connection_goes_on_looking_until_it_has_enough(scopes: TenantScopes) -> None:
    async with scopes.reading(WHALE) as scope:
        assert await scope.value("SHOW hnsw.iterative_scan") == "strict_order"


async def test_the_index_is_walked_and_the_table_is_not(app: Any) -> None:
    values = f"'{READER}', '{embedding_of(3)}', 1, '-infinity', 'infinity', NULL, NULL, 10"
    async with undone(app, WHALE):
        await app.fetch(f"SELECT * FROM penny.nearest_messages({values})")
        used = "SELECT sum(pg_stat_get_xact_numscans(indexrelid)) FROM pg_index WHERE indexrelid::regclass::text ~ $1"
        assert await app.fetchval(used, "message_vectors.*embedding") > 0
