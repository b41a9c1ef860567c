"""How a tenant comes into being: with its slug, data key, built-in roles and first owner, all in one transaction."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from uuid_utils.compat import uuid7

from auth.encryption.keyring import Keyring, StoredKey
from auth.key_store import key_row
from auth.names import slug_of
from auth.roles import BUILTIN, OWNER
from db.scopes import Writing
from db.statements import members, tenants
from db.tables.members import Membership, Role
from db.tables.tenants import Tenant
from events.facts import MemberJoined, Person, record

_SUFFIX_LETTERS: Final = "abcdefghijkmnpqrstuvwxyz23456789"


class NoSlugIsFree(Exception):
    """Random suffixes met taken slugs again and again, which chance does not do."""


@dataclass(frozen=True)
class NewTenant:
    """A tenant that is about to be founded; its key was wrapped before the transaction began."""

    tenant_id: UUID
    name: str
    key: StoredKey


async def prepare(keyring: Keyring, name: str) -> NewTenant:
    """Give a tenant its id and its data key."""
    tenant_id = uuid7()
    return NewTenant(tenant_id, name, await keyring.create(tenant_id))


async def found(scope: Writing, new: NewTenant, owner_id: UUID, now: datetime) -> None:
    """Write a tenant and its first owner; the scope is the system's, for this tenant."""
    slug = await _free_slug(scope, new)
    await tenants.create(scope, Tenant(tenant_id=new.tenant_id, slug=slug, name=new.name, created_at=now))
    await tenants.add_key(scope, key_row(new.tenant_id, new.key))
    roles: dict[str, UUID] = {}
    for name, scopes in BUILTIN.items():
        roles[name] = uuid7()
        role = Role(tenant_id=new.tenant_id, id=roles[name], name=name, builtin=True, scopes=list(scopes), created_at=now)
        await members.create_role(scope, role)
    owner = Membership(tenant_id=new.tenant_id, id=uuid7(), user_id=owner_id, role_id=roles[OWNER], joined_at=now)
    await members.create_membership(scope, owner)
    await record(scope, new.tenant_id, MemberJoined(membership_id=owner.id, user_id=owner_id), by=Person(owner_id))


async def _free_slug(scope: Writing, new: NewTenant) -> str:
    wanted = slug_of(new.name)
    if await tenants.take_slug(scope, wanted, new.tenant_id):
        return wanted
    for _ in range(10):
        slug = f"{wanted}-{''.join(secrets.choice(_SUFFIX_LETTERS) for _ in range(5))}"
        if await tenants.take_slug(scope, slug, new.tenant_id):
            return slug
    raise NoSlugIsFree(wanted)
