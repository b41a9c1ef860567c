"""API keys: one's own, and everybody's for those who administer them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from auth.policies.api_keys import can_see_all_keys
from db.scopes import Row
from db.statements.projections import Columns
from loaders.pages import Cursors, Page, PageArguments, page_of
from resolvers.batches import wider
from resolvers.operations import Operation


async def by_id(operation: Operation, id: UUID, columns: Columns | None = None) -> Row | None:
    """Find an API key: one's own, or anybody's for those who administer keys."""
    row = await operation.questions.api_key_by_id.of(wider(columns, "user_id")).load(id)
    visible = row is not None and (row["user_id"] == operation.viewer.user_id or can_see_all_keys(operation.viewer))
    return row if visible else None


async def page(operation: Operation, arguments: PageArguments, *, everyone: bool) -> Page:
    """Page through one's own keys or everyone's, the newest first."""
    cursors = Cursors(await operation.works.keyring.cipher(operation.tenant_id), "api keys")
    start = arguments.start(cursors)
    rows = await operation.works.api_keys.page(
        operation.viewer, limit=arguments.limit, beyond=start[0] if start else None, everyone=everyone
    )
    return page_of(rows, arguments, lambda row: cursors.write([row["id"]]))


async def create(
    operation: Operation, *, name: str, scopes: Sequence[str], expires_at: datetime | None, document_client: str | None
) -> tuple[Row, str]:
    """Make a key; the text is its only copy."""
    return await operation.works.api_keys.create(
        operation.viewer, name=name, scopes=scopes, expires_at=expires_at, document_client=document_client
    )


async def rotate(operation: Operation, id: UUID) -> tuple[Row, str]:
    """Give a key a new secret; the old one works for a while longer."""
    return await operation.works.api_keys.rotate(operation.viewer, id)


async def revoke(operation: Operation, id: UUID) -> Row:
    """End a key at once."""
    return await operation.works.api_keys.revoke(operation.viewer, id)
