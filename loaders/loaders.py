"""The questions that one operation may ask."""

from collections.abc import Hashable
from typing import TypeVar
from uuid import UUID

from db.scopes import Row, TenantScopes
from loaders import api_keys, invitations, members, roles, sessions, tenants, users
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
