"""Servers that a test has to itself."""

import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final
from uuid import uuid4

import asyncpg
import pytest

from settings import Secret, Settings
from stack.addresses import Addresses
from tests.api.people import done
from tests.chat.houses import House
from tests.conftest import TEMPLATE
from tests.db.databases import made_database
from tests.inference.fault_server import FaultServer
from tests.running import Api, running_server
from web.works import Process, open_works

KEPT: Final = 2  # messages that no summary covers
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


@pytest.fixture(scope="module")
async def fault_server() -> AsyncIterator[FaultServer]:
    async with FaultServer() as server:
        yield server


@pytest.fixture(scope="module")
async def opened(environment: dict[str, str], stack: Addresses, fault_server: FaultServer) -> AsyncIterator[tuple[Api, str]]:
    """A web process and a worker on a database of their own, so that no other worker takes their runs."""
    async with made_database(stack, f"routes_{uuid4().hex}", TEMPLATE) as name:
        own = environment | {
            "PENNY_DATABASE_URL": stack.database_url("penny_app", name),
            "PENNY_DATABASE_SYSTEM_URL": stack.database_url("penny_system", name),
            "PENNY_DATABASE_OWNER_URL": stack.database_url("penny_owner", name),
            "PENNY_VALKEY_PREFIX": name,
            "PENNY_MODEL_PRIVATE_ENDPOINTS": fault_server.base_url,
        }
        async with running_server(own) as server, Api(server.url) as api:
            yield api, name


@pytest.fixture
async def house(opened: tuple[Api, str], fault_server: FaultServer) -> House:
    api, database = opened
    made = House(await api.sign_up(), fault_server, database)
    values = {"key": "acme", "name": "Acme", "endpoint": fault_server.base_url, "needsKey": False}
    made.provider = (await done(made.api, "providerUpsert", "provider { id }", **values))["provider"]["id"]
    for letter, region in (("a", "eu"), ("b", "us")):
        places = [{"remoteName": made.name(letter), "region": region, "order": 0}]
        model = (
            await done(
                made.api,
                "modelUpsert",
                "model { id deployments { id } }",
                providerId=made.provider,
                key=letter,
                name=f"Model {letter}",
                contextTokens=8000,
                capabilities=["TEXT"],
                deployments=places,
            )
        )["model"]
        made.models[letter], made.deployments[letter] = model["id"], model["deployments"][0]["id"]
    return made


@pytest.fixture(scope="module")
async def unattended(settings: Settings, stack: Addresses, worker_id: str) -> AsyncIterator[Process]:
    """Works on a database of their own, where no worker answers but the tests' own."""
    async with made_database(stack, f"trees_{worker_id}", TEMPLATE) as name:
        app, system = (Secret(stack.database_url(role, name)) for role in ("penny_app", "penny_system"))
        own = dataclasses.replace(
            settings,
            database_url=app,
            database_system_url=system,
            valkey_prefix=name,
            context_keep_messages=KEPT,
            chat_titles=True,
            chat_max_shares=1000,
        )
        async with open_works(own, application="penny trees") as opened:
            yield opened
