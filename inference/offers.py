"""What the members of a tenant can ask, remembered for a while, and what becomes of a wish to ask a model."""

import contextlib
import time
from collections import OrderedDict, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec

from auth.encryption.keyring import Keyring
from auth.viewers import Viewer
from db.scopes import TenantScopes, Writing
from db.statements import models
from errors import Conflict, Invalid, NotFound
from events.revocations import Revocations, Revoked
from inference.attempts import Attempt
from inference.deployments import Capability, Model, Policy
from inference.holdings import with_own
from inference.offerings import OfferedModel, Offering, Place, StoredPolicy
from settings import Settings
from telemetry.metrics import LOOKUPS


class ModelIsUnavailable(Conflict):
    """There is such a model, and nobody's key or no place to ask it; or it was asked in vain, as `attempts` say."""

    code = "MODEL_UNAVAILABLE"

    def __init__(self, message: str, *, path: Sequence[str] = (), attempts: Sequence[Attempt] = ()) -> None:
        super().__init__(message, path=path)
        self.attempts = tuple(attempts)


class Models:
    """Answers what a member of a tenant can ask. Keys stay encrypted in memory; they are opened for the run that needs them.

    A process keeps what it read of at most `model_cache_members` members for `model_cache_seconds`; `forget` must hear everything
    that `Revocations.listen` yields. Ask before a database scope is opened.
    """

    def __init__(  # noqa: PLR0913 - what it reads with, and what it tells
        self,
        platform: Offering,
        *,
        scopes: TenantScopes,
        keyring: Keyring,
        revocations: Revocations,
        settings: Settings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.platform = platform
        self._scopes = scopes
        self._keyring = keyring
        self._revocations = revocations
        self._life = settings.model_cache_seconds
        self._retries = settings.model_retries
        self._most = settings.model_cache_members
        self._clock = clock
        self._kept: OrderedDict[tuple[UUID, UUID], tuple[float, Offering]] = OrderedDict()
        self._members: defaultdict[UUID, set[UUID]] = defaultdict(set)
        self._generation = 0

    async def offering(self, tenant_id: UUID, user_id: UUID) -> Offering:
        """All that this member can ask, as it was a moment ago."""
        kept = self._kept.get((tenant_id, user_id))
        if kept is not None and kept[0] > self._clock():
            self._kept.move_to_end((tenant_id, user_id))
            LOOKUPS.add(1, "models", "hit")
            return kept[1]
        LOOKUPS.add(1, "models", "miss")
        generation = self._generation
        offering = await self.offering_now(tenant_id, user_id)
        if generation == self._generation:
            self._keep(tenant_id, user_id, offering)
        return offering

    async def offering_now(self, tenant_id: UUID, user_id: UUID) -> Offering:
        """All that this member can ask, read anew."""
        async with self._scopes.reading(tenant_id) as scope:
            own = await models.all_of_member(scope, tenant_id, user_id)
        return with_own(self.platform, own, tenant_id)

    async def find(self, tenant_id: UUID, user_id: UUID, model_id: UUID) -> Model | None:
        """A model with the price that is in force for this member; None where there is none of this id."""
        offering = await self.offering(tenant_id, user_id)
        model = offering.models.get(model_id)
        return None if model is None else model.as_known(offering.price_of(model, datetime.now(UTC)))

    async def usable(self, tenant_id: UUID, user_id: UUID, model_id: UUID | None = None, policy_id: UUID | None = None) -> UUID:
        """Which model will answer: the one that is asked for, or else the policy's first, or else the platform's own.

        Raises what `check_policy` and `check_named` raise, for a model that nobody named as well.
        """
        offering = await self.offering(tenant_id, user_id)
        policy = check_policy(offering, policy_id)
        wanted = model_id or _first(offering, policy)
        check_named(offering, wanted, policy)
        return wanted

    async def policy_for(self, tenant_id: UUID, user_id: UUID, model_id: UUID | None = None, policy_id: UUID | None = None) -> Policy:
        """Where a run may ask its model, with keys in hand.

        Raises `ModelIsUnavailable` where nothing can be asked any more, as when the policy that says where is gone.
        """
        offering = await self.offering(tenant_id, user_id)
        if policy_id is not None and policy_id not in offering.policies:
            offering = await self.offering_now(tenant_id, user_id)  # it may be newer than what is remembered
            if policy_id not in offering.policies:
                raise ModelIsUnavailable("The routing policy is gone that says where the model may be asked.")
        policy = check_policy(offering, policy_id)
        cipher = await self._keyring.cipher(tenant_id)
        chosen = offering.policy(model_id or _first(offering, policy), policy, cipher, datetime.now(UTC))
        if not chosen.candidates:
            raise ModelIsUnavailable("The model cannot be asked any more.")
        return chosen if policy is not None else msgspec.structs.replace(chosen, max_retries=self._retries)

    async def unasked(self, tenant_id: UUID, user_id: UUID, model_id: UUID | None, policy_id: UUID | None) -> list[tuple[Place, str, str]]:
        """Return where nothing can be asked, each with its model's key and why: of the places of a model or, where none is named, of
        those of a policy and of the model that answers by default.
        """
        offering = await self.offering(tenant_id, user_id)
        policy = None if policy_id is None else offering.policies.get(policy_id)
        places = {place.id: place for place in offering.places_of(model_id or offering.default_model_id)}
        if model_id is None and policy is not None:
            places = {place_id: offering.places[place_id] for place_id in policy.candidates if place_id in offering.places} | places
        return [(place, offering.models[place.model_id].key, place.why_not) for place in places.values() if place.why_not is not None]

    @contextlib.asynccontextmanager
    async def changing(self, viewer: Viewer) -> AsyncIterator[tuple[Writing, Offering]]:
        """Change what the tenant can ask, alone: a scope, and all that there is while it is open. Then every process hears of it."""
        async with self._scopes.writing(viewer.tenant_id) as scope:
            await models.lock(scope, viewer.tenant_id)
            own = await models.all_of_member(scope, viewer.tenant_id, viewer.user_id)
            yield scope, with_own(self.platform, own, viewer.tenant_id)
        revoked = Revoked(kind="models", tenant_id=viewer.tenant_id, id=viewer.tenant_id, reason="MODELS_CHANGED")
        self.forget(revoked)
        await self._revocations.publish(revoked)

    def forget(self, revoked: Revoked | None) -> None:
        """Drop what was read of a tenant whose models changed; of all tenants for None."""
        if revoked is not None and revoked.kind != "models":
            return
        self._generation += 1
        if revoked is None:
            self._kept.clear()
            self._members.clear()
            return
        for user_id in self._members.pop(revoked.tenant_id, ()):
            self._kept.pop((revoked.tenant_id, user_id), None)

    def _keep(self, tenant_id: UUID, user_id: UUID, offering: Offering) -> None:
        self._kept[tenant_id, user_id] = (self._clock() + self._life, offering)
        self._kept.move_to_end((tenant_id, user_id))
        self._members[tenant_id].add(user_id)
        if len(self._kept) > self._most:
            (tenant_id, user_id), _ = self._kept.popitem(last=False)
            self._members[tenant_id].discard(user_id)
            if not self._members[tenant_id]:
                del self._members[tenant_id]


def check_policy(offering: Offering, policy_id: UUID | None) -> StoredPolicy | None:
    """Find the policy that is named, if one is; raises `NotFound`."""
    policy = None if policy_id is None else offering.policies.get(policy_id)
    if policy_id is not None and policy is None:
        raise NotFound("There is no RoutingPolicy with this id.", path=("routingPolicyId",))
    return policy


def readers_of(offering: Offering, model_id: UUID | None, policy: StoredPolicy | None) -> Sequence[Model]:
    """The models that may be given a question which a model is asked, or the one that answers where none is named."""
    return offering.readers(model_id or _first(offering, policy), policy, datetime.now(UTC))


def _first(offering: Offering, policy: StoredPolicy | None) -> UUID:
    """The model that is asked where none is named."""
    places = [offering.places[place_id] for place_id in (policy.candidates if policy else ()) if place_id in offering.places]
    return next((place.model_id for place in places if place.is_usable), offering.default_model_id)


def check_answers(offering: Offering, model_id: UUID, *, path: Sequence[str]) -> OfferedModel:
    """Find a model that answers; raises `NotFound` where there is none, `Invalid` for one that makes vectors."""
    model = offering.models.get(model_id)
    if model is None:
        raise NotFound("There is no Model with this id.", path=path)
    if Capability.TEXT not in model.capabilities:
        raise Invalid(f"{model.name} does not answer: it makes vectors.", path=path, constraint="capability=TEXT")
    return model


def check_named(offering: Offering, model_id: UUID, policy: StoredPolicy | None) -> None:
    """Check a model that somebody named; raises what `check_answers` raises, and `ModelIsUnavailable` for one that cannot be asked."""
    model = check_answers(offering, model_id, path=("modelIds",))
    if not offering.candidates(model.id, policy):
        raise ModelIsUnavailable(f"{model.name} cannot be asked: {offering.why_not(model.id)}.", path=("modelIds",))


def check_unnamed(offering: Offering, model_id: UUID | None, policy: StoredPolicy | None, *, path: Sequence[str] = ()) -> None:
    """Check the model that answers where nobody named one: an assistant's, or the one by default; raises `ModelIsUnavailable`."""
    model = offering.models.get(wanted := model_id or _first(offering, policy))
    if model is None:
        raise ModelIsUnavailable("The assistant's model is not there any more.", path=path)
    if not offering.candidates(wanted, policy):
        raise ModelIsUnavailable(f"{model.name} would answer, and cannot be asked: {offering.why_not(wanted)}.", path=path)
