"""Members: people in a tenant, and in which role."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Self
from uuid import UUID

import strawberry

from events.facts import AssistantUpdated, ChatUpdated, MemberRemoved, MemberUpdated
from resolvers import members
from resolvers.operations import Operation
from schema.errors import Payload
from schema.fields import Columns, Info, column, mutation
from schema.ids import global_id, local_id
from schema.links import link
from schema.nodes import Node
from schema.roles import TenantRole
from schema.users import User

if TYPE_CHECKING:
    from schema.tenants import Tenant


@strawberry.type(description="Somebody's place in a tenant.")
class TenantMembership(Node):
    tenant: Annotated["Tenant", strawberry.lazy("schema.tenants")] = link("tenant_by_id", column="tenant_id", description="The tenant.")
    user: User = link("user_by_id", column="user_id", description="The person.")
    role: TenantRole = link("role_by_id", column="role_id", description="What they may do here.")
    status: str = column("status", description="`ACTIVE`, or `DISABLED`: kept, but kept out.")
    joined_at: datetime = column("joined_at", description="When they joined.")
    last_active_at: datetime | None = column("last_active_at", description="When they were last here, to about a minute.")

    @classmethod
    async def find(cls, operation: Operation, id: UUID, columns: Columns | None = None) -> Self | None:
        return cls.of(await members.by_id(operation, id, columns))


@strawberry.input(description="A change to a member.")
class MemberUpdateInput:
    membership_id: strawberry.ID = strawberry.field(description="The membership to change.")
    role_id: strawberry.ID | None = strawberry.field(description="Another role.", default=None)
    status: str | None = strawberry.field(description="`ACTIVE` or `DISABLED`.", default=None)


@strawberry.type(description="The member after the change.")
class MemberUpdatePayload(Payload):
    membership: TenantMembership | None = strawberry.field(description="The membership as it is now.", default=None)


@strawberry.input(description="A member to remove.")
class MemberRemoveInput:
    membership_id: strawberry.ID = strawberry.field(description="The membership to end; your own, to leave.")


@strawberry.type(description="The member that was removed.")
class MemberRemovePayload(Payload):
    removed_id: strawberry.ID | None = strawberry.field(description="Id of the membership that was ended.", default=None)


async def _update(info: Info, input: Annotated[MemberUpdateInput, strawberry.argument(description="The change.")]) -> MemberUpdatePayload:
    membership_id = local_id(input.membership_id, "TenantMembership", path=["membershipId"])
    role_id = None if input.role_id is None else local_id(input.role_id, "TenantRole", path=["roleId"])
    return MemberUpdatePayload(
        membership=TenantMembership.of(await members.change(info.context, membership_id, role_id=role_id, status=input.status))
    )


async def _remove(info: Info, input: Annotated[MemberRemoveInput, strawberry.argument(description="The member.")]) -> MemberRemovePayload:
    removed = await members.remove(info.context, local_id(input.membership_id, "TenantMembership", path=["membershipId"]))
    return MemberRemovePayload(removed_id=strawberry.ID(global_id("TenantMembership", removed)))


@strawberry.type
class Mutation:
    member_update: MemberUpdatePayload = mutation(
        _update,
        payload=MemberUpdatePayload,
        scopes=["members:admin"],
        emits=[MemberUpdated],
        description="Give a member another role or status, with effect at once. The last owner stays owner.",
    )
    member_remove: MemberRemovePayload = mutation(
        _remove,
        payload=MemberRemovePayload,
        emits=[AssistantUpdated, ChatUpdated, MemberRemoved],
        description="Remove a member (needs `members:admin`), or leave. Their sessions and keys end at once. The last owner stays.",
    )
