"""A house for each test: the works of who is asking, with a clock of their own."""

from collections.abc import AsyncIterator

import pytest

from tests.auth.people import House, open_house
from web.works import Process


@pytest.fixture
async def house(process: Process) -> AsyncIterator[House]:
    async with open_house(process) as opened:
        yield opened
