"""Members of the tenant: who may see and change them."""

from functools import partial
from uuid import UUID

from db.scopes import Row
from db.statements import members
from db.statements.projections import Columns
from loaders.pages import Cursors, Page, PageArguments, page_of
from resolvers.batches import wider
from resolvers.operations import Operation


async def by_id(operation: Operation, id: UUID, columns: Columns | None = None) -> Row | None:
    """Find a membership: one's own always, others for those who may see the members."""
    row = await operation.questions.membership_by_id.of(wider(columns, "user_id")).load(id)
    visible = row is not None and (row["user_id"] == operation.viewer.user_id or operation.viewer.may("members:read"))
    return row if visible else None


async def page(operation: Operation, arguments: PageArguments, *, role: str | None, text: str | None) -> Page:
    """Page through the members in the order in which they joined."""
    cursors = Cursors(await operation.works.keyring.cipher(operation.tenant_id), "members")
    start = arguments.start(cursors)
    async with operation.reads.reading(operation.tenant_id) as scope:
        rows = await members.page_of_tenant(
            scope, operation.tenant_id, role=role, text=text, beyond=start[0] if start else None, limit=arguments.limit
        )
    counting = partial(count, operation, role=role, text=text)
    return page_of(rows, arguments, lambda row: cursors.write([row["id"]]), count=counting)


async def count(operation: Operation, *, role: str | None, text: str | None) -> int:
    """Count the members on all pages."""
    async with operation.reads.reading(operation.tenant_id) as scope:
        return await members.count_of_tenant(scope, operation.tenant_id, role=role, text=text)


async def change(operation: Operation, id: UUID, *, role_id: UUID | None, status: str | None) -> Row:
    """Give a member another role or status."""
    return await operation.works.members.change(operation.viewer, id, role_id=role_id, status=status)


async def remove(operation: Operation, id: UUID) -> UUID:
    """Remove a member, or leave."""
    return await operation.works.members.remove(operation.viewer, id)
