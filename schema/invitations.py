"""Invitations: asking somebody to join a tenant."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

import strawberry

from events.facts import InvitationCreated, InvitationRevoked, MemberJoined
from resolvers import invitations
from resolvers.operations import Operation
from schema.errors import Payload
from schema.fields import Columns, Info, column, mutation
from schema.ids import local_id
from schema.links import link
from schema.members import TenantMembership
from schema.nodes import Node
from schema.roles import TenantRole
from schema.users import Principal


@strawberry.type(description="An open door for one e-mail address.")
class Invitation(Node):
    email: str = column("email", description="The address that it was mailed to; only that person can accept it.")
    role: TenantRole = link("role_by_id", column="role_id", description="The role that they will have.")
    expires_at: datetime = column("expires_at", description="When it stops being valid.")
    invited_by: Principal | None = link("user_by_id", column="invited_by", description="Who invited; null when they left.")

    @classmethod
    async def find(cls, operation: Operation, id: UUID, columns: Columns | None = None) -> Self | None:
        return cls.of(await invitations.by_id(operation, id, columns))


@strawberry.input(description="Somebody to invite.")
class MemberInviteInput:
    email: str = strawberry.field(description="Where to mail the invitation.")
    role_id: strawberry.ID = strawberry.field(description="The role that they will have; it can allow only what you may do yourself.")


@strawberry.type(description="The invitation that was mailed.")
class MemberInvitePayload(Payload):
    invitation: Invitation | None = strawberry.field(
        description="The invitation; it replaces an earlier one to the same address.", default=None
    )


@strawberry.input(description="An invitation to make worthless.")
class InvitationRevokeInput:
    invitation_id: strawberry.ID = strawberry.field(description="The invitation.")


@strawberry.type(description="The invitation that was revoked.")
class InvitationRevokePayload(Payload):
    invitation: Invitation | None = strawberry.field(description="The invitation, which nobody can accept any more.", default=None)


@strawberry.input(description="An invitation to accept.")
class InvitationAcceptInput:
    token: str = strawberry.field(description="The token at the end of the mailed link.")


@strawberry.type(description="Where you belong now.")
class InvitationAcceptPayload(Payload):
    membership: TenantMembership | None = strawberry.field(
        description="Your place in the tenant; switch to the tenant to see more of it.", default=None
    )


async def _invite(
    info: Info, input: Annotated[MemberInviteInput, strawberry.argument(description="Who, and as what.")]
) -> MemberInvitePayload:
    role_id = local_id(input.role_id, "TenantRole", path=["roleId"])
    return MemberInvitePayload(invitation=Invitation.of(await invitations.invite(info.context, email=input.email, role_id=role_id)))


async def _revoke(
    info: Info, input: Annotated[InvitationRevokeInput, strawberry.argument(description="The invitation.")]
) -> InvitationRevokePayload:
    invitation_id = local_id(input.invitation_id, "Invitation", path=["invitationId"])
    return InvitationRevokePayload(invitation=Invitation.of(await invitations.revoke(info.context, invitation_id)))


async def _accept(
    info: Info, input: Annotated[InvitationAcceptInput, strawberry.argument(description="The invitation.")]
) -> InvitationAcceptPayload:
    return InvitationAcceptPayload(membership=TenantMembership.of(await invitations.accept(info.context, input.token)))


@strawberry.type
class Mutation:
    member_invite: MemberInvitePayload = mutation(
        _invite,
        payload=MemberInvitePayload,
        scopes=["members:admin"],
        emits=[InvitationCreated, InvitationRevoked],
        description="Invite somebody to the tenant by mail.",
    )
    invitation_revoke: InvitationRevokePayload = mutation(
        _revoke,
        payload=InvitationRevokePayload,
        scopes=["members:admin"],
        emits=[InvitationRevoked],
        description="Make an invitation worthless.",
    )
    invitation_accept: InvitationAcceptPayload = mutation(
        _accept,
        payload=InvitationAcceptPayload,
        emits=[MemberJoined],
        description="Join the tenant that invited you; your session stays in its own tenant.",
    )
