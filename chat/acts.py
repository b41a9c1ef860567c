"""What a person does in a chat is an act: one transaction, with the viewer it is done for and the cipher it writes with."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from auth.encryption.ciphers import TenantCipher
from auth.encryption.keyring import Keyring
from auth.viewers import Viewer
from chat.claims import Claim, Made, claimed, made_before
from db.scopes import TenantScopes, Writing
from settings import Settings


@dataclass(frozen=True)
class Act:
    """One transaction of a viewer; `key_life` and `cancel_patience` are what the settings say of idempotency keys and of stopping runs."""

    scope: Writing
    cipher: TenantCipher
    viewer: Viewer
    key_life: timedelta
    cancel_patience: timedelta

    @property
    def tenant_id(self) -> UUID:
        """The viewer's tenant."""
        return self.viewer.tenant_id

    async def claimed(self, operation: str, key: str, content: Any, made: Made) -> Made | None:
        """Claim an idempotency key for what this act will make; returns what was made when it was used before for the same content."""
        return await claimed(self.scope, self.viewer, self.cipher, Claim(key, operation, content, made), life=self.key_life)

    async def made_before(self, operation: str, key: str, content: Any, made: Made) -> Made | None:
        """Look whether the key was used before; whoever makes something in several acts claims it in the last one."""
        return await made_before(self.scope, self.viewer, self.cipher, Claim(key, operation, content, made), life=self.key_life)


class Acts:
    """Begins acts."""

    def __init__(self, *, scopes: TenantScopes, keyring: Keyring, settings: Settings) -> None:
        self._scopes = scopes
        self._keyring = keyring
        self._key_life = timedelta(hours=settings.idempotency_hours)
        self._cancel_patience = timedelta(seconds=settings.run_cancel_seconds)

    @contextlib.asynccontextmanager
    async def begun(self, viewer: Viewer) -> AsyncIterator[Act]:
        """Do something for a viewer; it counts when the block ends well."""
        cipher = await self._keyring.cipher(viewer.tenant_id)  # before the scope: it may need a connection of its own
        async with self._scopes.writing(viewer.tenant_id) as scope:
            yield Act(scope, cipher, viewer, self._key_life, self._cancel_patience)
