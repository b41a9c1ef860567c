"""Tenants: the organisations that people work in."""

import enum
from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

import msgspec
import strawberry
from strawberry.scalars import JSON

from db.scopes import Row
from errors import Invalid
from events.facts import TenantUpdated
from resolvers import api_keys, invitations, members, roles, tenants
from resolvers.operations import Operation
from schema.api_keys import ApiKey
from schema.caching import KeptFor
from schema.connections import After, Connection, First, asked
from schema.errors import Payload
from schema.fields import Columns, Info, column, mutation, query
from schema.invitations import Invitation
from schema.members import TenantMembership
from schema.nodes import Node
from schema.roles import TenantRole


@strawberry.enum(description="Where a tenant is in its life.")
class TenantStatus(enum.Enum):
    PROVISIONING = strawberry.enum_value("PROVISIONING", description="Being set up.")
    ACTIVE = strawberry.enum_value("ACTIVE", description="In use.")
    PAST_DUE = strawberry.enum_value("PAST_DUE", description="In use, with an unpaid invoice.")
    SUSPENDED = strawberry.enum_value("SUSPENDED", description="Closed for now: nobody can sign in.")
    DELETING = strawberry.enum_value("DELETING", description="Being deleted.")
    DELETED = strawberry.enum_value("DELETED", description="Gone; only the record of it is left.")


async def _members(  # noqa: PLR0913 - the arguments of the field
    operation: Operation,
    tenant: Row,
    first: First = None,
    after: After = None,
    role: Annotated[str | None, strawberry.argument(description="Only members whose role has this name.")] = None,
    query: Annotated[str | None, strawberry.argument(description="Only members whose name or e-mail address contains this text.")] = None,
) -> Connection[TenantMembership]:
    tenants.check_current(operation, tenant["tenant_id"])
    return Connection(page=await members.page(operation, asked(operation, first=first, after=after), role=role, text=query))


async def _invitations(operation: Operation, tenant: Row, first: First = None, after: After = None) -> Connection[Invitation]:
    tenants.check_current(operation, tenant["tenant_id"])
    return Connection(page=await invitations.page(operation, asked(operation, first=first, after=after)))


async def _api_keys(operation: Operation, tenant: Row, first: First = None, after: After = None) -> Connection[ApiKey]:
    tenants.check_current(operation, tenant["tenant_id"])
    return Connection(page=await api_keys.page(operation, asked(operation, first=first, after=after), everyone=True))


async def _roles(operation: Operation, tenant: Row) -> list[TenantRole]:
    tenants.check_current(operation, tenant["tenant_id"])
    return [TenantRole(row=row) for row in await roles.of_tenant(operation)]


async def _settings(operation: Operation, tenant: Row) -> JSON:
    tenants.check_current(operation, tenant["tenant_id"])
    settings: JSON = msgspec.json.decode((await tenants.current(operation))["settings"])
    return settings


@strawberry.type(description="An organisation. Its data is walled off from every other tenant's.")
class Tenant(Node):
    id_column = "tenant_id"

    slug: str = column("slug", description="Its short name, unique in PENNY: lower-case letters, digits and dashes.")
    name: str = column("name", description="Its name for people.")
    status: TenantStatus = column("status", convert=TenantStatus, description="Where it is in its life.")
    region: str = column("region", description="Where its data lives.")
    created_at: datetime = column("created_at", description="When it was made.")
    members: Connection[TenantMembership] = query(
        _members,
        scopes=["members:read"],
        multipliers=["first"],
        kept_for=KeptFor.STANDING,
        description="Its members, in the order in which they joined.",
    )
    invitations: Connection[Invitation] = query(
        _invitations,
        scopes=["members:read"],
        multipliers=["first"],
        description="Invitations that were neither accepted nor revoked, the newest first; expired ones are among them.",
    )
    roles: list[TenantRole] = query(
        _roles, scopes=["members:read"], kept_for=KeptFor.STANDING, description="Its roles, the built-in ones first."
    )
    api_keys: Connection[ApiKey] = query(
        _api_keys,
        scopes=["keys:admin"],
        multipliers=["first"],
        description="Everybody's API keys, the newest first; ended ones are among them.",
    )
    settings: JSON = query(
        _settings,
        scopes=["tenant:read"],
        kept_for=KeptFor.STANDING,
        description="Its settings, by name, as far as they differ from the defaults. `trustedDocumentsOnly`: members without `api:admin` "
        "send nothing but documents of published manifests. `automaticDocuments`: clients may register documents by themselves. "
        "`schemaClosed`: to its members the schema is not told, neither by introspection nor by what is said of mistakes.",
    )
    revision: int = column("revision", description="Counts its changes.")

    @classmethod
    async def find(cls, operation: Operation, id: UUID, columns: Columns | None = None) -> Self | None:
        return cls.of(await tenants.by_id(operation, id, columns))


async def _tenant(operation: Operation, _: object) -> Tenant:
    return Tenant(row=await tenants.current(operation))


@strawberry.type
class Query:
    tenant: Tenant = query(_tenant, kept_for=KeptFor.STANDING, description="The tenant that your session or key is for.")


@strawberry.input(description="What to change of the tenant; what is left out stays as it is.")
class TenantUpdateInput:
    name: str | None = strawberry.field(description="Its name: 1 to 100 characters.", default=None)
    settings: JSON | None = strawberry.field(
        description="Settings to change, by name; null takes one back to its default. See `Tenant.settings`.", default=None
    )
    expected_revision: int | None = strawberry.field(
        description="The revision that the change is made for; another one is a conflict.", default=None
    )


@strawberry.type(description="The tenant that was changed.")
class TenantUpdatePayload(Payload):
    tenant: Tenant | None = strawberry.field(description="The tenant as it is now.", default=None)


async def _update(info: Info, input: Annotated[TenantUpdateInput, strawberry.argument(description="The change.")]) -> TenantUpdatePayload:
    if not isinstance(input.settings, dict | None):
        raise Invalid("Settings are an object.", path=("settings",), constraint="object")
    row = await tenants.update(info.context, name=input.name, settings=input.settings, expected_revision=input.expected_revision)
    return TenantUpdatePayload(tenant=Tenant(row=row))


@strawberry.type
class Mutation:
    tenant_update: TenantUpdatePayload = mutation(
        _update,
        payload=TenantUpdatePayload,
        scopes=["tenant:admin"],
        emits=[TenantUpdated],
        description="Change the tenant's name or settings. What settings say of credentials holds within a second, on open sockets too.",
    )
