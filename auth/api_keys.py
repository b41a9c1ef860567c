"""API keys: shown once, kept as hashes, rotated with an overlap, never worth more than their owner's role."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from auth.background import Background
from auth.viewers import Viewer
from db.scopes import Row, TenantScopes
from events.revocations import Revocations, Revoked
from settings import Settings


class ApiKeys:
    """Rows: tenant_id id name prefix scopes user_id created_at last_used_at expires_at revoked_at previous_valid_until (no hashes)."""

    def __init__(
        self, *, scopes: TenantScopes, revocations: Revocations, background: Background, settings: Settings, now: Callable[[], datetime] = ...,
    ) -> None:
        raise NotImplementedError

    async def viewer_of(self, text: str) -> Viewer:
        raise NotImplementedError

    def forget(self, revoked: Revoked | None) -> None:
        raise NotImplementedError

    async def create(self, viewer: Viewer, *, name: str, scopes: Sequence[str], expires_at: datetime | None) -> tuple[Row, str]:
        raise NotImplementedError

    async def rotate(self, viewer: Viewer, key_id: UUID) -> tuple[Row, str]:
        raise NotImplementedError

    async def revoke(self, viewer: Viewer, key_id: UUID) -> Row:
        raise NotImplementedError

    async def page(
        self, viewer: Viewer, *, limit: int, beyond: UUID | None = None, newest_first: bool = True, everyone: bool = False
    ) -> list[Row]:
        """By id (creation). Own keys; `everyone` needs keys:admin."""
        raise NotImplementedError
