"""What one viewer can ask: providers, models with dated prices, and the places where they are asked, with keys still sealed."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID

import msgspec

from auth.encryption.ciphers import TenantCipher
from inference.deployments import (
    Capability,
    CredentialOwner,
    Deployment,
    FallbackRule,
    MidStream,
    Model,
    Policy,
    Price,
    PriceSource,
    Strategy,
    Wire,
    readers_among,
    standing_of,
)
from inference.models import FailureKind
from settings import Secret

# The table and column that a tenant's keys are encrypted for.
SECRET_PLACE: Final = ("provider_credentials", "secret")
# Whose price counts for whose key, the first that there is: nobody sets the price of what another one pays for.
_SOURCES: Final = {
    CredentialOwner.PLATFORM: (PriceSource.PLATFORM, PriceSource.CATALOGUE),
    CredentialOwner.TENANT: (PriceSource.TENANT_CONTRACT, PriceSource.CATALOGUE),
    CredentialOwner.USER: (PriceSource.TENANT_CONTRACT, PriceSource.CATALOGUE),
}
_NEAREST: Final = {CredentialOwner.USER: 0, CredentialOwner.TENANT: 1, CredentialOwner.PLATFORM: 2}


DRAINED: Final = "it is drained"
KEY_IS_LACKING: Final = "nobody's key is there for it"


class ModelProvider(msgspec.Struct, frozen=True, kw_only=True):
    """Who runs models; `wire` is None where nothing is dialled, `base_url` where each deployment has an address of its own."""

    id: UUID
    key: str
    name: str
    wire: Wire | None = None
    base_url: str | None = None
    needs_key: bool = True
    custom: bool = False
    revision: int = 1


class OfferedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model with all prices that it has, had and will have."""

    id: UUID
    key: str
    name: str
    provider_id: UUID
    remote_name: str
    context_tokens: int
    max_output_tokens: int | None = None
    capabilities: frozenset[Capability] = frozenset({Capability.TEXT})
    prices: tuple[Price, ...] = ()
    deprecated_on: date | None = None
    replacement_id: UUID | None = None
    custom: bool = False
    revision: int = 1

    def price_at(self, at: datetime, owner: CredentialOwner) -> Price | None:
        """What it costs at a moment whoever's key is used; the price that began last counts."""
        for source in _SOURCES[owner]:
            holding = [price for price in self.prices if price.source is source and _holds(price, at)]
            if holding:
                return max(holding, key=_begun)
        return None

    def as_known(self, price: Price | None) -> Model:
        """The model as a deployment has it."""
        return Model(
            id=self.id,
            key=self.key,
            name=self.name,
            context_tokens=self.context_tokens,
            max_output_tokens=self.max_output_tokens or self.context_tokens,
            capabilities=self.capabilities,
            price=price,
        )


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a model can be asked, and with whose key: `secret` is the operator's own text, or a tenant's as it is encrypted."""

    id: UUID
    model_id: UUID
    provider_id: UUID
    wire: Wire | None
    base_url: str
    remote_name: str
    owner: CredentialOwner
    secret: Secret | bytes = Secret("")
    credential_id: UUID | None = None
    region: str | None = None
    weight: int = 1
    order: int = 0
    tpm: int | None = None
    rpm: int | None = None
    drained: bool = False
    lacks_key: bool = False

    @property
    def standing_id(self) -> UUID:
        """As what its health and limits are kept."""
        return standing_of(self.id, self.credential_id)

    @property
    def is_usable(self) -> bool:
        """Whether anything may be asked here."""
        return self.why_not is None

    @property
    def why_not(self) -> str | None:
        """Why nothing may be asked here, in words; None where it may."""
        if self.drained:
            return DRAINED
        return KEY_IS_LACKING if self.lacks_key else None


class StoredRule(msgspec.Struct, frozen=True):
    """After one of these failures, these models are asked."""

    on: frozenset[FailureKind]
    to: tuple[UUID, ...]


class StoredPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant's policy as it is kept: places and models by id, some of which may be gone. Without candidates all places will do."""

    id: UUID
    name: str
    strategy: Strategy = Strategy.PRIORITY
    candidates: tuple[UUID, ...] = ()
    fallbacks: tuple[StoredRule, ...] = ()
    max_retries: int = 2
    sticky_prompt_cache: bool = True
    mid_stream: MidStream = MidStream.TERMINATE
    allowed_regions: tuple[str, ...] = ()
    revision: int = 1


class Offering(msgspec.Struct, frozen=True, kw_only=True):
    """All that one viewer can ask, by id. A place that is drained is listed, and never chosen."""

    providers: Mapping[UUID, ModelProvider]
    models: Mapping[UUID, OfferedModel]
    places: Mapping[UUID, Place]
    default_model_id: UUID
    policies: Mapping[UUID, StoredPolicy] = {}

    def places_of(self, model_id: UUID) -> list[Place]:
        """Every place of a model: one's own before the tenant's before the platform's, then by their order."""
        return in_order(place for place in self.places.values() if place.model_id == model_id)

    def usable(self, model_id: UUID) -> list[Place]:
        """The places of a model that may be chosen."""
        return [place for place in self.places_of(model_id) if place.is_usable]

    def why_not(self, model_id: UUID) -> str:
        """Say in words why a model cannot be asked that has no usable place."""
        places = self.places_of(model_id)
        if not places and self.models[model_id].custom:
            return "no place is named where it runs"
        return " and ".join(sorted({place.why_not for place in places if place.why_not is not None})) or KEY_IS_LACKING

    def price_of(self, model: OfferedModel, at: datetime) -> Price | None:
        """What a model costs this viewer: in the place that comes first, or with a key of the tenant's where there is none."""
        places = self.usable(model.id)
        return model.price_at(at, places[0].owner if places else CredentialOwner.TENANT)

    def candidates(self, model_id: UUID, policy: StoredPolicy | None) -> list[Place]:
        """Where a policy lets a model be asked: at the places that it names, or anywhere if it names none for this model."""
        usable = {place.id: place for place in self.usable(model_id) if place.wire is not None}
        named = [usable[place_id] for place_id in (policy.candidates if policy else ()) if place_id in usable]
        return named or list(usable.values())

    def policy(self, model_id: UUID, policy: StoredPolicy | None, cipher: TenantCipher, at: datetime) -> Policy:
        """Open the keys of all places that a policy may lead to; raises `ContentIsUnreadable`.

        Places that a policy of priorities names are asked in its order; where no policy was named, one's own places come first.
        """
        places = self.candidates(model_id, policy)
        ranked = policy is None or (policy.strategy is Strategy.PRIORITY and policy.candidates)
        turns = _turns(places, named=policy is not None) if ranked else {}
        opened = [self.deployment(place, cipher, at, turn=turns.get(place.id)) for place in places]
        if policy is None:
            return Policy(id=None, name="default", candidates=tuple(opened))
        return Policy(
            id=policy.id,
            name=policy.name,
            candidates=tuple(opened),
            strategy=policy.strategy,
            fallbacks=tuple(self._fallback(rule, cipher, at) for rule in policy.fallbacks),
            max_retries=policy.max_retries,
            sticky=policy.sticky_prompt_cache,
            mid_stream=policy.mid_stream,
            allowed_regions=frozenset(policy.allowed_regions),
        )

    def readers(self, model_id: UUID, policy: StoredPolicy | None, at: datetime) -> Sequence[Model]:
        """The models that may be given a question: what `Policy.readers` says of the opened policy, and no key is opened for it."""
        rules = policy.fallbacks if policy else ()
        wider = [place for rule in rules if FailureKind.CONTEXT_WINDOW in rule.on for place in self._following(rule)]
        found = readers_among(self.candidates(model_id, policy), wider, policy.allowed_regions if policy else ())
        return [self._known(place, at) for place in found]

    def _following(self, rule: StoredRule) -> list[Place]:
        return [place for model_id in rule.to for place in self.candidates(model_id, None)]

    def _fallback(self, rule: StoredRule, cipher: TenantCipher, at: datetime) -> FallbackRule:
        return FallbackRule(on=rule.on, to=tuple(self.deployment(place, cipher, at) for place in self._following(rule)))

    def _known(self, place: Place, at: datetime) -> Model:
        model = self.models[place.model_id]
        return model.as_known(model.price_at(at, place.owner))

    def deployment(self, place: Place, cipher: TenantCipher, at: datetime, *, turn: int | None = None) -> Deployment:
        """Open a place's key; raises `ContentIsUnreadable`."""
        if place.wire is None:
            raise ValueError(f"{self.models[place.model_id].key} is not asked over a wire.")
        return Deployment(
            id=place.id,
            model=self._known(place, at),
            wire=place.wire,
            base_url=place.base_url,
            remote_name=place.remote_name,
            api_key=_opened(place, cipher),
            region=place.region,
            weight=place.weight,
            order=place.order if turn is None else turn,
            tpm=place.tpm,
            rpm=place.rpm,
            owner=place.owner,
            credential_id=place.credential_id,
            tenant_id=None if place.credential_id is None else cipher.tenant_id,
        )


def _turns(places: Sequence[Place], *, named: bool) -> dict[UUID, int]:
    """The turn of each place: its own where a policy names them one by one; else equals of one owner share theirs."""
    ranks = [(index,) if named else (_NEAREST[place.owner], place.order) for index, place in enumerate(places)]
    order = {rank: turn for turn, rank in enumerate(sorted(set(ranks)))}
    return {place.id: order[rank] for place, rank in zip(places, ranks, strict=True)}


def in_order(places: Iterable[Place]) -> list[Place]:
    """Sort places as they are preferred."""
    return sorted(places, key=lambda place: (_NEAREST[place.owner], place.order, place.id))


def _opened(place: Place, cipher: TenantCipher) -> Secret:
    if isinstance(place.secret, Secret):
        return place.secret
    assert place.credential_id is not None, "an encrypted key is a credential's"
    return Secret(cipher.decrypt(*SECRET_PLACE, place.credential_id, place.secret).decode())


def _holds(price: Price, at: datetime) -> bool:
    begun = price.effective_from is None or price.effective_from <= at
    return begun and (price.effective_to is None or at < price.effective_to)


def _begun(price: Price) -> tuple[bool, datetime | None, str]:
    return price.effective_from is not None, price.effective_from, price.version
