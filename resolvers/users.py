"""People, as far as the viewer may see them."""

from collections.abc import Sequence
from uuid import UUID

from db.scopes import Row
from db.statements.projections import Columns
from resolvers.operations import Operation


async def by_id(operation: Operation, id: UUID, columns: Columns | None = None) -> Row | None:
    """Find a member of the tenant: oneself always, others for those who may see the members."""
    viewer = operation.viewer
    if id != viewer.user_id and not viewer.may("members:read"):
        return None
    return await operation.questions.user_by_id.of(columns).load(id)


async def visible_by_ids(operation: Operation, ids: Sequence[UUID | None], columns: Columns | None) -> list[Row | None]:
    """Find members of the tenant as `by_id` does, with these columns; None where there is nobody that the viewer may see."""
    viewer = operation.viewer
    everybody = viewer.may("members:read")
    shown = [user_id if everybody or user_id == viewer.user_id else None for user_id in ids]
    return await operation.questions.user_by_id.of(columns).load_many(shown)
