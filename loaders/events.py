"""Questions about events, and their cursors: one kind for every list and subscription, so that what one of them gave continues another."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from auth.encryption.ciphers import TenantCipher
from db.scopes import Reading, Row
from db.statements import facts
from db.statements.projections import Columns
from events.feeds import Place
from loaders.pages import Cursors


def event_cursors(cipher: TenantCipher) -> Cursors:
    """Return what writes and reads the cursors of a tenant's events."""
    return Cursors(cipher, "events")


def cursor_of(cursors: Cursors, place: Place, at: datetime) -> str:
    """Spell a place, and when what stands there happened, so that a cursor tells its age."""
    return cursors.write([*place, at])


async def event_by_id(scope: Reading, tenant_id: UUID, ids: list[UUID], columns: Columns | None = None) -> Mapping[UUID, Row]:
    return {row["id"]: row for row in await facts.by_ids(scope, tenant_id, ids, columns)}
