"""What the members of a tenant can ask."""

from uuid import UUID

from inference.offerings import Offering


class Models:
    """Answers what a viewer can ask, and where."""

    def __init__(self, platform: Offering) -> None:
        self._platform = platform

    async def offering(self, tenant_id: UUID, user_id: UUID) -> Offering:  # noqa: ARG002 - tenants have none of their own yet
        """All that this member of the tenant can ask."""
        return self._platform
