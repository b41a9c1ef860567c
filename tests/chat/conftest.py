"""Servers that a test has to itself."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from stack.addresses import Addresses
from tests.conftest import TEMPLATE
from tests.db.databases import made_database


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
