"""The kinds of events, in the words of the facts that they tell of."""

import enum
from collections.abc import Sequence
from typing import Final

import strawberry

from events.facts import Fact, word_of


@strawberry.enum(description="What happened.")
class EventType(enum.Enum):
    CHAT_CREATED = strawberry.enum_value("CHAT_CREATED", description="A chat was begun.")
    CHAT_UPDATED = strawberry.enum_value("CHAT_UPDATED", description="A chat's title, visibility, metadata or archiving changed.")
    CHAT_DELETED = strawberry.enum_value("CHAT_DELETED", description="A chat was deleted.")
    MESSAGE_CREATED = strawberry.enum_value("MESSAGE_CREATED", description="A message was written, or the place for an answer was made.")
    MESSAGE_UPDATED = strawberry.enum_value("MESSAGE_UPDATED", description="A message changed.")
    MESSAGE_COMPLETED = strawberry.enum_value("MESSAGE_COMPLETED", description="An answer will grow no more, however it ended.")
    MESSAGE_RATED = strawberry.enum_value("MESSAGE_RATED", description="Somebody rated an answer, or takes that back.")
    CONTEXT_COMPACTED = strawberry.enum_value("CONTEXT_COMPACTED", description="A summary stands for what was said before it.")
    CHAT_SHARE_CREATED = strawberry.enum_value("CHAT_SHARE_CREATED", description="A link to a chat was made.")
    CHAT_SHARE_REVOKED = strawberry.enum_value("CHAT_SHARE_REVOKED", description="A link to a chat was revoked.")
    CHAT_SHARE_EXPIRED = strawberry.enum_value(
        "CHAT_SHARE_EXPIRED", description="A link to a chat shows nothing any more: its time is over."
    )
    RUN_QUEUED = strawberry.enum_value("RUN_QUEUED", description="An answer was asked for.")
    RUN_STARTED = strawberry.enum_value("RUN_STARTED", description="A worker began an answer.")
    RUN_COMPLETED = strawberry.enum_value("RUN_COMPLETED", description="An answer is whole.")
    RUN_INCOMPLETE = strawberry.enum_value("RUN_INCOMPLETE", description="An answer ended early; what was said is kept.")
    RUN_FAILED = strawberry.enum_value("RUN_FAILED", description="An answer failed; what was said before is kept.")
    RUN_CANCELLED = strawberry.enum_value("RUN_CANCELLED", description="Somebody stopped an answer.")
    MEMBER_JOINED = strawberry.enum_value("MEMBER_JOINED", description="Somebody joined the tenant.")
    MEMBER_UPDATED = strawberry.enum_value("MEMBER_UPDATED", description="A member has another role, or was disabled or enabled.")
    MEMBER_REMOVED = strawberry.enum_value("MEMBER_REMOVED", description="A member left or was removed.")
    INVITATION_CREATED = strawberry.enum_value("INVITATION_CREATED", description="Somebody was invited.")
    INVITATION_REVOKED = strawberry.enum_value("INVITATION_REVOKED", description="An invitation was taken back.")
    ROLE_CREATED = strawberry.enum_value("ROLE_CREATED", description="A role was defined.")
    ROLE_UPDATED = strawberry.enum_value("ROLE_UPDATED", description="A role's name or scopes changed.")
    SESSION_OPENED = strawberry.enum_value("SESSION_OPENED", description="Somebody signed in.")
    SESSION_REVOKED = strawberry.enum_value("SESSION_REVOKED", description="A session was ended.")
    API_KEY_CREATED = strawberry.enum_value("API_KEY_CREATED", description="An API key was made.")
    API_KEY_ROTATED = strawberry.enum_value("API_KEY_ROTATED", description="An API key has a new secret.")
    API_KEY_REVOKED = strawberry.enum_value("API_KEY_REVOKED", description="An API key was ended.")
    PROFILE_UPDATED = strawberry.enum_value("PROFILE_UPDATED", description="A person's name, language or picture changed.")
    PASSWORD_CHANGED = strawberry.enum_value("PASSWORD_CHANGED", description="A person has another password.")
    EMAIL_VERIFIED = strawberry.enum_value("EMAIL_VERIFIED", description="A person confirmed their e-mail address.")
    ASSISTANT_CREATED = strawberry.enum_value("ASSISTANT_CREATED", description="An assistant was made.")
    ASSISTANT_UPDATED = strawberry.enum_value("ASSISTANT_UPDATED", description="An assistant's name, or whom it is given to, changed.")
    ASSISTANT_VERSION_CREATED = strawberry.enum_value(
        "ASSISTANT_VERSION_CREATED", description="Somebody wrote a new version of an assistant."
    )
    ASSISTANT_VERSION_RELEASED = strawberry.enum_value(
        "ASSISTANT_VERSION_RELEASED", description="A version of an assistant was released, and is used from now on."
    )
    ASSISTANT_VERSION_WITHDRAWN = strawberry.enum_value(
        "ASSISTANT_VERSION_WITHDRAWN", description="A version of an assistant was withdrawn."
    )
    PROVIDER_CREATED = strawberry.enum_value("PROVIDER_CREATED", description="The tenant has a new model provider of its own.")
    PROVIDER_UPDATED = strawberry.enum_value("PROVIDER_UPDATED", description="A model provider of the tenant's own changed.")
    MODEL_CREATED = strawberry.enum_value("MODEL_CREATED", description="The tenant has a new model of its own.")
    MODEL_UPDATED = strawberry.enum_value("MODEL_UPDATED", description="A model of the tenant's own, or where it is asked, changed.")
    MODEL_PRICE_SET = strawberry.enum_value(
        "MODEL_PRICE_SET", description="A model costs the tenant something else, now or from some moment on."
    )
    DEPLOYMENT_DRAINED = strawberry.enum_value("DEPLOYMENT_DRAINED", description="Nothing more is asked of a deployment.")
    DEPLOYMENT_RESUMED = strawberry.enum_value("DEPLOYMENT_RESUMED", description="A deployment is asked again.")
    ROUTING_POLICY_CREATED = strawberry.enum_value("ROUTING_POLICY_CREATED", description="A routing policy was defined.")
    ROUTING_POLICY_UPDATED = strawberry.enum_value("ROUTING_POLICY_UPDATED", description="A routing policy changed.")
    PROVIDER_CREDENTIAL_CREATED = strawberry.enum_value(
        "PROVIDER_CREDENTIAL_CREATED", description="A key at a model provider was set: the tenant's, or a member's own."
    )
    PROVIDER_CREDENTIAL_ROTATED = strawberry.enum_value(
        "PROVIDER_CREDENTIAL_ROTATED", description="A key at a model provider has a new secret."
    )
    PROVIDER_CREDENTIAL_DELETED = strawberry.enum_value("PROVIDER_CREDENTIAL_DELETED", description="A key at a model provider was deleted.")
    TENANT_UPDATED = strawberry.enum_value("TENANT_UPDATED", description="The tenant's name or settings changed.")
    DOCUMENT_MANIFEST_PUBLISHED = strawberry.enum_value(
        "DOCUMENT_MANIFEST_PUBLISHED", description="What a version of a client sends was published."
    )
    DOCUMENT_MANIFEST_DELETED = strawberry.enum_value(
        "DOCUMENT_MANIFEST_DELETED", description="What a version of a client sends was taken back."
    )


_BY_WORD: Final = {str(kind.value): kind for kind in EventType}


def types_of(facts: Sequence[type[Fact]]) -> list[EventType]:
    """Name kinds of facts as the schema does; those that no list of events shows have no name."""
    return [_BY_WORD[word] for word in map(word_of, facts) if word in _BY_WORD]
