"""Sessions: opened at sign-in, checked on every request, ended at once everywhere."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from auth.background import Background
from auth.viewers import Viewer
from db.scopes import Row, SystemScopes, TenantScopes
from events.revocations import Revocations, Revoked
from settings import Settings

Transport = Literal["COOKIE", "BEARER"]


@dataclass(frozen=True)
class OpenedSession:
    viewer: Viewer
    session: Row
    token: str = field(repr=False)


class Sessions:
    def __init__(
        self, *, scopes: TenantScopes, system: SystemScopes, revocations: Revocations, background: Background, settings: Settings,
        now: Callable[[], datetime] = ...,
    ) -> None:
        raise NotImplementedError

    async def open(self, user_id: UUID, tenant_id: UUID, *, transport: Transport, address: str | None, user_agent: str | None) -> OpenedSession:
        raise NotImplementedError

    async def viewer_of(self, token: str) -> Viewer:
        raise NotImplementedError

    def forget(self, revoked: Revoked | None) -> None:
        raise NotImplementedError

    async def of_viewer(self, viewer: Viewer) -> list[Row]:
        """Rows: tenant_id id user_id transport created_at last_seen_at expires_at address user_agent."""
        raise NotImplementedError

    async def revoke(self, viewer: Viewer, session_ids: Sequence[UUID]) -> list[UUID]:
        raise NotImplementedError

    async def revoke_all_of_user(self, tenant_id: UUID | None, user_id: UUID, *, except_id: UUID | None = None, reason: str) -> list[UUID]:
        raise NotImplementedError
