"""Documents by their ids in one process: looked up once, forgotten when told, bounded; those of clients' own in Valkey."""

import dataclasses
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7
from valkey.asyncio import Valkey

from auth.background import Background
from auth.encryption.keyring import Keyring
from auth.viewers import Viewer
from db.scopes import Reading, SystemScopes, TenantScopes
from db.statements import documents
from db.statements.documents import NewDocument, Release
from events.revocations import Revoked
from gateway import registry as module
from gateway.automatic import AutomaticDocuments
from gateway.registry import Registry
from gateway.uses import Uses
from settings import Settings
from tests.api.manifests import hash_of
from tests.loaders.counting import CountingScopes
from tests.running import PASSWORD
from web.works import Process

TEXT = "query Me { viewer { user { name } } }"


@dataclasses.dataclass
class House:
    """A registry of its own over the servers of the tests."""

    registry: Registry
    counting: CountingScopes
    uses: Uses
    viewer: Viewer
    now: list[float]

    async def publish(self, scopes: TenantScopes, *texts: str, is_public: bool = False) -> UUID:
        return await published(scopes, self.viewer, *texts, is_public=is_public)

    def told(self) -> Revoked:
        return Revoked(kind="documents", tenant_id=self.viewer.tenant_id, id=self.viewer.tenant_id, reason="DOCUMENTS_CHANGED")


@pytest.fixture
async def viewer(process: Process) -> Viewer:
    return await signed_up(process)


async def signed_up(process: Process) -> Viewer:
    opened = await process.works.accounts.sign_up(
        email=f"{uuid7().hex}@example.com", password=PASSWORD, name="Ada", tenant_name="Acme", invitation_token=None,
        transport="BEARER", address="127.0.0.1", user_agent=None,
    )  # fmt: skip
    return opened.viewer


@pytest.fixture
async def house(
    viewer: Viewer, scopes: TenantScopes, system: SystemScopes, valkey: Valkey, keyring: Keyring, settings: Settings
) -> AsyncIterator[House]:
    narrow = dataclasses.replace(settings, document_cache_documents=3, document_uses_seconds=3600.0)
    counting, background, now = CountingScopes(scopes), Background(), [0.0]
    uses = Uses(scopes, background, narrow)
    registry = Registry(
        scopes=counting,
        system=system,
        automatic=AutomaticDocuments(valkey, keyring, narrow),
        uses=uses,
        settings=narrow,
        clock=lambda: now[0],
    )
    yield House(registry, counting, uses, viewer, now)
    await uses.close()
    await background.close()


async def test_what_was_found_is_asked_for_no_more_until_it_is_told_or_old(house: House, scopes: TenantScopes, settings: Settings) -> None:
    await house.publish(scopes, TEXT)
    for _ in range(3):
        assert await house.registry.find(house.viewer, hash_of(TEXT)) == TEXT
        assert house.registry.known(house.viewer, hash_of(TEXT)) == TEXT
    assert house.counting.opened == 1
    house.registry.forget(dataclasses_replaced(house.told(), kind="models"))
    assert house.registry.known(house.viewer, hash_of(TEXT)) == TEXT
    house.registry.forget(house.told())
    assert house.registry.known(house.viewer, hash_of(TEXT)) is None
    assert await house.registry.find(house.viewer, hash_of(TEXT)) == TEXT
    house.now[0] += settings.document_cache_seconds + 1
    assert house.registry.known(house.viewer, hash_of(TEXT)) is None


async def published(scopes: TenantScopes, viewer: Viewer, *texts: str, is_public: bool = False) -> UUID:
    manifest_id = uuid7()
    new = [NewDocument(hash_of(text), bytes.fromhex(hash_of(text)), text, "Me", 1, is_public=is_public) for text in texts]
    release = Release(viewer.tenant_id, "mobile", manifest_id.hex)
    async with scopes.writing(viewer.tenant_id) as scope:
        await documents.add_to_draft(scope, release, part=1, documents=new)
        await documents.publish(scope, release, manifest_id=manifest_id, by=viewer.user_id, at=datetime.now(UTC))
    return manifest_id


def dataclasses_replaced(revoked: Revoked, kind: str) -> Revoked:
    return Revoked(kind=kind, tenant_id=revoked.tenant_id, id=revoked.id, reason=revoked.reason)  # type: ignore[arg-type] # any of the kinds


async def test_what_was_not_found_is_remembered_until_something_is_published(house: House, scopes: TenantScopes) -> None:
    for _ in range(3):
        assert await house.registry.find(house.viewer, hash_of(TEXT)) is None
    assert house.counting.opened == 1
    await house.publish(scopes, TEXT)
    house.registry.forget(house.told())
    assert await house.registry.find(house.viewer, hash_of(TEXT)) == TEXT


async def test_what_is_found_while_something_changes_is_not_kept(
    house: House, scopes: TenantScopes, monkeypatch: pytest.MonkeyPatch
) -> None:
    await house.publish(scopes, TEXT)
    asked = documents.by_sha256

    async def changed_meanwhile(scope: Reading, tenant_id: UUID, sha256: bytes) -> object:
        row = await asked(scope, tenant_id, sha256)
        house.registry.forget(house.told())
        return row

    monkeypatch.setattr(documents, "by_sha256", changed_meanwhile)
    assert await house.registry.find(house.viewer, hash_of(TEXT)) == TEXT
    assert house.registry.known(house.viewer, hash_of(TEXT)) is None


async def test_no_more_is_kept_than_the_bounds_allow(house: House, scopes: TenantScopes, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"query Q{number} {{ __typename }}" for number in range(5)]
    await house.publish(scopes, *texts)
    for text in texts:
        assert await house.registry.find(house.viewer, hash_of(text)) == text
        assert await house.registry.find(house.viewer, hash_of(f"# {text}")) is None
    assert (len(house.registry._kept), len(house.registry._missing)) == (3, 3)
    monkeypatch.setattr(module, "KEPT_CHARACTERS", len(texts[0]))
    await house.registry.find(house.viewer, hash_of(texts[0]))
    assert list(house.registry._kept) == [(house.viewer.tenant_id, hash_of(texts[0]))]
    assert house.registry._characters == len(texts[0])
    house.registry.forget(None)
    assert (house.registry._characters, len(house.registry._kept)) == (0, 0)


async def test_uses_are_written_down_together_and_those_of_documents_that_are_gone_are_left_out(house: House, scopes: TenantScopes) -> None:
    gone = "query Gone { __typename }"
    manifest_id, _ = await house.publish(scopes, gone), await house.publish(scopes, TEXT)
    for text in (TEXT, TEXT, gone):
        await house.registry.find(house.viewer, hash_of(text))
    tenant_id = house.viewer.tenant_id
    async with scopes.writing(tenant_id) as scope:
        assert await documents.delete_manifest(scope, tenant_id, manifest_id)
    await house.uses.close()
    async with scopes.reading(tenant_id) as scope:
        rows = await scope.rows(
            "SELECT calls, day = (now() AT TIME ZONE 'UTC')::date AS today FROM penny.document_calls WHERE tenant_id = $1", tenant_id
        )
    assert [(row["calls"], row["today"]) for row in rows] == [(2, True)]


async def test_uses_of_those_who_have_not_signed_in_count_for_the_first_publisher_and_are_bounded(
    house: House, scopes: TenantScopes, process: Process, settings: Settings
) -> None:
    texts = [f"query Public{uuid7().hex} {{ __typename }}" for _ in range(3)]
    later = await signed_up(process)
    for publisher in (house.viewer, later):
        await published(scopes, publisher, *texts, is_public=True)
    narrow = dataclasses.replace(settings, document_uses_seconds=3600.0, document_uses_signed_out=2)
    background = Background()
    house.registry._uses = uses = Uses(scopes, background, narrow)
    for text in [*texts, *texts]:
        assert await house.registry.find(None, hash_of(text)) == text
    await uses.close()
    await background.close()
    assert await calls_of(scopes, house.viewer.tenant_id) == {hash_of(text): 2 for text in texts[:2]}
    assert await calls_of(scopes, later.tenant_id) == {}
    # What was counted is written down, so others' turn comes.
    assert await house.registry.find(None, hash_of(texts[2])) == texts[2]
    await uses.close()
    assert (await calls_of(scopes, house.viewer.tenant_id))[hash_of(texts[2])] == 1


async def calls_of(scopes: TenantScopes, tenant_id: UUID) -> dict[str, int]:
    async with scopes.reading(tenant_id) as scope:
        rows = await scope.rows(
            """
            SELECT d.sha256, c.calls FROM penny.document_calls c
            JOIN penny.trusted_documents d ON d.tenant_id = c.tenant_id AND d.id = c.document_id WHERE c.tenant_id = $1
            """,
            tenant_id,
        )
    return {row["sha256"].hex(): row["calls"] for row in rows}


async def test_clients_own_documents_are_bounded_and_end(viewer: Viewer, valkey: Valkey, keyring: Keyring, settings: Settings) -> None:
    narrow = dataclasses.replace(settings, automatic_documents=2, automatic_document_seconds=60, automatic_document_characters=40)
    automatic = AutomaticDocuments(valkey, keyring, narrow)
    texts = [f"query Q{number} {{ __typename }}" for number in range(3)]
    for text in texts:
        await automatic.keep(viewer.tenant_id, hash_of(text), text)
    found = [await automatic.find(viewer.tenant_id, hash_of(text)) for text in texts]
    assert sum(text is not None for text in found) == 2
    assert found[2] == texts[2]
    long = f"query {'L' * 40} {{ __typename }}"
    await automatic.keep(viewer.tenant_id, hash_of(long), long)
    assert await automatic.find(viewer.tenant_id, hash_of(long)) is None
    ends = f"{settings.valkey_prefix}:documents:{{{viewer.tenant_id}}}:ends"
    assert 0 < await valkey.ttl(ends) <= 60
    await valkey.zadd(ends, {hash_of(texts[2]): 1})
    assert await automatic.find(viewer.tenant_id, hash_of(texts[2])) is None
    await automatic.keep(viewer.tenant_id, hash_of(texts[0]), texts[0])
    assert not await valkey.hexists(ends.replace(":ends", ":texts"), hash_of(texts[2]))  # type: ignore[misc] # typed for the blocking client too


async def test_a_text_of_another_hash_is_no_document(viewer: Viewer, valkey: Valkey, keyring: Keyring, settings: Settings) -> None:
    automatic = AutomaticDocuments(valkey, keyring, settings)
    await automatic.keep(viewer.tenant_id, hash_of("other"), TEXT)
    assert await automatic.find(viewer.tenant_id, hash_of("other")) is None
