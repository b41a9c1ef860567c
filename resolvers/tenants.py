"""The viewer's tenant, and the others that the same person belongs to."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from db.scopes import Row
from db.statements.projections import Columns
from errors import NotFound, PermissionDenied
from loaders.known import membership_anywhere
from loaders.pages import Cursors, Page, PageArguments, page_of
from resolvers.operations import Operation


async def by_id(operation: Operation, id: UUID, columns: Columns | None = None) -> Row | None:
    """Find the viewer's tenant; any other is nothing."""
    return await operation.questions.tenant_by_id.of(columns).load(id)


async def current(operation: Operation) -> Row:
    """Return the viewer's tenant."""
    if (row := await by_id(operation, operation.tenant_id)) is None:
        raise NotFound("The tenant is gone.")
    return row


def check_current(operation: Operation, tenant_id: UUID) -> None:
    """Refuse to look into a tenant that the credential is not for."""
    if tenant_id != operation.tenant_id:
        raise PermissionDenied("Switch to this tenant first: a session or key sees one tenant.")


async def update(operation: Operation, *, name: str | None, settings: Mapping[str, Any] | None, expected_revision: int | None) -> Row:
    """Change the viewer's tenant."""
    changes = operation.works.tenant_changes
    return await changes.update(operation.viewer, name=name, settings=settings, expected_revision=expected_revision)


async def of_viewer(operation: Operation, arguments: PageArguments) -> Page:
    """Page through the person's own memberships in all tenants, in the order in which they joined."""
    cursors = Cursors(await operation.works.keyring.cipher(operation.tenant_id), "tenants")
    start = arguments.start(cursors)
    found = await operation.works.accounts.tenants_of(operation.viewer)
    rows = sorted(map(membership_anywhere, found), key=lambda row: row["id"])
    beyond = [row for row in rows if start is None or row["id"] > start[0]]
    return page_of(beyond[: arguments.limit], arguments, lambda row: cursors.write([row["id"]]), total=len(rows))
