"""Members and roles of a tenant, changed with effect at once."""

from collections.abc import Sequence
from uuid import UUID

from auth.viewers import Viewer
from db.scopes import Row, TenantScopes
from events.revocations import Revocations


class Members:
    def __init__(self, *, scopes: TenantScopes, revocations: Revocations) -> None:
        raise NotImplementedError

    async def change(self, viewer: Viewer, membership_id: UUID, *, role_id: UUID | None = None, status: str | None = None) -> Row:
        """Row: memberships. None leaves as it is; status is ACTIVE or DISABLED."""
        raise NotImplementedError

    async def remove(self, viewer: Viewer, membership_id: UUID) -> UUID:
        """Remove somebody, or leave."""
        raise NotImplementedError

    async def upsert_role(self, viewer: Viewer, *, id: UUID | None, name: str, scopes: Sequence[str]) -> Row:
        raise NotImplementedError

    async def page(
        self, viewer: Viewer, *, limit: int, beyond: UUID | None = None, newest_first: bool = True, role: str | None = None,
        query: str | None = None,
    ) -> list[Row]:
        """Memberships by id, filtered by the role's name and by a part of name or e-mail."""
        raise NotImplementedError

    async def roles(self, viewer: Viewer) -> list[Row]:
        """All roles, built-in ones first, then by name."""
        raise NotImplementedError
