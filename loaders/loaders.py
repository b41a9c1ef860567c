"""The questions that one operation may ask."""

from collections.abc import Hashable
from typing import TypeVar
from uuid import UUID

from db.scopes import Row, TenantScopes
from loaders import api_keys, chats, invitations, members, messages, roles, runs, sessions, tenants, users
from loaders.questions import Ask, Question

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Loaders:
    """All questions, bound to a tenant; what one has answered it keeps until the operation ends."""

    def __init__(self, scopes: TenantScopes, tenant_id: UUID) -> None:
        def question(ask: Ask[K, V]) -> Question[K, V]:
            return Question(ask, scopes, tenant_id)

        self.user_by_id: Question[UUID, Row] = question(users.user_by_id)
        self.tenant_by_id: Question[UUID, Row] = question(tenants.tenant_by_id)
        self.role_by_id: Question[UUID, Row] = question(roles.role_by_id)
        self.membership_by_id: Question[UUID, Row] = question(members.membership_by_id)
        self.membership_by_user: Question[UUID, Row] = question(members.membership_by_user)
        self.invitation_by_id: Question[UUID, Row] = question(invitations.invitation_by_id)
        self.session_by_id: Question[UUID, Row] = question(sessions.session_by_id)
        self.api_key_by_id: Question[UUID, Row] = question(api_keys.api_key_by_id)
        self.chat_by_id: Question[UUID, Row] = question(chats.chat_by_id)
        self.message_by_id: Question[UUID, Row] = question(messages.message_by_id)
        self.children_by_message: Question[UUID, list[Row]] = question(messages.children_by_message)
        self.messages_by_branch: Question[messages.BranchKey, list[Row]] = question(messages.messages_by_branch)
        self.run_by_id: Question[UUID, Row] = question(runs.run_by_id)
        self.open_runs_by_chat: Question[UUID, list[Row]] = question(runs.open_runs_by_chat)
        self.runs_by_chat: Question[runs.RunsKey, list[Row]] = question(runs.runs_by_chat)
