"""The viewer's sessions, and ending them."""

from collections.abc import Sequence
from uuid import UUID

from auth.policies.accounts import can_manage_account
from db.scopes import Row
from db.statements.projections import Columns
from errors import PermissionDenied
from resolvers.batches import wider
from resolvers.operations import Operation


async def by_id(operation: Operation, id: UUID, columns: Columns | None = None) -> Row | None:
    """Find a session: one's own, or anybody's in the tenant for those who administer its members."""
    row = await operation.questions.session_by_id.of(wider(columns, "user_id")).load(id)
    visible = row is not None and (row["user_id"] == operation.viewer.user_id or operation.viewer.may("members:admin"))
    return row if visible else None


async def of_viewer(operation: Operation) -> list[Row]:
    """Return the person's own sessions."""
    return await operation.works.sessions.of_viewer(operation.viewer)


async def revoke(operation: Operation, ids: Sequence[UUID], *, all_others: bool) -> list[UUID]:
    """End these sessions, and all one's own but the one that speaks if asked to."""
    sessions, viewer = operation.works.sessions, operation.viewer
    if all_others and not can_manage_account(viewer):
        raise PermissionDenied("Only a signed-in person can do this, not an API key.", path=["allOthers"])
    ended = await sessions.revoke(viewer, ids) if ids else []
    if all_others:
        ended += await sessions.revoke_all_of_user(None, viewer.user_id, except_id=viewer.session_id, reason="SESSION_REVOKED")
    return list(dict.fromkeys(ended))
