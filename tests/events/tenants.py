"""Tenants without anybody in them, for tests of what lies below people."""

from datetime import UTC, datetime
from uuid import UUID

from auth.key_store import key_row
from auth.tenants import prepare
from db.scopes import SystemScopes
from db.statements import tenants
from db.tables.tenants import Tenant
from web.works import Process


async def new_tenant(process: Process) -> UUID:
    """Make a tenant with a data key and nothing else."""
    new = await prepare(process.works.keyring, "Nobody's")
    system: SystemScopes = process.system
    async with system.writing(new.tenant_id) as scope:
        await tenants.create(scope, Tenant(tenant_id=new.tenant_id, slug=new.tenant_id.hex, name=new.name, created_at=datetime.now(UTC)))
        await tenants.add_key(scope, key_row(new.tenant_id, new.key))
    return new.tenant_id
