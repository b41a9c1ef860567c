"""The questions that one operation may ask."""

from collections.abc import Hashable
from typing import Generic, TypeVar
from uuid import UUID

from db.scopes import Reads
from loaders import (
    api_keys,
    assistants,
    branches,
    chats,
    documents,
    events,
    feedback,
    invitations,
    jobs,
    members,
    messages,
    models,
    participants,
    roles,
    runs,
    sessions,
    shares,
    tenant_keys,
    tenants,
    users,
)
from loaders.questions import Ask, Question

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Asked(Generic[K, V]):
    """A question that is made when it is first asked: most operations ask few."""

    def __init__(self, ask: Ask[K, V]) -> None:
        self._ask = ask

    def __set_name__(self, owner: type["Loaders"], name: str) -> None:
        self._name = name

    def __get__(self, loaders: "Loaders", owner: type["Loaders"]) -> Question[K, V]:
        question = Question(self._ask, loaders.scopes, loaders.tenant_id)
        # From now on Python finds the question itself and does not come here.
        loaders.__dict__[self._name] = question
        return question


class Loaders:
    """All questions, bound to a tenant; what one has answered it keeps until the operation ends."""

    def __init__(self, scopes: Reads, tenant_id: UUID) -> None:
        self.scopes = scopes
        self.tenant_id = tenant_id

    user_by_id = _Asked(users.user_by_id)
    tenant_by_id = _Asked(tenants.tenant_by_id)
    tenant_key_by_id = _Asked(tenant_keys.tenant_key_by_id)
    tenant_key_by_version = _Asked(tenant_keys.tenant_key_by_version)
    role_by_id = _Asked(roles.role_by_id)
    membership_by_id = _Asked(members.membership_by_id)
    membership_by_user = _Asked(members.membership_by_user)
    invitation_by_id = _Asked(invitations.invitation_by_id)
    session_by_id = _Asked(sessions.session_by_id)
    api_key_by_id = _Asked(api_keys.api_key_by_id)
    manifest_by_id = _Asked(documents.manifest_by_id)
    document_by_id = _Asked(documents.document_by_id)
    documents_by_manifest = _Asked(documents.documents_by_manifest)
    last_use_by_manifest = _Asked(documents.last_use_by_manifest)
    calls_by_document = _Asked(documents.calls_by_document)
    assistant_by_id = _Asked(assistants.assistant_by_id)
    assistant_version_by_id = _Asked(assistants.assistant_version_by_id)
    versions_by_assistant = _Asked(assistants.versions_by_assistant)
    chat_by_id = _Asked(chats.chat_by_id)
    used_by_chat = _Asked(chats.used_by_chat)
    participant_by_id = _Asked(participants.participant_by_id)
    participants_by_chat = _Asked(participants.participants_by_chat)
    feedback_by_message = _Asked(feedback.feedback_by_message)
    branch_by_id = _Asked(branches.branch_by_id)
    branches_by_chat = _Asked(branches.branches_by_chat)
    share_by_id = _Asked(shares.share_by_id)
    shares_by_chat = _Asked(shares.shares_by_chat)
    message_by_id = _Asked(messages.message_by_id)
    children_by_message = _Asked(messages.children_by_message)
    first_messages_by_chat = _Asked(messages.first_messages_by_chat)
    messages_by_branch = _Asked(messages.messages_by_branch)
    event_by_id = _Asked(events.event_by_id)
    job_by_id = _Asked(jobs.job_by_id)
    run_by_id = _Asked(runs.run_by_id)
    attempts_by_run = _Asked(runs.attempts_by_run)
    open_runs_by_chat = _Asked(runs.open_runs_by_chat)
    runs_by_chat = _Asked(runs.runs_by_chat)
    own_models = _Asked(models.own_models)
    credential_by_id = _Asked(models.credential_by_id)
    credentials_by_user = _Asked(models.credentials_by_user)
