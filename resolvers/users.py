"""People, as far as the viewer may see them."""

from uuid import UUID

from db.scopes import Row
from resolvers.operations import Operation


async def by_id(operation: Operation, id: UUID) -> Row | None:
    """Find a member of the tenant: oneself always, others for those who may see the members."""
    viewer = operation.viewer
    if id != viewer.user_id and not viewer.may("members:read"):
        return None
    return await operation.questions.user_by_id.load(id)
