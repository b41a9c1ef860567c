"""Invitations: asking somebody to join a tenant in a role, once, by mail."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from auth.mail_queue import MailQueue
from auth.throttle import Throttle
from auth.viewers import Viewer
from db.scopes import Row, SystemScopes, TenantScopes
from settings import Settings


class Invitations:
    """Rows: tenant_id id email role_id invited_by created_at expires_at accepted_at revoked_at (no hash)."""

    def __init__(
        self, *, scopes: TenantScopes, system: SystemScopes, throttle: Throttle, mail_queue: MailQueue, settings: Settings,
        now: Callable[[], datetime] = ...,
    ) -> None:
        raise NotImplementedError

    async def invite(self, viewer: Viewer, *, email: str, role_id: UUID) -> Row:
        raise NotImplementedError

    async def accept(self, viewer: Viewer, token: str) -> Row:
        """Return the membership's row; its tenant is the invitation's, not the viewer's."""
        raise NotImplementedError

    async def revoke(self, viewer: Viewer, invitation_id: UUID) -> Row:
        raise NotImplementedError

    async def page(self, viewer: Viewer, *, limit: int, beyond: UUID | None = None, newest_first: bool = True) -> list[Row]:
        """Open invitations by id (creation)."""
        raise NotImplementedError
