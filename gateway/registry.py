"""Documents by their ids: looked up once, and then a matter of a microsecond.

A process keeps what it found, and for a while also what it did not find; both are bounded, and both are forgotten when the tenant's
manifests change, which every process is told.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from auth.policies.documents import can_register_document, can_send_document, sends_documents_only
from auth.viewers import Viewer
from db.scopes import SystemScopes, TenantScopes
from db.statements import documents
from events.revocations import Revoked
from gateway.automatic import AutomaticDocuments
from gateway.formats import LONGEST_NAME
from gateway.uses import Uses
from settings import Settings
from telemetry.metrics import LOOKUPS

KEPT_CHARACTERS: Final = 16_777_216
_HITS, _MISSES = LOOKUPS.of("ids", "hit"), LOOKUPS.of("ids", "miss")
Key = tuple[UUID | None, str]


@dataclass(frozen=True, slots=True)
class Found:
    """A document that a process knows until a moment; without a `document_id` clients registered it.

    `publisher` is the tenant to which the uses count of those who have not signed in: the first that published the document. Nobody
    else is told how often others' is used, who might publish it too to find that out.
    """

    text: str
    until: float
    document_id: UUID | None = None
    clients: frozenset[str] = frozenset()
    publisher: UUID | None = None


class Registry:
    """Finds documents for viewers, and for those who have not signed in; `forget` must hear all that `Revocations.listen` yields."""

    def __init__(  # noqa: PLR0913 - where documents are, and where their uses go
        self,
        *,
        scopes: TenantScopes,
        system: SystemScopes,
        automatic: AutomaticDocuments,
        uses: Uses,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scopes = scopes
        self._system = system
        self._automatic = automatic
        self._uses = uses
        self._life = settings.document_cache_seconds
        self._most = settings.document_cache_documents
        self._clock = clock
        self._kept: OrderedDict[Key, Found] = OrderedDict()
        self._missing: OrderedDict[Key, float] = OrderedDict()
        self._characters = 0
        self._generation = 0

    def known(self, viewer: Viewer | None, name: str) -> str | None:
        """Return the text of a document that this process has just found; None says nothing: ask `find`."""
        key = (None if viewer is None else viewer.tenant_id, name)
        found = self._kept.get(key)
        if found is None or found.until <= self._clock():
            return None
        self._kept.move_to_end(key)
        _HITS.value += 1
        return self._used(viewer, found)

    async def find(self, viewer: Viewer | None, name: str) -> str | None:
        """Return the text of a document that the viewer may send by this name, or None.

        Whoever has not signed in is found a document that anybody may send, by its SHA-256.
        """
        if (text := self.known(viewer, name)) is not None:
            return text
        key = (None if viewer is None else viewer.tenant_id, name)
        if len(name) > LONGEST_NAME or not name.isprintable() or self._missing.get(key, 0.0) > self._clock():
            return None
        generation = self._generation
        _MISSES.value += 1
        found = await self._looked_up(viewer, name)
        if generation == self._generation:
            self._keep(key, found)
        return None if found is None else self._used(viewer, found)

    async def register(self, viewer: Viewer, sha256: str, text: str) -> None:
        """Keep a text, whose hash was verified, for clients that will send no more than the hash; where that is allowed."""
        if can_register_document(viewer):
            await self._automatic.keep(viewer.tenant_id, sha256, text)
            self._missing.pop((viewer.tenant_id, sha256), None)

    def forget(self, revoked: Revoked | None) -> None:
        """Drop what was found of a tenant whose manifests changed; of all tenants for None."""
        if revoked is not None and revoked.kind != "documents":
            return
        self._generation += 1
        self._missing.clear()
        if revoked is None:
            self._kept.clear()
            self._characters = 0
            return
        # Of those who have not signed in nobody's tenant is known, so all of theirs go.
        for key in [key for key in self._kept if key[0] in (None, revoked.tenant_id)]:
            self._characters -= len(self._kept.pop(key).text)

    def _used(self, viewer: Viewer | None, found: Found) -> str | None:
        if viewer is None:
            if found.publisher is not None and found.document_id is not None:
                self._uses.count_signed_out(found.publisher, found.document_id)
            return found.text
        if found.document_id is None:
            return None if sends_documents_only(viewer) else found.text
        if not can_send_document(viewer, found.clients):
            return None
        self._uses.count(viewer.tenant_id, found.document_id)
        return found.text

    async def _looked_up(self, viewer: Viewer | None, name: str) -> Found | None:
        until = self._clock() + self._life
        sha256 = _sha256(name)
        if viewer is None:
            if sha256 is None:
                return None
            async with self._system.reading() as scope:
                row = await documents.public_by_sha256(scope, sha256)
            return None if row is None else Found(row["body"], until, row["id"], publisher=row["tenant_id"])
        async with self._scopes.reading(viewer.tenant_id) as scope:
            row = None if sha256 is None else await documents.by_sha256(scope, viewer.tenant_id, sha256)
            row = row or await documents.by_name(scope, viewer.tenant_id, name)
        if row is not None:
            return Found(row["body"], until, row["id"], frozenset(row["clients"]))
        if sha256 is None or not can_register_document(viewer):
            return None
        text = await self._automatic.find(viewer.tenant_id, name)
        return None if text is None else Found(text, until)

    def _keep(self, key: Key, found: Found | None) -> None:
        if found is None:
            self._missing[key] = self._clock() + self._life
            if len(self._missing) > self._most:
                self._missing.popitem(last=False)
            return
        if (before := self._kept.pop(key, None)) is not None:
            self._characters -= len(before.text)
        self._kept[key] = found
        self._characters += len(found.text)
        while len(self._kept) > self._most or self._characters > KEPT_CHARACTERS:
            _, gone = self._kept.popitem(last=False)
            self._characters -= len(gone.text)


def _sha256(name: str) -> bytes | None:
    """Read a name that may be a SHA-256; it is spelt in lower case."""
    if len(name) != 64 or name != name.lower():
        return None
    try:
        return bytes.fromhex(name)
    except ValueError:
        return None
