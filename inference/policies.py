"""A tenant's routing policies: which places are asked in which order, and what follows a failure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from auth.names import checked_name
from auth.viewers import Viewer
from db.statements import models
from db.tables.models import RoutingPolicy
from errors import Conflict, Invalid, NotFound
from events.facts import RoutingPolicyCreated, RoutingPolicyUpdated, record
from inference.deployments import Capability, MidStream, Strategy
from inference.models import FailureKind
from inference.offerings import Offering
from inference.offers import Models
from inference.rules import check_revision, check_room, checked_number, checked_region
from settings import Settings

MOST_RETRIES: Final = 10
_MOST_CANDIDATES: Final = 100
_MOST_RULES: Final = 20
_MOST_REGIONS: Final = 50


@dataclass(frozen=True, kw_only=True)
class RuleDraft:
    on: Sequence[FailureKind]
    to: Sequence[UUID]


@dataclass(frozen=True, kw_only=True)
class PolicyDraft:
    """A policy; `id` names one to define anew. Without candidates every place of the model that is asked will do."""

    name: str
    strategy: Strategy = Strategy.PRIORITY
    candidates: Sequence[UUID] = ()
    fallbacks: Sequence[RuleDraft] = ()
    max_retries: int = 2
    sticky_prompt_cache: bool = True
    mid_stream: MidStream = MidStream.TERMINATE
    allowed_regions: Sequence[str] = ()
    id: UUID | None = None
    expected_revision: int | None = None


class RoutingPolicies:
    """Defines policies, for viewers that may."""

    def __init__(self, models: Models, settings: Settings) -> None:
        self._models = models
        self._most = settings.tenant_policies

    async def put(self, viewer: Viewer, draft: PolicyDraft) -> UUID:
        """Define a policy; runs that have begun keep the one that they began with. Returns its id."""
        name = _checked(draft)
        async with self._models.changing(viewer) as (scope, offering):
            current = None if draft.id is None else offering.policies.get(draft.id)
            if draft.id is not None and current is None:
                raise NotFound("There is no RoutingPolicy with this id.", path=("id",))
            if current is None:
                check_room(len(offering.policies), self._most, "routing policies")
            else:
                check_revision(draft.expected_revision, current.revision)
            if any(one.name == name and one.id != draft.id for one in offering.policies.values()):
                raise Conflict("There is a routing policy of this name already.", path=("name",))
            _check_ids(offering, draft)
            policy = RoutingPolicy(
                tenant_id=viewer.tenant_id,
                id=draft.id or uuid7(),
                name=name,
                strategy=draft.strategy.value,
                candidates=list(dict.fromkeys(draft.candidates)),
                fallbacks=_written(draft.fallbacks),
                max_retries=draft.max_retries,
                sticky_prompt_cache=draft.sticky_prompt_cache,
                mid_stream=draft.mid_stream.value,
                allowed_regions=list(dict.fromkeys(draft.allowed_regions)),
                updated_at=datetime.now(UTC),
                revision=current.revision + 1 if current else 1,
            )
            await models.put(scope, policy)
            await record(
                scope, viewer.tenant_id, (RoutingPolicyUpdated if current else RoutingPolicyCreated)(policy_id=policy.id), by=viewer
            )
            return policy.id


def _checked(draft: PolicyDraft) -> str:
    checked_number(draft.max_retries, 0, MOST_RETRIES, path=("maxRetries",))
    limits = (("candidates", _MOST_CANDIDATES), ("fallbacks", _MOST_RULES), ("allowed_regions", _MOST_REGIONS))
    for field, most in limits:
        if len(getattr(draft, field)) > most:
            raise Invalid(f"A policy has at most {most} of these.", path=(_spelled(field),), constraint=f"max_items={most}")
    for region in draft.allowed_regions:
        checked_region(region, path=("allowedRegions",))
    for rule in draft.fallbacks:
        if not rule.on or not 1 <= len(rule.to) <= _MOST_RULES:
            message = f"A rule names a kind of failure, and 1 to {_MOST_RULES} models."
            raise Invalid(message, path=("fallbacks",), constraint=f"items=1..{_MOST_RULES}")
    return checked_name(draft.name)


def _spelled(field: str) -> str:
    first, *rest = field.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _check_ids(offering: Offering, draft: PolicyDraft) -> None:
    if not offering.places.keys() >= set(draft.candidates):
        raise NotFound("There is no ModelDeployment with this id.", path=("candidates",))
    for model_id in (model_id for rule in draft.fallbacks for model_id in rule.to):
        if (model := offering.models.get(model_id)) is None:
            raise NotFound("There is no Model with this id.", path=("fallbacks", "to"))
        if Capability.TEXT not in model.capabilities:
            raise Invalid(f"{model.name} does not answer.", path=("fallbacks", "to"), constraint="capability=TEXT")


def _written(rules: Sequence[RuleDraft]) -> str:
    plain = [{"on": sorted(set(rule.on)), "to": list(dict.fromkeys(rule.to))} for rule in rules]
    return msgspec.json.encode(plain).decode()
