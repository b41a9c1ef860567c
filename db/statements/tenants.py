"""Statements over tenants, the slugs they have taken, and their wrapped data keys."""

from typing import Any, Final
from uuid import UUID

from db.scopes import Reading, Row, Writing
from db.tables.credentials import TenantKey
from db.tables.tenants import Tenant


async def take_slug(scope: Writing, slug: str, tenant_id: UUID) -> bool:
    """Take a slug for good; False when another tenant has it."""
    taken = "INSERT INTO directory.tenant_slugs (slug, tenant_id) VALUES ($1, $2) ON CONFLICT (slug) DO NOTHING"
    return await scope.run(taken, slug, tenant_id) == 1


async def create(scope: Writing, tenant: Tenant) -> None:
    await scope.run(Tenant.insert(tenant))


async def by_id(scope: Reading, tenant_id: UUID) -> Row | None:
    return await scope.row("SELECT * FROM penny.tenants WHERE tenant_id = $1", tenant_id)


async def locked(scope: Writing, tenant_id: UUID) -> Row | None:
    """Read a tenant and let no other writer lock it until the scope ends; foreign keys to it are not held up."""
    return await scope.row("SELECT * FROM penny.tenants WHERE tenant_id = $1 FOR NO KEY UPDATE", tenant_id)


async def change(scope: Writing, tenant_id: UUID, *, name: str, settings: str) -> Row:
    """Change a tenant that is locked."""
    row = await scope.row(
        "UPDATE penny.tenants SET name = $2, settings = $3::jsonb, revision = revision + 1 WHERE tenant_id = $1 RETURNING *",
        tenant_id,
        name,
        settings,
    )
    assert row is not None, "it is locked"
    return row


async def every_id(scope: Reading) -> list[UUID]:
    """Read the ids of all tenants, in a system scope."""
    return [row["tenant_id"] for row in await scope.rows("SELECT tenant_id FROM penny.tenants ORDER BY tenant_id")]


_KEYS: Final[tuple[Any, ...]] = (TenantKey.version, TenantKey.state, TenantKey.wrapped, TenantKey.key_id)


async def keys(scope: Reading, tenant_id: UUID) -> list[Row]:
    """Read all versions of a tenant's data key, oldest first."""
    return await scope.rows(TenantKey.select(*_KEYS).where(TenantKey.tenant_id == tenant_id).order_by(TenantKey.version))


async def add_key(scope: Writing, key: TenantKey) -> None:
    """Add a version of a tenant's data key; one that exists is refused by the database."""
    await scope.run(TenantKey.insert(key))


async def retire_keys(scope: Writing, tenant_id: UUID) -> None:
    """Let the active versions only decrypt from now on."""
    retire = TenantKey.update({TenantKey.state: "DECRYPT_ONLY"}).where(TenantKey.tenant_id == tenant_id)
    await scope.run(retire.where(TenantKey.state == "ACTIVE"))
