"""Servers that a test has to itself."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from stack.addresses import Addresses
from tests.conftest import TEMPLATE
from tests.db.databases import made_database

Rows = Callable[[str], Awaitable[list[Any]]]


@pytest.fixture
async def lonely(environment: dict[str, str], stack: Addresses) -> AsyncIterator[dict[str, str]]:
    """The `PENNY_…` variables of processes whose database no other worker sweeps, and whose keys no other worker reads."""
    async with made_database(stack, f"lonely_{uuid4().hex}", TEMPLATE) as name:
        yield {
            **environment,
            "PENNY_DATABASE_URL": stack.database_url("penny_app", name),
            "PENNY_DATABASE_SYSTEM_URL": stack.database_url("penny_system", name),
            "PENNY_DATABASE_OWNER_URL": stack.database_url("penny_owner", name),
            "PENNY_VALKEY_PREFIX": name,
        }


@pytest.fixture
def lonely_rows(lonely: dict[str, str], stack: Addresses) -> Rows:
    """What the superuser reads in the lonely database."""

    async def rows(statement: str) -> list[Any]:
        admin = await asyncpg.connect(stack.database_url("postgres", lonely["PENNY_VALKEY_PREFIX"]))
        try:
            return list(await admin.fetch(statement))
        finally:
            await admin.close()

    return rows
