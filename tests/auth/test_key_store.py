"""Data keys are stored once, whoever is first, and one version encrypts at a time."""

import asyncio
import os
from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest

from auth.encryption.keyring import Keyring
from auth.encryption.local_key import LocalKey
from auth.key_store import PLATFORM, KeyStore
from db.bootstrap import database_statements
from db.pools import open_pool
from db.scopes import SystemScopes, TenantScopes
from settings import Settings
from stack.addresses import Addresses
from tests.auth.people import House
from tests.conftest import TEMPLATE


@pytest.fixture
async def stores(stack: Addresses, settings: Settings) -> AsyncIterator[list[KeyStore]]:
    """The stores of three processes on a database in which nothing has happened yet."""
    name = f"keys_{uuid4().hex}"
    admin = await asyncpg.connect(stack.admin_url)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
    on_it = await asyncpg.connect(stack.database_url("postgres", name))
    for statement in database_statements(name):
        await on_it.execute(statement)
    await on_it.close()
    app = await open_pool(stack.database_url("penny_app", name), settings, size=3, application="tests")
    system = await open_pool(stack.database_url("penny_system", name), settings, size=6, application="tests")
    kek = LocalKey(os.urandom(32))
    yield [KeyStore(scopes=TenantScopes(app, acquire_seconds=2), system=SystemScopes(system, acquire_seconds=2), kek=kek) for _ in range(3)]
    await app.close()
    await system.close()
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


async def test_processes_that_need_the_platforms_first_key_at_once_agree_on_one(stores: list[KeyStore]) -> None:
    stored = await asyncio.gather(*(store.load(PLATFORM) for store in stores))
    assert all(one == stored[0] and len(one) == 1 for one in stored)
    assert await stores[0].load(PLATFORM) == stored[0]


async def test_the_platforms_key_is_rotated_and_other_processes_read_on(stores: list[KeyStore], settings: Settings) -> None:
    one, other = (Keyring(store._kek, store, settings) for store in stores[:2])
    old = (await one.cipher(PLATFORM)).encrypt("mails", "content", PLATFORM, b"hello")
    assert (await other.cipher(PLATFORM)).decrypt("mails", "content", PLATFORM, old) == b"hello"
    rotated = await one.rotate(PLATFORM)
    assert [(key.version, key.state) for key in await stores[2].load(PLATFORM)] == [(1, "DECRYPT_ONLY"), (2, "ACTIVE")]
    new = (await one.cipher(PLATFORM)).encrypt("mails", "content", PLATFORM, b"hello")
    for blob in (old, new):
        assert (await other.cipher(PLATFORM, version=rotated.version)).decrypt("mails", "content", PLATFORM, blob) == b"hello"


async def test_a_tenants_key_is_rotated_and_no_version_is_written_twice(house: House, keyring: Keyring) -> None:
    one, other = (await house.signed_up()).viewer.tenant_id, (await house.signed_up()).viewer.tenant_id
    store = keyring._store
    rotated = await keyring.rotate(one)
    assert [(key.version, key.state) for key in await store.load(one)] == [(1, "DECRYPT_ONLY"), (2, "ACTIVE")]
    with pytest.raises(asyncpg.UniqueViolationError):
        await store.add(one, rotated)
    assert [(key.version, key.state) for key in await store.load(one)] == [(1, "DECRYPT_ONLY"), (2, "ACTIVE")]
    assert [(key.version, key.state) for key in await store.load(other)] == [(1, "ACTIVE")]
    assert await store.load(uuid4()) == []
