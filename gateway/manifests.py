"""Manifests: what a version of a client sends, published as a whole or not at all, and taken back when nobody uses it any more."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from uuid_utils.compat import uuid7

from auth.names import checked_name
from auth.viewers import Viewer
from db.scopes import Row, TenantScopes, Writing
from db.statements import documents, tenants
from db.statements.documents import NewDocument
from db.tables.documents import DocumentManifest
from errors import Conflict, Invalid, NotFound
from events.facts import DocumentManifestDeleted, DocumentManifestPublished, record
from events.revocations import Revocations, Revoked
from gateway.formats import digest_of, fault_of, texts_by_name
from gateway.judging import Judge, Judged
from gateway.registry import Registry
from settings import Settings

Pay = Callable[[int], Awaitable[None]]
MOST_PARTS: Final = 1000
READ_AT_ONCE: Final = 100
"""Documents whose texts are in memory at once while they are judged."""
DRAFT_LIFE: Final = timedelta(days=1)
"""How long the parts of a manifest wait for the rest of it."""


@dataclass(frozen=True, kw_only=True)
class ManifestDraft:
    """A manifest as a client's tool wrote it, or one of the parts of a large one."""

    client: str
    version: str
    manifest: Any
    part: int = 1
    parts: int = 1


class Release(NamedTuple):
    """A version of a tenant's client."""

    tenant_id: UUID
    client: str
    version: str


@dataclass(frozen=True)
class Published:
    """What became of a manifest: its row once all of it has come, or why which of its documents were refused."""

    manifest: Row | None
    rejected: Sequence[str] = ()


class Manifests:
    """Publishes manifests, for viewers that may. Texts are kept byte for byte; one that several manifests have is kept once."""

    def __init__(
        self, *, scopes: TenantScopes, revocations: Revocations, registry: Registry, judge: Judge | None, settings: Settings
    ) -> None:
        self._scopes = scopes
        self._revocations = revocations
        self._registry = registry
        self._judge = judge
        self._settings = settings

    async def publish(self, viewer: Viewer, draft: ManifestDraft) -> Published:
        """Publish a manifest, or keep a part of one. Nothing of it can be asked for before all is there; the same again changes nothing.

        Raises `Conflict` where the version has been published with other documents, or a part comes out of turn.
        """
        release = Release(viewer.tenant_id, checked_name(draft.client, path=["client"]), checked_name(draft.version, path=["version"]))
        if not 1 <= draft.part <= draft.parts <= MOST_PARTS:
            raise Invalid(f"Parts are numbered from 1, to {MOST_PARTS} at most.", path=("part",), constraint=f"range=1..{MOST_PARTS}")
        judged = await self._judged(texts_by_name(draft.manifest))
        rejected = [one for one in judged if isinstance(one, str)]
        if rejected:
            return Published(None, rejected)
        new = [one for one in judged if isinstance(one, NewDocument)]
        async with self._scopes.writing(viewer.tenant_id) as scope:
            await tenants.locked(scope, viewer.tenant_id)
            whole = await self._gathered(scope, release, draft.part, new)
            if taken := await documents.taken_names(scope, viewer.tenant_id, whole):
                return Published(None, [f"{name}: this id is another document's already." for name in taken])
            await documents.delete_drafts(scope, *release, before=datetime.now(UTC) - DRAFT_LIFE)
            if draft.part < draft.parts:
                await documents.keep_draft(scope, *release, parts=draft.part, documents=whole)
                await self._check_room(scope, viewer.tenant_id)
                return Published(None)
            row = await self._written(scope, viewer, release, whole)
        await self._tell(viewer.tenant_id)
        return Published(row)

    async def delete(self, viewer: Viewer, manifest_id: UUID) -> None:
        """Take a manifest back: what no other one has can be asked for no more, within a second everywhere."""
        async with self._scopes.writing(viewer.tenant_id) as scope:
            await tenants.locked(scope, viewer.tenant_id)
            if not await documents.delete_manifest(scope, viewer.tenant_id, manifest_id):
                raise NotFound("There is no DocumentManifest with this id.", path=("manifestId",))
            await record(scope, viewer.tenant_id, DocumentManifestDeleted(manifest_id=manifest_id), by=viewer)
        await self._tell(viewer.tenant_id)

    async def faults(self, tenant_id: UUID, manifest_ids: Sequence[UUID], *, pay: Pay) -> list[list[str]]:
        """Say of each manifest which of its documents the schema of this process does not answer, and why.

        `pay` is told of how many documents the process has to read, before it does, some at a time: those that were paid for it knows.
        """
        faults = await self._faulty(tenant_id, manifest_ids, pay)
        found: dict[UUID, list[str]] = {manifest_id: [] for manifest_id in manifest_ids}
        if faults:
            async with self._scopes.reading(tenant_id) as scope:
                for row in await documents.manifests_with(scope, tenant_id, manifest_ids, list(faults)):
                    found[row["manifest_id"]].append(faults[row["document_id"]])
        return [found[manifest_id] for manifest_id in manifest_ids]

    async def _faulty(self, tenant_id: UUID, manifest_ids: Sequence[UUID], pay: Pay) -> Mapping[UUID, str]:
        """Judge the documents of manifests, each once; those that this process knows are not read again."""
        assert self._judge is not None, "a process that serves knows the schema"
        async with self._scopes.reading(tenant_id) as scope:
            rows = await documents.unread_documents(scope, tenant_id, manifest_ids)
        judged = {row["id"]: one for row in rows if (one := self._judge.known(row["sha256"])) is not None}
        unknown = [row["id"] for row in rows if row["id"] not in judged]
        for first in range(0, len(unknown), READ_AT_ONCE):
            some = unknown[first : first + READ_AT_ONCE]
            await pay(len(some))
            async with self._scopes.reading(tenant_id) as scope:
                texts = await documents.documents_by_ids(scope, tenant_id, some, frozenset({"body"}))
            judged |= {row["id"]: await self._asked(row["body"]) for row in texts}
        names = {row["id"]: row["operation_name"] or row["sha256"].hex() for row in rows}
        return {one: f"{names[one]}: {found.error}" for one, found in judged.items() if found.error is not None}

    async def _judged(self, texts: Mapping[str, str]) -> list[NewDocument | str]:
        """Look at each document by itself: what it is, or a sentence that says why not."""
        self._check_count(texts)
        return [await self._one(name, text) for name, text in texts.items()]

    async def _one(self, name: str, text: str) -> NewDocument | str:
        if (fault := fault_of(name, text)) is not None:
            return f"{name}: {fault}"
        judged = await self._asked(text)
        if judged.error is not None:
            return f"{name}: {judged.error}"
        sha256 = digest_of(text)
        return NewDocument(name, sha256, text, judged.operation_name, judged.cost, judged.is_public)

    async def _asked(self, text: str) -> Judged:
        assert self._judge is not None, "a process that publishes knows the schema"
        # A manifest has hundreds: others get their turn in between.
        await asyncio.sleep(0)
        return self._judge(text)

    async def _gathered(self, scope: Writing, release: Release, part: int, new: Sequence[NewDocument]) -> list[NewDocument]:
        """Put a part behind those that came before it."""
        if part == 1:
            return list(new)
        parts, before = await documents.draft_of(scope, *release)
        if parts != part - 1:
            raise Conflict(f"Part {parts + 1} comes next; begin with part 1 again.", path=("part",))
        named = {one.name: one for one in [*before, *new]}
        self._check_count(named)
        if len(named) < len(before) + len(new):
            raise Invalid("An id is in two parts of the manifest.", path=("manifest",), constraint="unique")
        return list(named.values())

    async def _written(self, scope: Writing, viewer: Viewer, release: Release, whole: Sequence[NewDocument]) -> Row:
        if (there := await documents.manifest_of(scope, *release)) is not None:
            if await documents.hashes_by_name(scope, viewer.tenant_id, there["id"]) != {one.name: one.sha256 for one in whole}:
                raise Conflict("This version is published already, with other documents.", path=("version",))
            return there
        manifest = DocumentManifest(
            **release._asdict(),
            id=uuid7(),
            document_count=len({one.sha256 for one in whole}),
            created_by=viewer.user_id,
            created_at=datetime.now(UTC),
        )
        await documents.publish(scope, manifest, whole)
        await record(scope, viewer.tenant_id, DocumentManifestPublished(manifest_id=manifest.id), by=viewer)
        await self._check_room(scope, viewer.tenant_id)
        row = await documents.manifest_of(scope, *release)
        assert row is not None, "it was written just now"
        return row

    def _check_count(self, found: Collection[str]) -> None:
        most = self._settings.manifest_documents
        if len(found) > most:
            raise Invalid(f"A manifest has at most {most:,} documents.", path=("manifest",), constraint=f"max_items={most}")

    async def _check_room(self, scope: Writing, tenant_id: UUID) -> None:
        """Undo what is too much for a tenant, by raising."""
        manifests, size = await documents.sizes(scope, tenant_id)
        most, bytes_ = self._settings.tenant_manifests, self._settings.tenant_document_bytes
        if manifests > most:
            raise Conflict(f"A tenant has at most {most:,} manifests: take one back first.", path=("version",))
        if size > bytes_:
            message = f"A tenant's documents have at most {bytes_:,} bytes: take a manifest back first."
            raise Invalid(message, path=("manifest",), constraint=f"max_bytes={bytes_}")

    async def _tell(self, tenant_id: UUID) -> None:
        revoked = Revoked(kind="documents", tenant_id=tenant_id, id=tenant_id, reason="DOCUMENTS_CHANGED")
        self._registry.forget(revoked)
        await self._revocations.publish(revoked)
