"""Where wrapped data keys are kept: tenants' in their own rows, the platform's in the directory."""

from uuid import UUID

from auth.encryption.key_encryption import KeyEncryptionKey
from auth.encryption.keyring import StoredKey
from db.scopes import SystemScopes, TenantScopes


class KeyStore:
    def __init__(self, *, scopes: TenantScopes, system: SystemScopes, kek: KeyEncryptionKey) -> None:
        raise NotImplementedError

    async def load(self, tenant_id: UUID) -> list[StoredKey]:
        raise NotImplementedError

    async def add(self, tenant_id: UUID, key: StoredKey) -> None:
        raise NotImplementedError
