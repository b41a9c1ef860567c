"""What a tenant brings of its own: providers, models and where they are asked, prices; and where it asks nothing more."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from uuid_utils.compat import uuid7

from auth.names import checked_name
from auth.viewers import Viewer
from db.scopes import Writing
from db.statements import models
from db.tables.models import DrainedDeployment, Model, ModelDeployment, ModelPrice, ModelProvider
from errors import Conflict, Invalid, NotFound
from events.facts import (
    DeploymentDrained,
    DeploymentResumed,
    ModelCreated,
    ModelPriceSet,
    ModelUpdated,
    ProviderCreated,
    ProviderUpdated,
    record,
)
from inference.deployments import Capability
from inference.offerings import Offering
from inference.offers import Models
from inference.rules import (
    check_revision,
    check_room,
    checked_currency,
    checked_endpoint,
    checked_model_key,
    checked_number,
    checked_provider_key,
    checked_rate,
    checked_region,
    checked_remote_name,
)
from settings import Settings

_MOST_TOKENS: Final = 100_000_000
_MOST_A_MINUTE: Final = 2_000_000_000
_RATES: Final = (
    ("input", "input"), ("output", "output"), ("cache_read", "cacheRead"), ("cache_write", "cacheWrite"), ("reasoning", "reasoning"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ProviderDraft:
    """An endpoint of the tenant's own; `id` names one to define anew."""

    key: str
    name: str
    wire: str
    endpoint: str
    needs_key: bool = True
    id: UUID | None = None
    expected_revision: int | None = None


@dataclass(frozen=True, kw_only=True)
class DeploymentDraft:
    """A place where a model is asked: at a provider, by a name there, with a key of the tenant's or whichever there is."""

    id: UUID | None = None
    provider_id: UUID | None = None
    credential_id: UUID | None = None
    remote_name: str | None = None
    region: str | None = None
    weight: int = 1
    order: int = 0
    tpm: int | None = None
    rpm: int | None = None


@dataclass(frozen=True, kw_only=True)
class ModelDraft:
    """A model of the tenant's own; `id` names one to define anew, which without deployments keeps those that it has."""

    provider_id: UUID
    key: str
    name: str
    context_tokens: int
    capabilities: Sequence[Capability]
    max_output_tokens: int | None = None
    deprecated_on: date | None = None
    replacement_id: UUID | None = None
    deployments: Sequence[DeploymentDraft] | None = None
    id: UUID | None = None
    expected_revision: int | None = None


@dataclass(frozen=True, kw_only=True)
class PriceDraft:
    """What a model costs the tenant by its own contract, from a moment on."""

    model_id: UUID
    input: Decimal
    output: Decimal
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    reasoning: Decimal | None = None
    currency: str = "USD"
    effective_from: datetime | None = None
    effective_to: datetime | None = None


class CustomModels:
    """Changes what a tenant can ask, for viewers that may; each method returns the id of what it wrote."""

    def __init__(self, models: Models, settings: Settings) -> None:
        self._models = models
        self._settings = settings

    async def put_provider(self, viewer: Viewer, draft: ProviderDraft) -> UUID:
        """Define a provider. Keys that were kept for another origin are not sent to a new one."""
        key, name = checked_provider_key(draft.key), checked_name(draft.name)
        endpoint = checked_endpoint(draft.endpoint, self._settings)
        async with self._models.changing(viewer) as (scope, offering):
            own = [one for one in offering.providers.values() if one.custom]
            current = next((one for one in own if one.id == draft.id), None)
            if draft.id is not None and current is None:
                raise NotFound("There is no Provider of the tenant's own with this id.", path=("id",))
            if current is None:
                check_room(len(own), self._settings.tenant_providers, "providers")
            else:
                check_revision(draft.expected_revision, current.revision)
            if any(one.key == key and one.id != draft.id for one in offering.providers.values()):
                raise Conflict("There is a provider of this key already.", path=("key",))
            provider = ModelProvider(
                tenant_id=viewer.tenant_id,
                id=draft.id or uuid7(),
                key=key,
                name=name,
                wire=draft.wire,
                base_url=endpoint,
                needs_key=draft.needs_key,
                revision=current.revision + 1 if current else 1,
            )
            await models.put(scope, provider)
            await record(scope, viewer.tenant_id, (ProviderUpdated if current else ProviderCreated)(provider_id=provider.id), by=viewer)
            return provider.id

    async def put_model(self, viewer: Viewer, draft: ModelDraft) -> UUID:
        """Define a model; a new one can be asked at its provider at once."""
        _check_model(draft)
        async with self._models.changing(viewer) as (scope, offering):
            own = [one for one in offering.models.values() if one.custom]
            current = next((one for one in own if one.id == draft.id), None)
            if draft.id is not None and current is None:
                raise NotFound("There is no Model of the tenant's own with this id.", path=("id",))
            if current is None:
                check_room(len(own), self._settings.tenant_models, "models")
            else:
                check_revision(draft.expected_revision, current.revision)
            _check_own_provider(offering, draft.provider_id, path=("providerId",))
            if any(one.provider_id == draft.provider_id and one.remote_name == draft.key and one.id != draft.id for one in own):
                raise Conflict("There is a model of this key already.", path=("key",))
            if draft.replacement_id is not None and draft.replacement_id not in offering.models:
                raise NotFound("There is no Model with this id.", path=("replacementId",))
            model = Model(
                tenant_id=viewer.tenant_id,
                id=draft.id or uuid7(),
                provider_id=draft.provider_id,
                key=draft.key,
                name=checked_name(draft.name),
                context_tokens=draft.context_tokens,
                max_output_tokens=draft.max_output_tokens,
                capabilities=sorted(set(draft.capabilities)),
                deprecated_on=draft.deprecated_on,
                replacement_id=draft.replacement_id,
                revision=current.revision + 1 if current else 1,
            )
            await models.put(scope, model)
            await record(scope, viewer.tenant_id, (ModelUpdated if current else ModelCreated)(model_id=model.id), by=viewer)
            if current is None or draft.deployments is not None:
                await self._put_deployments(scope, viewer, offering, model, draft)
            return model.id

    async def set_price(self, viewer: Viewer, draft: PriceDraft) -> UUID:
        """Date a price; what has run keeps the price that it ran at."""
        for name, spelled in _RATES:
            checked_rate(getattr(draft, name), path=(f"{spelled}PerMTok",))
        begins = draft.effective_from or datetime.now(UTC)
        if draft.effective_to is not None and draft.effective_to <= begins:
            raise Invalid("The price would end before it begins.", path=("effectiveTo",), constraint="after=effectiveFrom")
        price = ModelPrice(
            tenant_id=viewer.tenant_id,
            id=uuid7(),
            model_id=draft.model_id,
            currency=checked_currency(draft.currency),
            effective_from=begins,
            effective_to=draft.effective_to,
            created_by=viewer.user_id,
            created_at=datetime.now(UTC),
            input=draft.input,
            output=draft.output,
            cache_read=draft.cache_read,
            cache_write=draft.cache_write,
            reasoning=draft.reasoning,
        )
        async with self._models.changing(viewer) as (scope, offering):
            if draft.model_id not in offering.models:
                raise NotFound("There is no Model with this id.", path=("modelId",))
            there = sum(one.version.startswith("tenant/") for model in offering.models.values() for one in model.prices)
            check_room(there, self._settings.tenant_prices, "prices")
            await models.add_price(scope, price)
            await record(scope, viewer.tenant_id, ModelPriceSet(model_id=draft.model_id), by=viewer)
        return price.id

    async def drain(self, viewer: Viewer, deployment_id: UUID, *, draining: bool) -> UUID:
        """Ask nothing more at a place, or ask there again; runs that are asking go on. It is for this tenant, whoever's place it is."""
        async with self._models.changing(viewer) as (scope, offering):
            if deployment_id not in offering.places:
                raise NotFound("There is no ModelDeployment with this id.", path=("deploymentId",))
            if draining:
                drained = DrainedDeployment(
                    tenant_id=viewer.tenant_id, deployment_id=deployment_id, drained_by=viewer.user_id, drained_at=datetime.now(UTC)
                )
                await models.drain(scope, drained)
            else:
                await models.undrain(scope, viewer.tenant_id, deployment_id)
            changed = (DeploymentDrained if draining else DeploymentResumed)(deployment_id=deployment_id)
            await record(scope, viewer.tenant_id, changed, by=viewer)
        return deployment_id

    async def _put_deployments(self, scope: Writing, viewer: Viewer, offering: Offering, model: Model, draft: ModelDraft) -> None:
        drafts = draft.deployments if draft.deployments is not None else (DeploymentDraft(),)
        most = self._settings.tenant_deployments
        if not 1 <= len(drafts) <= most:
            raise Invalid(f"A model has 1 to {most} deployments.", path=("deployments",), constraint=f"items=1..{most}")
        there = {place.id for place in offering.places.values() if place.model_id == model.id}
        named = [one.id for one in drafts if one.id is not None]
        if len(named) != len(set(named)) or not there.issuperset(named):
            raise NotFound("The model has no ModelDeployment with this id.", path=("deployments", "id"))
        keys = {row["id"]: row for row in await models.credentials_of(scope, viewer.tenant_id, viewer.user_id)}
        rows = []
        for one in drafts:
            provider_id = one.provider_id or draft.provider_id
            _check_own_provider(offering, provider_id, path=("deployments", "providerId"))
            key = keys.get(one.credential_id) if one.credential_id is not None else None
            if one.credential_id is not None and (key is None or key["user_id"] is not None or key["provider_id"] != provider_id):
                raise NotFound("The tenant has no ProviderCredential with this id for this provider.", path=("deployments", "credentialId"))
            rows.append(_deployment(viewer, model, one, provider_id))
        await models.keep_deployments(scope, viewer.tenant_id, model.id, [row.id for row in rows])
        for row in rows:
            await models.put(scope, row)


def _check_model(draft: ModelDraft) -> None:
    checked_model_key(draft.key)
    checked_number(draft.context_tokens, 1, _MOST_TOKENS, path=("contextTokens",))
    checked_number(draft.max_output_tokens, 1, draft.context_tokens, path=("maxOutputTokens",))
    if not draft.capabilities:
        raise Invalid("A model can do something.", path=("capabilities",), constraint="min_items=1")
    for one in draft.deployments or ():
        checked_number(one.weight, 1, 1000, path=("deployments", "weight"))
        checked_number(one.order, 0, 1000, path=("deployments", "order"))
        checked_number(one.tpm, 1, _MOST_A_MINUTE, path=("deployments", "tpm"))
        checked_number(one.rpm, 1, _MOST_A_MINUTE, path=("deployments", "rpm"))
        checked_region(one.region, path=("deployments", "region"))
        if one.remote_name is not None:
            checked_remote_name(one.remote_name, path=("deployments", "remoteName"))


def _check_own_provider(offering: Offering, provider_id: UUID, *, path: Sequence[str]) -> None:
    provider = offering.providers.get(provider_id)
    if provider is None or not provider.custom:
        raise NotFound("There is no Provider of the tenant's own with this id.", path=path)


def _deployment(viewer: Viewer, model: Model, one: DeploymentDraft, provider_id: UUID) -> ModelDeployment:
    return ModelDeployment(
        tenant_id=viewer.tenant_id,
        id=one.id or uuid7(),
        model_id=model.id,
        provider_id=provider_id,
        credential_id=one.credential_id,
        remote_name=one.remote_name or model.key,
        region=one.region,
        weight=one.weight,
        turn=one.order,
        tpm=one.tpm,
        rpm=one.rpm,
    )
