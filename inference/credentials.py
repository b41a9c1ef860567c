"""Keys at model providers: tried before they are kept, kept encrypted, never shown again, and sent only where they were tried."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from uuid_utils.compat import uuid7

from auth.encryption.keyring import Keyring
from auth.names import checked_name
from auth.policies.models import can_keep_credential, can_see_credential
from auth.viewers import Viewer
from db.scopes import Row, TenantScopes, Writing
from db.statements import models
from db.tables.models import ProviderCredential
from egress import EgressRefused
from errors import Conflict, Invalid, NotFound, PermissionDenied
from events.facts import ProviderCredentialCreated, ProviderCredentialDeleted, ProviderCredentialRotated, record
from inference.attempts import Attempt
from inference.deployments import CredentialOwner, Deployment, Model
from inference.models import NO_USAGE, FailureKind, ProviderFailed
from inference.offerings import SECRET_PLACE, ModelProvider, Offering
from inference.offers import ModelIsUnavailable, Models
from inference.providers import origin_of
from inference.routing import Router
from inference.rules import check_room, checked_secret
from inference.standings import Health, Standing, health_of_all
from settings import Secret, Settings

# Whoever is told to wait or to pay was recognised.
_RECOGNISED: Final = frozenset({FailureKind.RATE_LIMIT, FailureKind.BUDGET})


class KeyWasRefused(Invalid):
    """The provider does not take the key; nothing was kept."""

    code = "CREDENTIAL_INVALID"


class KeyCouldNotBeTried(ModelIsUnavailable):
    """The provider did not answer, so that nobody knows whether it takes the key; nothing was kept."""


class Status(StrEnum):
    """How a provider takes a key."""

    UNUSED = "UNUSED"
    WORKING = "WORKING"
    FAILING = "FAILING"
    REFUSED = "REFUSED"
    DETACHED = "DETACHED"


def status_of(row: Row, provider: ModelProvider | None, standings: Sequence[Standing]) -> Status:
    """Say how a key's provider takes it, by how the places stand where it is used; a key is not sent where its provider has moved to."""
    if provider is None or provider.base_url is None or origin_of(provider.base_url) != row["origin"]:
        return Status.DETACHED
    if any(standing.refused for standing in standings):
        return Status.REFUSED
    health = health_of_all(standing.health for standing in standings)
    return {Health.UNKNOWN: Status.UNUSED, Health.HEALTHY: Status.WORKING}.get(health, Status.FAILING)


@dataclass(frozen=True, kw_only=True)
class CredentialDraft:
    """A key to keep; `id` names one that gets a new secret and keeps its provider and owner. Without a label it keeps its own."""

    secret: str
    label: str | None = None
    id: UUID | None = None
    provider_id: UUID | None = None
    owner: CredentialOwner = CredentialOwner.TENANT


class Credentials:
    """Keeps, renews and deletes keys, for viewers."""

    def __init__(self, *, models: Models, scopes: TenantScopes, keyring: Keyring, router: Router, settings: Settings) -> None:
        self._models = models
        self._scopes = scopes
        self._keyring = keyring
        self._providers = router.providers
        self._standings = router.standings
        self._most = settings.tenant_credentials

    async def set(self, viewer: Viewer, draft: CredentialDraft) -> Row:
        """Keep a key that its provider takes; raises `KeyWasRefused`, `KeyCouldNotBeTried` or `EgressRefused`."""
        secret = checked_secret(draft.secret)
        label = None if draft.label is None else checked_name(draft.label, path=("label",))
        offering = await self._models.offering_now(viewer.tenant_id, viewer.user_id)
        kept = None if draft.id is None else await self._kept(viewer, draft.id)
        owner = draft.owner if kept is None else _owner(kept)
        if not can_keep_credential(viewer, owner.value):
            raise PermissionDenied("Your role or key does not allow this.", required_scopes=("models:admin",))
        provider = _provider(offering, draft.provider_id if kept is None else kept["provider_id"])
        await self._try(provider, secret, owner)
        cipher = await self._keyring.cipher(viewer.tenant_id)
        credential_id = draft.id or uuid7()
        values: dict[Any, Any] = {
            ProviderCredential.secret: cipher.encrypt(*SECRET_PLACE, credential_id, secret.encode()),
            ProviderCredential.origin: origin_of(provider.base_url or ""),
            ProviderCredential.last4: secret[-min(4, len(secret) // 4) :],
        }
        async with self._models.changing(viewer) as (scope, now):
            # An endpoint that was moved while the key was tried is another one.
            if _provider(now, provider.id).base_url != provider.base_url:
                raise Conflict("The provider's address was changed meanwhile; try again.")
            if kept is None:
                return await self._add(scope, viewer, provider, owner, label or provider.name, credential_id, values)
            values[ProviderCredential.rotated_at] = datetime.now(UTC)
            if label is not None:
                values[ProviderCredential.label] = label
            row = await models.change_credential(scope, viewer.tenant_id, credential_id, values)
            if row is None:
                raise _missing()
            rotated = ProviderCredentialRotated(credential_id=credential_id, provider_id=provider.id, user_id=row["user_id"])
            await record(scope, viewer.tenant_id, rotated, by=viewer)
        # What was known of the places is known of the key before.
        await self._standings.forget([place.standing_id for place in now.places.values() if place.credential_id == credential_id])
        return row

    async def delete(self, viewer: Viewer, credential_id: UUID) -> None:
        """Forget a key for good."""
        async with self._models.changing(viewer) as (scope, _):
            row = await models.credential(scope, viewer.tenant_id, credential_id)
            if row is None or not can_see_credential(viewer, row):
                raise _missing()
            await models.delete_credential(scope, viewer.tenant_id, credential_id)
            deleted = ProviderCredentialDeleted(credential_id=credential_id, provider_id=row["provider_id"], user_id=row["user_id"])
            await record(scope, viewer.tenant_id, deleted, by=viewer)

    async def _kept(self, viewer: Viewer, credential_id: UUID) -> Row:
        async with self._scopes.reading(viewer.tenant_id) as scope:
            row = await models.credential(scope, viewer.tenant_id, credential_id)
        if row is None or not can_see_credential(viewer, row):
            raise _missing()
        return row

    async def _add(  # noqa: PLR0913 - what a key's row says
        self,
        scope: Writing,
        viewer: Viewer,
        provider: ModelProvider,
        owner: CredentialOwner,
        label: str,
        credential_id: UUID,
        values: dict[Any, Any],
    ) -> Row:
        user_id = viewer.user_id if owner is CredentialOwner.USER else None
        rows = await models.credentials_of(scope, viewer.tenant_id, viewer.user_id)
        check_room(sum(row["user_id"] == user_id for row in rows), self._most, "keys")
        created = ProviderCredentialCreated(credential_id=credential_id, provider_id=provider.id, user_id=user_id)
        await record(scope, viewer.tenant_id, created, by=viewer)
        return await models.add_credential(
            scope,
            ProviderCredential(
                tenant_id=viewer.tenant_id,
                id=credential_id,
                provider_id=provider.id,
                user_id=user_id,
                label=label,
                created_by=viewer.user_id,
                created_at=datetime.now(UTC),
                **{column._meta.name: value for column, value in values.items()},  # noqa: SLF001 - Piccolo has no public name for it
            ),
        )

    async def _try(self, provider: ModelProvider, secret: Secret, owner: CredentialOwner) -> None:
        """Ask the endpoint for its list of models with this key, as an answer would be asked for."""
        assert provider.wire is not None, "checked by `_provider`"
        anything = Model(id=provider.id, key=provider.key, name=provider.name, context_tokens=1, max_output_tokens=1)
        address = provider.base_url or ""
        deployment = Deployment(
            id=provider.id, model=anything, wire=provider.wire, base_url=address, remote_name="", api_key=secret, owner=owner
        )
        begun = datetime.now(UTC)
        try:
            await self._providers.of(deployment).check()
        except ProviderFailed as failed:
            if isinstance(failed.__cause__, EgressRefused):
                raise failed.__cause__ from None
            if failed.kind is FailureKind.AUTH:
                raise KeyWasRefused(
                    f"{provider.name} does not take this key.", path=("secret",), constraint="accepted_by_provider"
                ) from None
            if failed.kind not in _RECOGNISED:
                attempt = Attempt(number=1, deployment=deployment, reason="The key was tried.", started_at=begun)
                attempt.end(NO_USAGE, failed)
                message = f"{provider.name} could not be asked about the key. {failed.message}"
                raise KeyCouldNotBeTried(message, attempts=[attempt]) from None


def _provider(offering: Offering, provider_id: UUID | None) -> ModelProvider:
    provider = None if provider_id is None else offering.providers.get(provider_id)
    if provider is None:
        raise NotFound("There is no Provider with this id.", path=("providerId",))
    if provider.wire is None or provider.base_url is None:
        raise Invalid(f"{provider.name} takes no keys.", path=("providerId",), constraint="takes_keys")
    return provider


def _owner(row: Row) -> CredentialOwner:
    return CredentialOwner.TENANT if row["user_id"] is None else CredentialOwner.USER


def _missing() -> NotFound:
    return NotFound("There is no ProviderCredential with this id.", path=("credentialId",))
