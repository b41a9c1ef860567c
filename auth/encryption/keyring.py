"""Tenants' data keys: made, fetched, unwrapped, and kept in memory for a while."""

import asyncio
import contextvars
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol
from uuid import UUID

from auth.encryption.ciphers import KEY_BYTES, DataKey, TenantCipher
from auth.encryption.key_encryption import KeyEncryptionKey
from settings import Settings
from telemetry.metrics import LOOKUPS

_HITS, _MISSES = LOOKUPS.of("keys", "hit"), LOOKUPS.of("keys", "miss")


@dataclass(frozen=True)
class StoredKey:
    """One version of a tenant's data key, as it is stored; `key_id` names the key-encryption key that wrapped it."""

    version: int
    state: Literal["ACTIVE", "DECRYPT_ONLY", "SHREDDED"]
    wrapped: bytes | None = field(repr=False)
    key_id: str


class TenantKeyStore(Protocol):
    """Where wrapped keys are kept."""

    async def load(self, tenant_id: UUID) -> list[StoredKey]: ...

    async def add(self, tenant_id: UUID, key: StoredKey) -> None:
        """Store a new version and, in the same transaction, make the others DECRYPT_ONLY; refuse a version that exists."""


class Keyring:
    """Gives each tenant's cipher; a process keeps at most `key_cache_tenants` for `key_cache_seconds`, the latest used ones."""

    def __init__(
        self, kek: KeyEncryptionKey, store: TenantKeyStore, settings: Settings, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._kek = kek
        self._store = store
        self._life = settings.key_cache_seconds
        self._most = settings.key_cache_tenants
        self._clock = clock
        self._kept: OrderedDict[UUID, tuple[float, TenantCipher]] = OrderedDict()
        self._loading: dict[UUID, asyncio.Task[TenantCipher]] = {}

    async def cipher(self, tenant_id: UUID, *, version: int | None = None) -> TenantCipher:
        """The tenant's cipher; one that does not know `version`, which another process may have added, is loaded anew.

        Ask before a database scope is opened: the store may need a connection. Raises `KeyServiceIsAway`, `DataKeyIsUnreadable`.
        """
        kept = self._kept.get(tenant_id)
        if kept and kept[0] > self._clock() and (version is None or kept[1].knows(version)):
            self._kept.move_to_end(tenant_id)
            _HITS.value += 1
            return kept[1]
        _MISSES.value += 1
        task = self._loading.get(tenant_id)
        if task is None:
            # In a context of its own: the load serves many callers and must not run inside the transaction of the first.
            task = asyncio.create_task(self._load(tenant_id), context=contextvars.Context())
            self._loading[tenant_id] = task
            task.add_done_callback(lambda done: self._keep(tenant_id, done))
        return await asyncio.shield(task)

    async def create(self, tenant_id: UUID, *, version: int = 1) -> StoredKey:
        """A new, wrapped data key; the caller stores it in the transaction that makes the tenant."""
        wrapped = await self._kek.wrap(DataKey(secrets.token_bytes(KEY_BYTES)), tenant_id)
        return StoredKey(version, "ACTIVE", wrapped, self._kek.id)

    async def rotate(self, tenant_id: UUID) -> StoredKey:
        """Add the next version, which encrypts from now on; other processes follow when they forget or load the tenant's keys."""
        versions = [key.version for key in await self._store.load(tenant_id)]
        key = await self.create(tenant_id, version=max(versions, default=0) + 1)
        await self._store.add(tenant_id, key)
        self.forget(tenant_id)
        return key

    def forget(self, tenant_id: UUID) -> None:
        """Drop the tenant's keys from memory; a load under way still answers those who wait for it, and is not kept."""
        self._kept.pop(tenant_id, None)
        self._loading.pop(tenant_id, None)

    async def _load(self, tenant_id: UUID) -> TenantCipher:
        keys: dict[int, DataKey] = {}
        active: list[int] = []
        shredded: list[int] = []
        for stored in await self._store.load(tenant_id):
            if stored.state == "SHREDDED" or stored.wrapped is None:
                shredded.append(stored.version)
                continue
            keys[stored.version] = DataKey(await self._kek.unwrap(stored.wrapped, tenant_id))
            if stored.state == "ACTIVE":
                active.append(stored.version)
        return TenantCipher(tenant_id, keys, max(active, default=None), shredded)

    def _keep(self, tenant_id: UUID, done: asyncio.Task[TenantCipher]) -> None:
        if self._loading.get(tenant_id) is not done:
            _ = done.cancelled() or done.exception()
            return
        del self._loading[tenant_id]
        if done.cancelled() or done.exception():
            return
        self._kept[tenant_id] = (self._clock() + self._life, done.result())
        self._kept.move_to_end(tenant_id)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def __repr__(self) -> str:
        return f"Keyring({self._kek!r}, {len(self._kept)} tenants)"
