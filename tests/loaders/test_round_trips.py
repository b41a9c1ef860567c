"""How often the questions of an operation go to the database: once a level, and once for its transaction."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from db.scopes import TenantScopes
from db.tables.chats import Chat
from loaders.loaders import Loaders
from resolvers.operations import Works
from stack.addresses import Addresses
from tests.db.databases import connected
from tests.loaders.counting import counted

INSERT = "INSERT INTO penny.chats (tenant_id, id, owner_id) VALUES ($1, $2, $1)"


@pytest.fixture
async def tenant(stack: Addresses, database: str) -> tuple[UUID, list[UUID]]:
    """A tenant with three chats."""
    tenant_id, ids = uuid4(), [uuid4() for _ in range(3)]
    async with connected(stack, "postgres", database) as admin:
        await admin.execute("INSERT INTO penny.tenants (tenant_id, slug, name) VALUES ($1, $2, 'Acme')", tenant_id, tenant_id.hex)
        await admin.executemany(INSERT, [(tenant_id, chat_id) for chat_id in ids])
    return tenant_id, ids


@pytest.fixture
def scopes(works: Works) -> TenantScopes:
    return works.scopes


async def test_a_level_is_one_statement_and_the_next_needs_no_other_transaction(scopes: TenantScopes, tenant: Any) -> None:
    tenant_id, ids = tenant
    loaders = Loaders(scopes, tenant_id)
    async with counted(scopes) as sent:
        chats = await loaders.chat_by_id.of(frozenset({"tenant_id"})).load_many(ids)
        tenants = await loaders.tenant_by_id.of(frozenset({"name"})).load_many([chat["tenant_id"] for chat in chats if chat])
    assert [row and row["name"] for row in tenants] == ["Acme"] * 3
    assert sent.statements == [
        "SELECT tenant_id, id FROM penny.chats WHERE tenant_id = $1 AND id = ANY($2::uuid[])",
        "SELECT tenant_id, name FROM penny.tenants WHERE tenant_id = $1 AND tenant_id = ANY($2)",
    ]
    assert (sent.transactions, sent.round_trips) == (1, 3)


async def test_fields_that_want_different_columns_of_a_level_share_a_statement(scopes: TenantScopes, tenant: Any) -> None:
    tenant_id, ids = tenant
    question = Loaders(scopes, tenant_id).chat_by_id
    async with counted(scopes) as sent:
        owners, heads, one = await asyncio.gather(
            question.of(frozenset({"owner_id"})).load_many(ids),
            question.of(frozenset({"head_message_id"})).load_many(ids[:1]),
            question.of(frozenset({"owner_id"})).load(ids[1]),
        )
    assert [row and row["owner_id"] for row in owners] == [tenant_id] * 3
    assert [row and row["head_message_id"] for row in heads] == [None]
    assert one is owners[1]
    assert sent.statements == ["SELECT id, owner_id, head_message_id FROM penny.chats WHERE tenant_id = $1 AND id = ANY($2::uuid[])"]


async def test_rows_have_the_wanted_columns_and_no_others(scopes: TenantScopes, tenant: Any) -> None:
    tenant_id, ids = tenant
    question = Loaders(scopes, tenant_id).chat_by_id
    narrow = await question.of(frozenset({"visibility"})).load(ids[0])
    assert narrow is not None
    assert dict(narrow) == {"id": ids[0], "visibility": "PRIVATE"}
    whole = await question.load(ids[0])
    assert whole is not None
    assert list(whole.keys()) == [column._meta.name for column in Chat.all_columns()]


async def test_levels_that_are_asked_at_once_take_a_transaction_each(scopes: TenantScopes, tenant: Any) -> None:
    tenant_id, ids = tenant
    loaders = Loaders(scopes, tenant_id)
    async with counted(scopes) as sent:
        await asyncio.gather(loaders.chat_by_id.load(ids[0]), loaders.tenant_by_id.load(tenant_id))
    assert (len(sent.statements), sent.transactions) == (2, 2)
    assert sent.round_trips == 4


async def test_answers_that_are_there_cost_nothing(scopes: TenantScopes, tenant: Any) -> None:
    tenant_id, ids = tenant
    question = Loaders(scopes, tenant_id).chat_by_id
    first = await question.load_many(ids)
    async with counted(scopes) as sent:
        assert await question.of(frozenset({"owner_id"})).load_many([*ids, None]) == [*first, None]
    assert sent.texts == []
