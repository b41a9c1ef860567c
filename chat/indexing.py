"""Indexing what was said before: messages and titles that have no terms, or only under a key that is no longer the tenant's newest."""

from collections.abc import AsyncIterator, Sequence
from typing import Final
from uuid import UUID

from auth.encryption.ciphers import TenantCipher
from auth.encryption.keyring import Keyring
from chat.contents import opened_many, plain_text
from chat.headings import opened_titles
from db.scopes import Row, SystemScopes, TenantScopes
from db.statements import tenants
from db.statements import terms as rows_of_terms
from db.statements.edges import FIRST_ID
from knowledge import terms

# So many at once: a transaction of some 50 ms, which holds up nobody who says something.
BATCH: Final = 200
# No key has this version, so nothing is indexed under it.
NO_VERSION: Final = 0


class Indexing:
    """Indexes tenants' messages and titles. What is done stays done, so it may be stopped and begun again at any time."""

    def __init__(self, *, scopes: TenantScopes, system: SystemScopes, keyring: Keyring) -> None:
        self._scopes = scopes
        self._system = system
        self._keyring = keyring

    async def tenants(self) -> list[UUID]:
        """Name all tenants."""
        async with self._system.reading() as scope:
            return await tenants.every_id(scope)

    async def count(self, tenant_id: UUID, *, again: bool = False) -> int:
        """Say how much there is to do for a tenant; with `again`, everything."""
        cipher = await self._keyring.cipher(tenant_id)
        version = _version(cipher, again=again)
        if version is None:
            return 0
        async with self._scopes.reading(tenant_id) as scope:
            return await rows_of_terms.count_missing(scope, tenant_id, key_version=version)

    async def index(self, tenant_id: UUID, *, again: bool = False) -> AsyncIterator[int]:
        """Index what a tenant has, and tell after each step how many messages and titles were looked at in it."""
        cipher = await self._keyring.cipher(tenant_id)
        version = _version(cipher, again=again)
        if version is None:
            return
        for step in (self._messages, self._titles):
            after: UUID | None = FIRST_ID
            while after is not None:
                done, after = await step(cipher, after, version)
                yield done

    async def _messages(self, cipher: TenantCipher, after: UUID, version: int) -> tuple[int, UUID | None]:
        async with self._scopes.writing(cipher.tenant_id) as scope:
            rows = await rows_of_terms.missing(scope, cipher.tenant_id, after=after, key_version=version, limit=BATCH)
            contents = zip(rows, opened_many(cipher, rows), strict=True)
            await terms.keep_messages(scope, cipher, {row["id"]: plain_text(parts) for row, parts in contents if isinstance(parts, list)})
        return _progress(rows)

    async def _titles(self, cipher: TenantCipher, after: UUID, version: int) -> tuple[int, UUID | None]:
        async with self._scopes.writing(cipher.tenant_id) as scope:
            rows = await rows_of_terms.missing_titles(scope, cipher.tenant_id, after=after, key_version=version, limit=BATCH)
            titles = zip(rows, opened_titles(cipher, rows), strict=True)
            await terms.keep_titles(scope, cipher, {row["id"]: title for row, title in titles if isinstance(title, str)})
        return _progress(rows)


def _version(cipher: TenantCipher, *, again: bool) -> int | None:
    """Name the key under which rows need nothing more; None for a tenant that can write nothing any more."""
    return NO_VERSION if again and cipher.active_version is not None else cipher.active_version


def _progress(rows: Sequence[Row]) -> tuple[int, UUID | None]:
    """Say how many rows there were, and behind which one the next begin, if there may be more."""
    return len(rows), rows[-1]["id"] if len(rows) == BATCH else None
