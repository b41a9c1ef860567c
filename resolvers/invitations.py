"""Invitations to the tenant, and joining by one."""

from uuid import UUID

from db.scopes import Row
from db.statements.projections import Columns
from loaders.known import membership_anywhere
from loaders.pages import Cursors, Page, PageArguments, page_of
from resolvers.operations import Operation


async def by_id(operation: Operation, id: UUID, columns: Columns | None = None) -> Row | None:
    """Find an invitation, for those who may see the members."""
    if not operation.viewer.may("members:read"):
        return None
    return await operation.questions.invitation_by_id.of(columns).load(id)


async def page(operation: Operation, arguments: PageArguments) -> Page:
    """Page through the open invitations, the newest first."""
    cursors = Cursors(await operation.works.keyring.cipher(operation.tenant_id), "invitations")
    start = arguments.start(cursors)
    rows = await operation.works.invitations.page(operation.viewer, limit=arguments.limit, beyond=start[0] if start else None)
    return page_of(rows, arguments, lambda row: cursors.write([row["id"]]))


async def invite(operation: Operation, *, email: str, role_id: UUID) -> Row:
    """Invite somebody by mail."""
    return await operation.works.invitations.invite(operation.viewer, email=email, role_id=role_id)


async def revoke(operation: Operation, id: UUID) -> Row:
    """Make an invitation worthless."""
    return await operation.works.invitations.revoke(operation.viewer, id)


async def accept(operation: Operation, token: str) -> Row:
    """Join the invitation's tenant; return the person's membership there with its tenant and role, as `tenants_of` does."""
    joined = await operation.works.invitations.accept(operation.viewer, token)
    rows = await operation.works.accounts.tenants_of(operation.viewer)
    return membership_anywhere(next(row for row in rows if row["id"] == joined["id"]))
