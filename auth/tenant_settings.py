"""What a tenant decides for itself: its name, and the settings by which its members' credentials work."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec

from auth.names import checked_name
from auth.viewers import Viewer
from db.scopes import Row, TenantScopes
from db.statements import tenants
from errors import Conflict, Invalid, NotFound
from events.facts import TenantUpdated, record
from events.revocations import Revocations, Revoked


class TenantSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The settings, with their defaults. What a newer version of PENNY wrote beside them is left alone."""

    trusted_documents_only: bool = False
    automatic_documents: bool = False
    schema_closed: bool = False


NAMES = tuple(TenantSettings.__struct_encode_fields__)


@lru_cache(1000)
def read_settings(text: str) -> TenantSettings:
    """Read a tenant's row."""
    return msgspec.json.decode(text, type=TenantSettings)


class TenantChanges:
    """Changes a tenant, and has every process look again at what it trusts of it."""

    def __init__(self, *, scopes: TenantScopes, revocations: Revocations) -> None:
        self._scopes = scopes
        self._revocations = revocations

    async def update(self, viewer: Viewer, *, name: str | None, settings: Mapping[str, Any] | None, expected_revision: int | None) -> Row:
        """Change what is given; settings by name, null takes one back to its default. Raises `Conflict` for another revision.

        Only new settings are told: what else a tenant changes is no reason to look at everybody's credentials again.
        """
        name = None if name is None else checked_name(name)
        async with self._scopes.writing(viewer.tenant_id) as scope:
            row = await tenants.locked(scope, viewer.tenant_id)
            if row is None:
                raise NotFound("The tenant is gone.")
            if expected_revision is not None and expected_revision != row["revision"]:
                raise Conflict("The tenant was changed meanwhile.", current_revision=row["revision"])
            before, changed = row["settings"], _changed(row["settings"], settings or {})
            row = await tenants.change(scope, viewer.tenant_id, name=name or row["name"], settings=changed)
            await record(scope, viewer.tenant_id, TenantUpdated(tenant_id=viewer.tenant_id), by=viewer)
        if read_settings(changed) != read_settings(before):
            await self._tell(viewer.tenant_id)
        return row

    async def _tell(self, tenant_id: UUID) -> None:
        await self._revocations.publish(Revoked(kind="tenant", tenant_id=tenant_id, id=tenant_id, reason="TENANT_CHANGED"))


def _changed(text: str, given: Mapping[str, Any]) -> str:
    kept = msgspec.json.decode(text)
    for name, value in given.items():
        if name not in NAMES:
            raise Invalid(f"There is no setting {name!r}; there are {', '.join(NAMES)}.", path=("settings",), constraint="known_setting")
        if value is None:
            kept.pop(name, None)
        else:
            kept[name] = value
    try:
        msgspec.convert(kept, TenantSettings)
    except msgspec.ValidationError as error:
        raise Invalid(f"A setting is not of its type: {error}.", path=("settings",), constraint="type") from error
    return msgspec.json.encode(kept).decode()
