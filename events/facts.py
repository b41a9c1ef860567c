"""Facts: what happened in a tenant, typed, in the past tense. They hold ids and words; content is read where it lies, by those who may."""

import functools
import operator
import re
from typing import Any, ClassVar, Final, NamedTuple, Protocol
from uuid import UUID

import msgspec

from db.scopes import Row, Writing
from db.statements import facts


class Actor(Protocol):
    """Whoever did something: a person, perhaps through an API key."""

    @property
    def user_id(self) -> UUID: ...

    @property
    def api_key_id(self) -> UUID | None: ...


class Person(NamedTuple):
    """Somebody who acts before there is a viewer of the tenant."""

    user_id: UUID
    api_key_id: UUID | None = None


class Fact(msgspec.Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """Something that happened. `subject` names the type of what it is about, in the schema's words, and the field with its id."""

    subject: ClassVar[tuple[str, str]]

    @property
    def subject_id(self) -> UUID:
        subject_id: UUID = getattr(self, self.subject[1])
        return subject_id


class Audience(msgspec.Struct, frozen=True):
    """Who saw a chat before it changed or went, in the columns that policies look at."""

    owner_id: UUID
    visibility: str
    participant_ids: list[UUID]
    participant_roles: list[str]


def audience_of(chat: Row) -> Audience:
    """Note who sees a chat by its row."""
    return Audience(**{name: chat[name] for name in Audience.__struct_fields__})


class ChatFact(Fact, frozen=True, kw_only=True):
    subject = ("Chat", "chat_id")
    chat_id: UUID


class ChatCreated(ChatFact, frozen=True): ...


class ChatUpdated(ChatFact, frozen=True, kw_only=True):
    """Its title, visibility, place in the archive or head changed; `before` is given where it may be seen by others now."""

    before: Audience | None = None


class ChatDeleted(ChatFact, frozen=True, kw_only=True):
    before: Audience


class MessageFact(Fact, frozen=True, kw_only=True):
    subject = ("Message", "message_id")
    chat_id: UUID
    message_id: UUID


class MessageCreated(MessageFact, frozen=True): ...


class MessageUpdated(MessageFact, frozen=True): ...


class MessageCompleted(MessageFact, frozen=True):
    """An answer will grow no more, however it ended."""


class MessageRated(MessageFact, frozen=True):
    """Somebody thinks something else of an answer."""


class ContextCompacted(MessageFact, frozen=True):
    """A summary stands for what is before it; it is the message."""


class ChatShareFact(Fact, frozen=True, kw_only=True):
    subject = ("ChatShare", "share_id")
    chat_id: UUID
    share_id: UUID


class ChatShareCreated(ChatShareFact, frozen=True): ...


class ChatShareRevoked(ChatShareFact, frozen=True): ...


class ChatShareExpired(ChatShareFact, frozen=True): ...


class RunFact(Fact, frozen=True, kw_only=True):
    subject = ("Run", "run_id")
    chat_id: UUID
    run_id: UUID


class RunQueued(RunFact, frozen=True): ...


class RunStarted(RunFact, frozen=True): ...


class RunCompleted(RunFact, frozen=True): ...


class RunIncomplete(RunFact, frozen=True): ...


class RunFailed(RunFact, frozen=True): ...


class RunCancelled(RunFact, frozen=True): ...


class MemberFact(Fact, frozen=True, kw_only=True):
    subject = ("TenantMembership", "membership_id")
    membership_id: UUID
    user_id: UUID


class MemberJoined(MemberFact, frozen=True): ...


class MemberUpdated(MemberFact, frozen=True): ...


class MemberRemoved(MemberFact, frozen=True): ...


class InvitationFact(Fact, frozen=True, kw_only=True):
    subject = ("Invitation", "invitation_id")
    invitation_id: UUID


class InvitationCreated(InvitationFact, frozen=True): ...


class InvitationRevoked(InvitationFact, frozen=True): ...


class RoleFact(Fact, frozen=True, kw_only=True):
    subject = ("TenantRole", "role_id")
    role_id: UUID


class RoleCreated(RoleFact, frozen=True): ...


class RoleUpdated(RoleFact, frozen=True): ...


class SessionFact(Fact, frozen=True, kw_only=True):
    subject = ("Session", "session_id")
    session_id: UUID
    user_id: UUID


class SessionOpened(SessionFact, frozen=True): ...


class SessionRevoked(SessionFact, frozen=True, kw_only=True):
    reason: str


class ApiKeyFact(Fact, frozen=True, kw_only=True):
    subject = ("ApiKey", "api_key_id")
    api_key_id: UUID
    user_id: UUID


class ApiKeyCreated(ApiKeyFact, frozen=True): ...


class ApiKeyRotated(ApiKeyFact, frozen=True): ...


class ApiKeyRevoked(ApiKeyFact, frozen=True): ...


class UserFact(Fact, frozen=True, kw_only=True):
    """What a person changes of their account is told in each of their tenants."""

    subject = ("User", "user_id")
    user_id: UUID


class ProfileUpdated(UserFact, frozen=True): ...


class PasswordChanged(UserFact, frozen=True): ...


class EmailVerified(UserFact, frozen=True): ...


class AssistantAudience(msgspec.Struct, frozen=True):
    """To whom an assistant was given before it changed, in the columns that policies look at."""

    owner_id: UUID
    grants: list[dict[str, Any]]


class AssistantFact(Fact, frozen=True, kw_only=True):
    subject = ("Assistant", "assistant_id")
    assistant_id: UUID


class AssistantCreated(AssistantFact, frozen=True): ...


class AssistantUpdated(AssistantFact, frozen=True, kw_only=True):
    """Its name or whom it is given to changed; `before` is given where others may see it now."""

    before: AssistantAudience | None = None


class AssistantVersionFact(AssistantFact, frozen=True, kw_only=True):
    subject = ("AssistantVersion", "version_id")
    version_id: UUID


class AssistantVersionCreated(AssistantVersionFact, frozen=True): ...


class AssistantVersionReleased(AssistantVersionFact, frozen=True): ...


class AssistantVersionWithdrawn(AssistantVersionFact, frozen=True): ...


class ModelsFact(Fact, frozen=True):
    """What a tenant can ask changed."""


class ProviderFact(ModelsFact, frozen=True, kw_only=True):
    subject = ("Provider", "provider_id")
    provider_id: UUID


class ProviderCreated(ProviderFact, frozen=True): ...


class ProviderUpdated(ProviderFact, frozen=True): ...


class ModelFact(ModelsFact, frozen=True, kw_only=True):
    subject = ("Model", "model_id")
    model_id: UUID


class ModelCreated(ModelFact, frozen=True): ...


class ModelUpdated(ModelFact, frozen=True): ...


class ModelPriceSet(ModelFact, frozen=True): ...


class DeploymentFact(ModelsFact, frozen=True, kw_only=True):
    subject = ("ModelDeployment", "deployment_id")
    deployment_id: UUID


class DeploymentDrained(DeploymentFact, frozen=True): ...


class DeploymentResumed(DeploymentFact, frozen=True): ...


class RoutingPolicyFact(ModelsFact, frozen=True, kw_only=True):
    subject = ("RoutingPolicy", "policy_id")
    policy_id: UUID


class RoutingPolicyCreated(RoutingPolicyFact, frozen=True): ...


class RoutingPolicyUpdated(RoutingPolicyFact, frozen=True): ...


class ProviderCredentialFact(Fact, frozen=True, kw_only=True):
    """A key changed: the tenant's, or that of the member whose `user_id` is given."""

    subject = ("ProviderCredential", "credential_id")
    credential_id: UUID
    provider_id: UUID
    user_id: UUID | None = None


class ProviderCredentialCreated(ProviderCredentialFact, frozen=True): ...


class ProviderCredentialRotated(ProviderCredentialFact, frozen=True): ...


class ProviderCredentialDeleted(ProviderCredentialFact, frozen=True): ...


class TenantUpdated(Fact, frozen=True, kw_only=True):
    """A tenant's name or settings changed."""

    subject = ("Tenant", "tenant_id")
    tenant_id: UUID


class DocumentManifestFact(Fact, frozen=True, kw_only=True):
    subject = ("DocumentManifest", "manifest_id")
    manifest_id: UUID


class DocumentManifestPublished(DocumentManifestFact, frozen=True): ...


class DocumentManifestDeleted(DocumentManifestFact, frozen=True): ...


class JobUpdated(Fact, frozen=True, kw_only=True):
    """A job was added, taken, is further, or has ended; `user_id` began it."""

    subject = ("Job", "job_id")
    job_id: UUID
    user_id: UUID | None = None


ENDS_OF_RUNS: Final[dict[str, type[RunFact]]] = {
    "COMPLETED": RunCompleted,
    "INCOMPLETE": RunIncomplete,
    "FAILED": RunFailed,
    "CANCELLED": RunCancelled,
}


def _leaves(family: type[Fact]) -> list[type[Fact]]:
    below = family.__subclasses__()
    return [leaf for one in below for leaf in _leaves(one)] if below else [family]


def word_of(kind: type[Fact]) -> str:
    """Spell a fact's type as the API does: `CHAT_CREATED`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.__name__).upper()


TYPES: Final = {word_of(kind): kind for kind in _leaves(Fact)}
_DECODER: Final = msgspec.json.Decoder(functools.reduce(operator.or_, TYPES.values()))
_ENCODER: Final = msgspec.json.Encoder()


def decoded(details: str) -> Any:
    """Read a fact back; None where a newer version of PENNY wrote it, which this one has nothing to say about."""
    try:
        return _DECODER.decode(details)
    except msgspec.ValidationError:
        return None


async def record(scope: Writing, tenant_id: UUID, *happened: Fact, by: Actor | None = None) -> None:
    """Write facts in the transaction of their change: they are told when it commits, and never were if it does not."""
    rows = [
        facts.NewFact(
            word_of(type(fact)),
            fact.subject_id,
            getattr(fact, "chat_id", None),
            getattr(fact, "user_id", None),
            _ENCODER.encode(fact).decode(),
        )
        for fact in happened
    ]
    if rows:
        actor_id, actor_key_id = (None, None) if by is None else (by.user_id, by.api_key_id)
        await facts.create(scope, tenant_id, rows, actor_id=actor_id, actor_key_id=actor_key_id)
        scope.tell(tenant_id)
