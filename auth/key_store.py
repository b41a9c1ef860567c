"""Where wrapped data keys are kept: tenants' in their own rows, the platform's in the directory."""

import secrets
from typing import Final
from uuid import UUID

from uuid_utils.compat import uuid7

from auth.encryption.ciphers import KEY_BYTES, DataKey
from auth.encryption.key_encryption import KeyEncryptionKey
from auth.encryption.keyring import StoredKey
from db.scopes import Row, SystemScopes, TenantScopes
from db.statements import credentials, tenants
from db.tables.credentials import PlatformKey, TenantKey

# Data that belongs to no tenant, such as mails, is encrypted for this one.
PLATFORM: Final = UUID(int=0)


class KeyStore:
    """Loads and adds versions of data keys; the platform's first one is made when it is first asked for."""

    def __init__(self, *, scopes: TenantScopes, system: SystemScopes, kek: KeyEncryptionKey) -> None:
        self._scopes = scopes
        self._system = system
        self._kek = kek

    async def load(self, tenant_id: UUID) -> list[StoredKey]:
        if tenant_id == PLATFORM:
            return await self._platform_keys() or await self._first_platform_key()
        async with self._scopes.reading(tenant_id) as scope:
            return [_stored(row) for row in await tenants.keys(scope, tenant_id)]

    async def add(self, tenant_id: UUID, key: StoredKey) -> None:
        """Store a version, from which on the others only decrypt; raises asyncpg's UniqueViolationError for one that exists."""
        if tenant_id == PLATFORM:
            platform = PlatformKey(version=key.version, state=key.state, wrapped=key.wrapped, key_id=key.key_id)
            async with self._system.writing() as scope:
                await credentials.retire_platform_keys(scope)
                await credentials.add_platform_key(scope, platform)
            return
        async with self._scopes.writing(tenant_id) as scope:
            await tenants.retire_keys(scope, tenant_id)
            await tenants.add_key(scope, key_row(tenant_id, key))

    async def _platform_keys(self) -> list[StoredKey]:
        async with self._system.reading() as scope:
            return [_stored(row) for row in await credentials.platform_keys(scope)]

    async def _first_platform_key(self) -> list[StoredKey]:
        """Of several processes that get here at once, the first to store its key wins, and all use that one."""
        wrapped = await self._kek.wrap(DataKey(secrets.token_bytes(KEY_BYTES)), PLATFORM)
        async with self._system.writing() as scope:
            await credentials.add_first_platform_key(scope, wrapped=wrapped, key_id=self._kek.id)
        return await self._platform_keys()


def key_row(tenant_id: UUID, key: StoredKey) -> TenantKey:
    """A tenant's key as it is written."""
    return TenantKey(tenant_id=tenant_id, id=uuid7(), version=key.version, state=key.state, wrapped=key.wrapped, key_id=key.key_id)


def _stored(row: Row) -> StoredKey:
    return StoredKey(version=row["version"], state=row["state"], wrapped=row["wrapped"], key_id=row["key_id"])
