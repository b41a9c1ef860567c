"""Roles: what members may do."""

from typing import Annotated, Self
from uuid import UUID

import strawberry

from events.facts import RoleCreated, RoleUpdated
from resolvers import roles
from resolvers.operations import Operation
from schema.errors import Payload
from schema.fields import Columns, Info, column, mutation
from schema.ids import local_id
from schema.nodes import Node


@strawberry.type(description="What the members of this role may do.")
class TenantRole(Node):
    name: str = column("name", description="Its name, unique in the tenant.")
    builtin: bool = column("builtin", description="Whether every tenant has it; such a role cannot be changed.")
    scopes: list[str] = column("scopes", description="What it allows, such as `chats:read`.")

    @classmethod
    async def find(cls, operation: Operation, id: UUID, columns: Columns | None = None) -> Self | None:
        return cls.of(await roles.by_id(operation, id, columns))


@strawberry.input(description="A role to define.")
class RoleUpsertInput:
    id: strawberry.ID | None = strawberry.field(description="The role to define anew; without it a new one is made.", default=None)
    name: str = strawberry.field(description="Its name, unique in the tenant.")
    scopes: list[str] = strawberry.field(
        description="What it allows; you can grant only what you may do yourself. An empty list allows nothing."
    )


@strawberry.type(description="The role that was defined.")
class RoleUpsertPayload(Payload):
    role: TenantRole | None = strawberry.field(description="The role as it is now.", default=None)


async def _upsert(info: Info, input: Annotated[RoleUpsertInput, strawberry.argument(description="The role.")]) -> RoleUpsertPayload:
    role_id = None if input.id is None else local_id(input.id, "TenantRole", path=["id"])
    return RoleUpsertPayload(role=TenantRole.of(await roles.upsert(info.context, role_id, name=input.name, scopes=input.scopes)))


@strawberry.type
class Mutation:
    role_upsert: RoleUpsertPayload = mutation(
        _upsert,
        payload=RoleUpsertPayload,
        scopes=["members:admin"],
        emits=[RoleCreated, RoleUpdated],
        description="Define a role of the tenant. Its members feel it at once.",
    )
