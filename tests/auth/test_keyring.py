"""Tenants' keys are fetched once, kept for a while, dropped when told to, and never replaced by anything when they cannot be had."""

import asyncio
import os
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from auth.encryption.ciphers import KeyIsMissing, KeyIsShredded, key_version_of
from auth.encryption.key_encryption import DataKeyIsUnreadable, KeyEncryptionKey, KeyServiceIsAway
from auth.encryption.keyring import Keyring, StoredKey
from auth.encryption.local_key import LocalKey
from errors import Unavailable
from settings import Settings

ACME, OTHER = UUID(int=1), UUID(int=2)
ROW = UUID(int=11)
SECRET = b"the merger is on Tuesday"


def settings(**given: str) -> Settings:
    servers = {"PENNY_DATABASE_URL": "-", "PENNY_DATABASE_SYSTEM_URL": "-", "PENNY_VALKEY_URL": "-"}
    return Settings.from_environment(servers | {f"PENNY_{name.upper()}": value for name, value in given.items()})


class Store:
    """Wrapped keys in memory, which counts how often they are asked for and can make the asker wait."""

    def __init__(self) -> None:
        self.rows: dict[UUID, list[StoredKey]] = {}
        self.loads: list[UUID] = []
        self.gate: asyncio.Event | None = None
        self.asked = asyncio.Event()

    async def load(self, tenant_id: UUID) -> list[StoredKey]:
        self.loads.append(tenant_id)
        self.asked.set()
        rows = list(self.rows.get(tenant_id, []))
        if self.gate:
            await self.gate.wait()
        return rows

    async def add(self, tenant_id: UUID, key: StoredKey) -> None:
        older = [replace(row, state="DECRYPT_ONLY") if row.state == "ACTIVE" else row for row in self.rows.get(tenant_id, [])]
        self.rows[tenant_id] = [*older, key]


class Away:
    """A key-encryption key that cannot be reached."""

    id = "away"

    async def wrap(self, data_key: bytes, tenant_id: UUID) -> bytes:
        raise KeyServiceIsAway

    unwrap = wrap

    async def check(self) -> None:
        raise KeyServiceIsAway

    async def close(self) -> None: ...


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


KEK = LocalKey(os.urandom(32))


def keyring(store: Store, kek: KeyEncryptionKey = KEK, clock: Callable[[], float] = time.monotonic, **given: str) -> Keyring:
    return Keyring(kek, store, settings(**given), clock=clock)


async def stored(store: Store, tenant_id: UUID) -> Keyring:
    ring = keyring(store)
    await store.add(tenant_id, await ring.create(tenant_id))
    return ring


async def test_two_processes_read_each_others_content_and_the_store_holds_no_key() -> None:
    store = Store()
    ring = await stored(store, ACME)
    cipher = await ring.cipher(ACME)
    blob = cipher.encrypt("messages", "body", ROW, SECRET)
    assert (await keyring(store).cipher(ACME)).decrypt("messages", "body", ROW, blob) == SECRET
    [row] = store.rows[ACME]
    assert (row.version, row.state, row.key_id) == (1, "ACTIVE", KEK.id)
    assert row.wrapped is not None
    assert bytes(cipher._keys[1]) not in row.wrapped


async def test_a_fetched_key_is_kept_until_its_time_is_over() -> None:
    store, clock = Store(), Clock()
    await stored(store, ACME)
    ring = keyring(store, clock=clock, key_cache_seconds="60")
    first = await ring.cipher(ACME)
    clock.now = 59.9
    assert await ring.cipher(ACME) is first
    assert len(store.loads) == 1
    clock.now = 60.0
    assert await ring.cipher(ACME) is not first
    assert len(store.loads) == 2


async def test_the_least_recently_used_tenant_is_dropped_first() -> None:
    store = Store()
    tenants = [uuid4() for _ in range(4)]
    for tenant_id in tenants:
        await stored(store, tenant_id)
    ring = keyring(store, key_cache_tenants="3")
    for index in (0, 1, 2, 0, 3):
        await ring.cipher(tenants[index])
    assert len(ring._kept) == 3
    store.loads.clear()
    for index in (0, 2, 3, 1):
        await ring.cipher(tenants[index])
    assert store.loads == [tenants[1]]


async def test_fifty_who_ask_at_once_cause_one_load() -> None:
    store = Store()
    await stored(store, ACME)
    ring = keyring(store)
    ciphers = await asyncio.gather(*(ring.cipher(ACME) for _ in range(50)))
    assert len(store.loads) == 1
    assert len({id(cipher) for cipher in ciphers}) == 1


async def test_a_load_serves_many_and_runs_in_nobodys_context() -> None:
    inside: ContextVar[str] = ContextVar("inside", default="nobody")
    seen: list[str] = []

    class Watching(Store):
        async def load(self, tenant_id: UUID) -> list[StoredKey]:
            seen.append(inside.get())
            return await super().load(tenant_id)

    store = Watching()
    ring = await stored(store, ACME)
    token = inside.set("the first caller's transaction")
    await ring.cipher(ACME)
    assert seen == ["nobody"]
    inside.reset(token)


async def test_who_stops_waiting_does_not_take_the_key_from_the_others() -> None:
    store = Store()
    await stored(store, ACME)
    store.gate = asyncio.Event()
    ring = keyring(store)
    leaving, staying = (asyncio.create_task(ring.cipher(ACME)) for _ in range(2))
    await store.asked.wait()
    leaving.cancel()
    await asyncio.wait([leaving])
    store.gate.set()
    assert (await staying).active_version == 1
    assert len(store.loads) == 1


async def test_a_failed_load_is_told_to_all_and_tried_again() -> None:
    store = Store()
    await stored(store, ACME)
    ring = keyring(store, kek=Away())
    told = await asyncio.gather(*(ring.cipher(ACME) for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in told] == [KeyServiceIsAway] * 3
    assert len(store.loads) == 1
    ring._kek = KEK
    assert (await ring.cipher(ACME)).active_version == 1


async def test_without_the_key_encryption_key_nothing_is_made_and_nothing_is_read() -> None:
    store = Store()
    await stored(store, ACME)
    away = keyring(store, kek=Away())
    for attempt in (away.create(OTHER), away.cipher(ACME), away.rotate(ACME)):
        with pytest.raises(Unavailable):
            await attempt
    assert [row.version for row in store.rows[ACME]] == [1]


async def test_what_was_forgotten_while_it_loaded_is_not_kept() -> None:
    store = Store()
    ring = await stored(store, ACME)
    store.gate = asyncio.Event()
    early = asyncio.create_task(ring.cipher(ACME))
    await store.asked.wait()
    store.rows[ACME] = [replace(row, state="SHREDDED", wrapped=None) for row in store.rows[ACME]]
    ring.forget(ACME)
    store.gate.set()
    assert (await early).active_version == 1
    assert (await ring.cipher(ACME)).active_version is None


async def test_a_rotated_key_encrypts_from_now_on_and_the_old_one_still_reads() -> None:
    store = Store()
    ring, elsewhere = await stored(store, ACME), keyring(store)
    old = (await ring.cipher(ACME)).encrypt("messages", "body", ROW, SECRET)
    await elsewhere.cipher(ACME)
    await ring.rotate(ACME)
    cipher = await ring.cipher(ACME)
    new = cipher.encrypt("messages", "body", ROW, SECRET)
    assert (key_version_of(old), key_version_of(new)) == (1, 2)
    assert cipher.decrypt("messages", "body", ROW, old) == SECRET

    with pytest.raises(KeyIsMissing):
        (await elsewhere.cipher(ACME)).decrypt("messages", "body", ROW, new)
    assert (await elsewhere.cipher(ACME, version=key_version_of(new))).decrypt("messages", "body", ROW, new) == SECRET


async def test_shredding_makes_content_unreadable_and_a_second_ask_loads_nothing() -> None:
    store = Store()
    ring = await stored(store, ACME)
    blob = (await ring.cipher(ACME)).encrypt("messages", "body", ROW, SECRET)
    store.rows[ACME] = [replace(row, state="SHREDDED") for row in store.rows[ACME]]
    ring.forget(ACME)
    store.loads.clear()
    for _ in range(2):
        with pytest.raises(KeyIsShredded):
            (await ring.cipher(ACME, version=1)).decrypt("messages", "body", ROW, blob)
    assert len(store.loads) == 1


async def test_a_wrapped_key_copied_to_another_tenant_is_unreadable() -> None:
    store = Store()
    ring = await stored(store, ACME)
    store.rows[OTHER] = store.rows[ACME]
    with pytest.raises(DataKeyIsUnreadable):
        await ring.cipher(OTHER)
    assert (await ring.cipher(ACME)).active_version == 1
