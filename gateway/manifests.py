"""Manifests: what a version of a client sends, published as a whole or not at all, and taken back when nobody uses it any more."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

from uuid_utils.compat import uuid7

from auth.names import checked_name
from auth.viewers import Viewer
from db.scopes import Row, TenantScopes, Writing
from db.statements import documents, tenants
from db.statements.documents import NewDocument, Release
from errors import Conflict, Invalid, NotFound
from events.facts import DocumentManifestDeleted, DocumentManifestPublished, record
from events.revocations import Revocations, Revoked
from gateway.formats import digest_of, fault_of, texts_by_name
from gateway.judging import Judge, Judged
from gateway.registry import Registry
from settings import Settings

T = TypeVar("T")
Pay = Callable[[int], Awaitable[None]]
"""Told of how many documents the process has to read, before it does."""
MOST_PARTS: Final = 1000
READ_AT_ONCE: Final = 100
"""Documents that are paid for at once, and whose texts are in memory at once while those of manifests are judged again."""
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

    async def publish(self, viewer: Viewer, draft: ManifestDraft, *, pay: Pay) -> Published:
        """Publish a manifest, or keep a part of one. Nothing of it can be asked for before all is there; the same again changes nothing.

        `pay` is told of the documents that this process does not know, some at a time; where it raises nothing is written, and those
        that were paid for are known when the same comes again. Raises `Conflict` where the version has been published with other
        documents, or a part comes out of turn.
        """
        release = Release(viewer.tenant_id, checked_name(draft.client, path=["client"]), checked_name(draft.version, path=["version"]))
        if not 1 <= draft.part <= draft.parts <= MOST_PARTS:
            raise Invalid(f"Parts are numbered from 1, to {MOST_PARTS} at most.", path=("part",), constraint=f"range=1..{MOST_PARTS}")
        judged = await self._judged(texts_by_name(draft.manifest), pay)
        rejected = [one for one in judged if isinstance(one, str)]
        if rejected:
            return Published(None, rejected)
        try:
            async with self._scopes.writing(viewer.tenant_id) as scope:
                await tenants.locked(scope, viewer.tenant_id)
                await self._gather(scope, release, draft, [one for one in judged if isinstance(one, NewDocument)])
                if draft.part < draft.parts:
                    return Published(None)
                row = await self._written(scope, viewer, release)
        except _NamesAreTaken as taken:
            return Published(None, [f"{name}: this id is another document's already." for name in taken.names])
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

        `pay` is told of the documents that this process does not know, some at a time: those that were paid for it knows.
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
        for some in self._shares(unknown):
            await pay(len(some))
            async with self._scopes.reading(tenant_id) as scope:
                texts = await documents.documents_by_ids(scope, tenant_id, some, frozenset({"body"}))
            judged |= {row["id"]: await self._asked(row["body"]) for row in texts}
        names = {row["id"]: row["operation_name"] or row["sha256"].hex() for row in rows}
        return {one: f"{names[one]}: {found.error}" for one, found in judged.items() if found.error is not None}

    async def _judged(self, texts: Mapping[str, str], pay: Pay) -> list[NewDocument | str]:
        """Look at each document by itself: what it is, or a sentence that says why not."""
        assert self._judge is not None, "a process that publishes knows the schema"
        self._check_count(len(texts))
        faults = {name: fault for name, text in texts.items() if (fault := fault_of(name, text)) is not None}
        digests = {name: digest_of(text) for name, text in texts.items() if name not in faults}
        found = {digest: one for digest in digests.values() if (one := self._judge.known(digest)) is not None}
        unknown = {digest: texts[name] for name, digest in digests.items() if digest not in found}
        for some in self._shares(list(unknown)):
            await pay(len(some))
            found |= {digest: await self._asked(unknown[digest]) for digest in some}
        return [
            f"{name}: {faults[name]}" if name in faults else _judgement(name, digests[name], text, found[digests[name]])
            for name, text in texts.items()
        ]

    def _shares(self, unknown: Sequence[T]) -> Iterator[Sequence[T]]:
        """Cut what is to be judged into shares that can be paid for: a bucket holds what the dearest operation costs, of which this one
        has paid its own cost.
        """
        most = self._settings.graphql_max_cost // 2 // max(1, self._settings.graphql_unknown_points)
        at_once = max(1, min(READ_AT_ONCE, most))
        return (unknown[first : first + at_once] for first in range(0, len(unknown), at_once))

    async def _asked(self, text: str) -> Judged:
        assert self._judge is not None, "a process that publishes knows the schema"
        # A manifest has hundreds: others get their turn in between.
        await asyncio.sleep(0)
        return self._judge(text)

    async def _gather(self, scope: Writing, release: Release, draft: ManifestDraft, new: Sequence[NewDocument]) -> None:
        """Put a part behind those that came before it; what is wrong with it is raised, and undoes it."""
        if draft.part == 1:
            await documents.delete_drafts(scope, release, before=datetime.now(UTC) - DRAFT_LIFE)
        elif (parts := await documents.parts_of_draft(scope, release)) != draft.part - 1:
            raise Conflict(f"Part {parts + 1} comes next; begin with part 1 again.", path=("part",))
        count, added = await documents.add_to_draft(scope, release, part=draft.part, documents=new)
        self._check_count(count)
        if added < len(new):
            raise Invalid("An id is in two parts of the manifest.", path=("manifest",), constraint="unique")
        # Meanwhile others may have published what took the name of one that came before.
        after = count - len(new) if draft.part < draft.parts else 0
        if names := await documents.taken_names(scope, release, after=after):
            raise _NamesAreTaken(names)
        if draft.part < draft.parts:
            # All documents of a tenant are many: they are counted when a draft begins, and when it is published.
            sizes = documents.sizes if draft.part == 1 else documents.sizes_of_drafts
            self._check_room(*await sizes(scope, release.tenant_id))

    async def _written(self, scope: Writing, viewer: Viewer, release: Release) -> Row:
        """Make a manifest of the draft, unless the same is there already."""
        there = await documents.manifest_of(scope, release)
        if there is None:
            manifest_id = uuid7()
            await documents.publish(scope, release, manifest_id=manifest_id, by=viewer.user_id, at=datetime.now(UTC))
            await record(scope, viewer.tenant_id, DocumentManifestPublished(manifest_id=manifest_id), by=viewer)
        elif not await documents.is_published(scope, release, there["id"]):
            raise Conflict("This version is published already, with other documents.", path=("version",))
        await documents.delete_drafts(scope, release, before=datetime.now(UTC) - DRAFT_LIFE)
        if there is None:
            self._check_room(*await documents.sizes(scope, viewer.tenant_id))
            there = await documents.manifest_of(scope, release)
            assert there is not None, "it was written just now"
        return there

    def _check_count(self, count: int) -> None:
        most = self._settings.manifest_documents
        if count > most:
            raise Invalid(f"A manifest has at most {most:,} documents.", path=("manifest",), constraint=f"max_items={most}")

    def _check_room(self, manifests: int, size: int) -> None:
        """Undo what is too much for a tenant, by raising."""
        most, bytes_ = self._settings.tenant_manifests, self._settings.tenant_document_bytes
        if manifests > most:
            message = f"A tenant has at most {most:,} manifests, drafts among them: take one back first."
            raise Conflict(message, path=("version",))
        if size > bytes_:
            message = f"A tenant's documents have at most {bytes_:,} bytes: take a manifest back first."
            raise Invalid(message, path=("manifest",), constraint=f"max_bytes={bytes_}")

    async def _tell(self, tenant_id: UUID) -> None:
        revoked = Revoked(kind="documents", tenant_id=tenant_id, id=tenant_id, reason="DOCUMENTS_CHANGED")
        self._registry.forget(revoked)
        await self._revocations.publish(revoked)


class _NamesAreTaken(Exception):
    """Names of a draft's documents mean other texts already; raised to undo what was written of the part."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = names


def _judgement(name: str, sha256: bytes, text: str, judged: Judged) -> NewDocument | str:
    if judged.error is not None:
        return f"{name}: {judged.error}"
    return NewDocument(name, sha256, text, judged.operation_name, judged.cost, judged.is_public)
