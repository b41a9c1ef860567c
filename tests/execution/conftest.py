"""The story of a tenant, told once."""

import dataclasses
import gc
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from schema.schema import build_schema
from settings import Settings
from stack.addresses import Addresses
from tests.conftest import TEMPLATE
from tests.db.databases import made_database
from tests.execution.stories import Story, told
from web.door import Door
from web.works import open_works


@pytest.fixture(scope="package")
async def story(environment: dict[str, str], stack: Addresses) -> AsyncIterator[Story]:
    """A tenant in a database that no worker sweeps."""
    async with made_database(stack, f"story_{uuid4().hex}", TEMPLATE) as name:
        roles = {"": "penny_app", "_SYSTEM": "penny_system", "_OWNER": "penny_owner"}
        own = {f"PENNY_DATABASE{of}_URL": stack.database_url(role, name) for of, role in roles.items()}
        configured = Settings.from_environment({**environment, **own, "PENNY_VALKEY_PREFIX": name})
        schema = build_schema(configured)
        door, judge = Door(configured, schema), Door(dataclasses.replace(configured, execution="reference"), schema)
        async with open_works(configured, application="penny story") as process:
            door.opened = judge.opened = process
            yield await told(door, judge)
            gc.collect()
