"""What a tenant brings of its own, put beside what the platform offers to everybody."""

from collections.abc import Iterable, Mapping
from typing import Final, cast
from uuid import UUID, uuid5

import msgspec

from db.statements.models import OwnCredential, OwnDeployment, OwnModel, OwnModels, OwnPolicy, OwnPrice, OwnProvider
from inference.deployments import Capability, CredentialOwner, Price, PriceSource, Wire
from inference.offerings import ModelProvider, OfferedModel, Offering, Place, StoredPolicy
from inference.providers import origin_of
from settings import Secret

_NONE: Final = Secret("")


def with_own(platform: Offering, own: OwnModels, tenant_id: UUID) -> Offering:
    """All that a member can ask: the platform's offering, and the tenant's and the member's own beside it."""
    if own.is_nothing:
        return platform
    providers = {**platform.providers, **{one.id: own_provider(one) for one in own.providers}}
    models = dict(platform.models)
    for one in own.models:
        models[one.id] = _model(one, providers[one.provider_id])
    for price in own.prices:
        if (model := models.get(price.model_id)) is not None:
            models[model.id] = msgspec.structs.replace(model, prices=(*model.prices, _price(price)))
    keys = _Keys(own.credentials, providers)
    places = [*platform.places.values(), *_rented(platform, keys, tenant_id), *_housed(own, providers, keys)]
    drained = frozenset(own.drained)
    return Offering(
        providers=providers,
        models=models,
        places={place.id: _drained(place) if place.id in drained else place for place in places},
        default_model_id=platform.default_model_id,
        policies={policy.id: stored_policy(policy) for policy in own.policies},
    )


class _Keys:
    """The keys that a member may use: for each provider the member's own newest, or else the tenant's newest.

    A key that was set for another origin than the provider has now is none.
    """

    def __init__(self, credentials: Iterable[OwnCredential], providers: Mapping[UUID, ModelProvider]) -> None:
        self._by_id: dict[UUID, OwnCredential] = {}
        self._by_provider: dict[UUID, OwnCredential] = {}
        # The oldest come first, so the last one wins.
        for one in sorted(credentials, key=lambda one: (one.user_id is not None, one.id)):
            provider = providers.get(one.provider_id)
            if provider is not None and provider.base_url is not None and origin_of(provider.base_url) == one.origin:
                self._by_id[one.id] = self._by_provider[one.provider_id] = one

    def find(self, provider_id: UUID, named: UUID | None = None) -> OwnCredential | None:
        by_name = None if named is None else self._by_id.get(named)
        return by_name if by_name is not None and by_name.provider_id == provider_id else self._by_provider.get(provider_id)


def _rented(platform: Offering, keys: _Keys, tenant_id: UUID) -> Iterable[Place]:
    """The catalogue's models at their own providers, for which somebody brought a key."""
    for model in platform.models.values():
        key, provider = keys.find(model.provider_id), platform.providers[model.provider_id]
        if key is not None and provider.wire is not None and provider.base_url is not None:
            yield Place(
                id=uuid5(tenant_id, f"deployment/{model.id}"),
                model_id=model.id,
                provider_id=model.provider_id,
                wire=provider.wire,
                base_url=provider.base_url,
                remote_name=model.remote_name,
                owner=_owner(key),
                secret=key.secret,
                credential_id=key.id,
            )


def _housed(own: OwnModels, providers: Mapping[UUID, ModelProvider], keys: _Keys) -> Iterable[Place]:
    """The places of the tenant's own models."""
    for one in own.deployments:
        yield _place(one, providers[one.provider_id], keys.find(one.provider_id, one.credential_id))


def _place(one: OwnDeployment, provider: ModelProvider, key: OwnCredential | None) -> Place:
    return Place(
        id=one.id,
        model_id=one.model_id,
        provider_id=one.provider_id,
        wire=provider.wire,
        base_url=provider.base_url or "",
        remote_name=one.remote_name,
        owner=_owner(key),
        secret=_NONE if key is None else key.secret,
        credential_id=None if key is None else key.id,
        region=one.region,
        weight=one.weight,
        order=one.turn,
        tpm=one.tpm,
        rpm=one.rpm,
        lacks_key=key is None and provider.needs_key,
    )


def _owner(key: OwnCredential | None) -> CredentialOwner:
    return CredentialOwner.TENANT if key is None or key.user_id is None else CredentialOwner.USER


def _drained(place: Place) -> Place:
    return msgspec.structs.replace(place, drained=True)


def own_provider(one: OwnProvider) -> ModelProvider:
    return ModelProvider(
        id=one.id,
        key=one.key,
        name=one.name,
        wire=cast("Wire", one.wire),
        base_url=one.base_url,
        needs_key=one.needs_key,
        custom=True,
        revision=one.revision,
    )


def _model(one: OwnModel, provider: ModelProvider) -> OfferedModel:
    return OfferedModel(
        id=one.id,
        key=f"{provider.key}/{one.key}",
        name=one.name,
        provider_id=one.provider_id,
        remote_name=one.key,
        context_tokens=one.context_tokens,
        max_output_tokens=one.max_output_tokens,
        capabilities=frozenset(map(Capability, one.capabilities)),
        deprecated_on=one.deprecated_on,
        replacement_id=one.replacement_id,
        custom=True,
        revision=one.revision,
    )


def _price(one: OwnPrice) -> Price:
    fields = {name: getattr(one, name) for name in one.__struct_fields__ if name != "model_id"}
    return Price(version=f"tenant/{one.id}", source=PriceSource.TENANT_CONTRACT, **fields)


def stored_policy(one: OwnPolicy) -> StoredPolicy:
    return msgspec.convert(msgspec.structs.asdict(one), StoredPolicy)
