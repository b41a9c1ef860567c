"""Who is told of which fact that happened outside of chats, and as what: pure functions over a viewer and a fact."""

from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

from auth.policies.api_keys import can_see_all_keys
from auth.policies.documents import can_administer_documents
from auth.policies.models import can_read_models, can_see_credential
from auth.viewers import Viewer
from events.facts import (
    ApiKeyFact,
    AssistantFact,
    DocumentManifestFact,
    Fact,
    InvitationFact,
    JobUpdated,
    MemberFact,
    ModelsFact,
    ProfileUpdated,
    ProviderCredentialFact,
    RoleFact,
    SessionFact,
    TenantUpdated,
    UserFact,
)


def _own(viewer: Viewer, fact: Any) -> bool:
    return bool(fact.user_id == viewer.user_id)


def _sees_members(viewer: Viewer, _: object = None) -> bool:
    return viewer.may("members:read")


def _sees_credential(viewer: Viewer, fact: ProviderCredentialFact) -> bool:
    return can_see_credential(viewer, {"user_id": fact.user_id})


# A fact is judged by the first of its families that stands here.
RULES: Final[Mapping[type[Fact], Callable[[Viewer, Any], bool]]] = {
    MemberFact: lambda viewer, fact: _own(viewer, fact) or _sees_members(viewer),
    InvitationFact: _sees_members,
    RoleFact: lambda viewer, fact: fact.role_id == viewer.role_id or _sees_members(viewer),
    SessionFact: _own,
    ApiKeyFact: lambda viewer, fact: _own(viewer, fact) or can_see_all_keys(viewer),
    ProfileUpdated: lambda viewer, fact: _own(viewer, fact) or _sees_members(viewer),
    UserFact: _own,
    ModelsFact: lambda viewer, _: can_read_models(viewer),
    # The tenant's keys say what can be asked at a provider; a member's own are nobody else's business.
    ProviderCredentialFact: lambda viewer, fact: _sees_credential(viewer, fact) or (fact.user_id is None and can_read_models(viewer)),
    TenantUpdated: lambda _, __: True,
    DocumentManifestFact: lambda viewer, _: can_administer_documents(viewer),
    # `jobEvents` tells of jobs.
    JobUpdated: lambda _, __: False,
}


def can_hear(viewer: Viewer, fact: Fact) -> bool:
    """Whether a fact is of the viewer's, or of something that they see."""
    rule = next(rule for family, rule in RULES.items() if isinstance(fact, family))
    return rule(viewer, fact)


def shown_as(viewer: Viewer, fact: Fact) -> tuple[str, UUID]:
    """Name what changed for a viewer, by its type in the schema and its id."""
    if isinstance(fact, AssistantFact):
        return "Assistant", fact.assistant_id
    if isinstance(fact, ProviderCredentialFact) and not _sees_credential(viewer, fact):
        return "Provider", fact.provider_id
    return fact.subject[0], fact.subject_id
