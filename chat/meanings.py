"""What messages mean: makes the vectors of those that are due, behind everybody's back."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from auth.encryption.ciphers import ContentIsUnreadable, TenantCipher, key_version_of
from auth.encryption.keyring import Keyring
from chat.contents import opened, plain_text
from db.scopes import Row, SystemScopes, TenantScopes
from db.statements import vectors as rows_of_vectors
from knowledge.vectors import Due, Embedder, chunks, keep, spelled, turned
from settings import Settings

# A claimed message is nobody else's for this long: making 32 messages' vectors takes a second at most.
_LEASE: Final = timedelta(minutes=1)
BATCH: Final = 32


class Meanings:
    """Makes vectors of messages that wait for them, each at least once; several workers share the work."""

    def __init__(self, *, scopes: TenantScopes, system: SystemScopes, keyring: Keyring, embedder: Embedder, settings: Settings) -> None:
        self._scopes = scopes
        self._system = system
        self._keyring = keyring
        self._embedder = embedder
        self._settings = settings

    async def make_due(self) -> int:
        """Make the vectors of one batch of each tenant that waits longest, and return of how many messages."""
        async with self._system.reading() as scope:
            waiting = await rows_of_vectors.tenants_with_due(scope, BATCH)
        return sum([await self.make_of(tenant_id) for tenant_id in waiting])

    async def make_of(self, tenant_id: UUID) -> int:
        """Make the vectors of one batch of a tenant's messages."""
        async with self._scopes.writing(tenant_id) as scope:
            rows = await rows_of_vectors.claim(scope, tenant_id, lease=_LEASE, limit=BATCH)
        if not rows:
            return 0
        cipher = await self._keyring.cipher(tenant_id, version=_newest_version(rows))
        dues = [Due(row["id"], row["due_at"], _text(cipher, row)) for row in rows]
        most, length = self._settings.search_chunks, self._settings.search_chunk_length
        pieces = [chunks(due.text, length=length, most=most) for due in dues]
        embedded = iter(await self._embedder.embed([piece for of_one in pieces for piece in of_one]))
        found = {due: [next(embedded) for _ in of_one] for due, of_one in zip(dues, pieces, strict=True)}
        # Half a millisecond a vector, beside the answers that the process makes.
        written = await asyncio.to_thread(lambda: {due: [spelled(turned(cipher, one)) for one in some] for due, some in found.items()})
        async with self._scopes.writing(tenant_id) as scope:
            await keep(scope, cipher, written)
        return len(rows)


def _newest_version(rows: Sequence[Row]) -> int | None:
    """Name the newest key that is needed, which another process may have made."""
    versions = []
    for row in rows:
        with contextlib.suppress(ContentIsUnreadable):
            versions.append(key_version_of(row["content"]))
    return max(versions, default=None)


def _text(cipher: TenantCipher, row: Row) -> str:
    """What a message says; nothing where it cannot be read, so that it waits no longer."""
    try:
        return plain_text(opened(cipher, row["id"], row["content"]))
    except ContentIsUnreadable:
        return ""
