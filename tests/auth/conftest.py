"""A house for each test: the works of who is asking, with a clock of their own; and a holder of locks."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from stack.addresses import Addresses
from tests.auth.people import Holder, House, open_house
from web.works import Process


@pytest.fixture
async def house(process: Process) -> AsyncIterator[House]:
    async with open_house(process) as opened:
        yield opened


@pytest.fixture
async def holder(stack: Addresses, database: str) -> AsyncIterator[Holder]:
    connection = await asyncpg.connect(stack.database_url("postgres", database))
    yield Holder(connection)
    await connection.close()
