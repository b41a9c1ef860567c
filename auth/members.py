"""Members and roles of a tenant, changed with effect at once."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from uuid_utils.compat import uuid7

from auth.clock import Clock, utc_now
from auth.names import checked_name, checked_scopes
from auth.policies.members import can_change_member, can_grant, can_remove_member
from auth.roles import BUILTIN, OWNER
from auth.viewers import Viewer
from db.scopes import Row, TenantScopes, Writing
from db.statements import assistants, members, participants, tenants
from db.tables.members import Membership, Role
from errors import Conflict, Invalid, NotFound, PermissionDenied
from events.facts import AssistantUpdated, ChatUpdated, MemberRemoved, MemberUpdated, RoleCreated, RoleUpdated, record
from events.revocations import Kind, Revocations, Revoked

_STATUSES: Final = ("ACTIVE", "DISABLED")
_LONGEST_ROLE_NAME: Final = 64


class LastOwnerStays(Conflict):
    """A tenant without an owner could never be given one."""

    def __init__(self) -> None:
        super().__init__("The last owner cannot leave, be disabled or have another role; make somebody else an owner first.")


class Members:
    """Changes and removes members and defines roles; every process hears of it and checks those concerned again."""

    def __init__(self, *, scopes: TenantScopes, revocations: Revocations, now: Clock = utc_now) -> None:
        self._scopes = scopes
        self._revocations = revocations
        self._now = now

    async def change(self, viewer: Viewer, membership_id: UUID, *, role_id: UUID | None = None, status: str | None = None) -> Row:
        """Give a member another role, disable or enable them; None leaves a value as it is."""
        if status is not None and status not in _STATUSES:
            raise Invalid(f"A member's status is {' or '.join(_STATUSES)}.", path=["status"], constraint=f"one_of={','.join(_STATUSES)}")
        async with self._scopes.writing(viewer.tenant_id) as scope:
            owner = await _locked_owner_role(scope, viewer.tenant_id)
            member = await _found_member(scope, viewer.tenant_id, membership_id)
            if not can_change_member(viewer, member["scopes"]):
                raise _denied()
            role = member["role_id"] if role_id is None else await _grantable_role(scope, viewer, role_id)
            values: dict[Any, Any] = {Membership.role_id: role, Membership.status: status or member["status"]}
            if role != owner["id"] or values[Membership.status] != "ACTIVE":
                await _refuse_last_owner(scope, member, owner)
            row = await members.change_membership(scope, viewer.tenant_id, membership_id, values)
            await record(scope, viewer.tenant_id, MemberUpdated(membership_id=membership_id, user_id=member["user_id"]), by=viewer)
        assert row is not None
        await self._tell("user", viewer.tenant_id, row["user_id"], "MEMBER_CHANGED")
        return row

    async def remove(self, viewer: Viewer, membership_id: UUID) -> UUID:
        """Remove somebody, or leave; their sessions and API keys of this tenant go with them, their assistants stay with an owner."""
        async with self._scopes.writing(viewer.tenant_id) as scope:
            # Before all else, as whoever makes an assistant does: none comes after those that are passed on.
            await tenants.locked(scope, viewer.tenant_id)
            owner = await _locked_owner_role(scope, viewer.tenant_id)
            member = await _found_member(scope, viewer.tenant_id, membership_id)
            if not can_remove_member(viewer, member):
                raise _denied()
            await _refuse_last_owner(scope, member, owner)
            shared = await participants.lock_chats_of(scope, viewer.tenant_id, member["user_id"])
            passed_on = await assistants.pass_on(scope, viewer.tenant_id, member["user_id"], owner["id"])
            await members.delete_membership(scope, viewer.tenant_id, membership_id)
            removed = MemberRemoved(membership_id=membership_id, user_id=member["user_id"])
            without = [ChatUpdated(chat_id=chat_id) for chat_id in shared]
            others = [AssistantUpdated(assistant_id=assistant_id) for assistant_id in passed_on]
            await record(scope, viewer.tenant_id, removed, *without, *others, by=viewer)
        await self._tell("user", viewer.tenant_id, member["user_id"], "MEMBER_REMOVED")
        return membership_id

    async def upsert_role(self, viewer: Viewer, *, id: UUID | None, name: str, scopes: Sequence[str]) -> Row:
        """Define a role, or change one that the tenant defined; whoever has it is checked again."""
        name, granted = checked_name(name, longest=_LONGEST_ROLE_NAME), checked_scopes(scopes)
        if not can_grant(viewer, granted):
            raise PermissionDenied("A role cannot allow more than yours does.", required_scopes=["members:admin", *granted])
        async with self._scopes.writing(viewer.tenant_id) as scope:
            # One at a time, so that two roles do not get the same name.
            await tenants.locked(scope, viewer.tenant_id)
            if id is not None:
                await _check_changeable(scope, viewer, id)
            namesake = await members.role_named(scope, viewer.tenant_id, name)
            if name.casefold() in BUILTIN or (namesake is not None and namesake["id"] != id):
                raise Conflict("There is a role of this name already.", path=["name"])
            if id is None:
                role = Role(tenant_id=viewer.tenant_id, id=uuid7(), name=name, scopes=granted, created_at=self._now())
                row = await members.create_role(scope, role)
            else:
                row = await members.change_role(scope, viewer.tenant_id, id, name=name, scopes=granted)
            assert row is not None
            await record(scope, viewer.tenant_id, (RoleCreated if id is None else RoleUpdated)(role_id=row["id"]), by=viewer)
        if id is not None:
            await self._tell("role", viewer.tenant_id, id, "ROLE_CHANGED")
        return row

    async def _tell(self, kind: Kind, tenant_id: UUID, id: UUID, reason: str) -> None:
        await self._revocations.publish(Revoked(kind=kind, tenant_id=tenant_id, id=id, reason=reason))


async def _locked_owner_role(scope: Writing, tenant_id: UUID) -> Row:
    """The owner role, locked: changes of members come one after the other, so that two last owners cannot both leave."""
    role = await members.locked_builtin_role(scope, tenant_id, OWNER)
    assert role is not None
    return role


async def _found_member(scope: Writing, tenant_id: UUID, membership_id: UUID) -> Row:
    member = await members.locked_membership(scope, tenant_id, membership_id)
    if member is None:
        raise NotFound("There is no member with this id.")
    return member


async def _refuse_last_owner(scope: Writing, member: Row, owner: Row) -> None:
    is_owner = member["role_id"] == owner["id"] and member["status"] == "ACTIVE"
    if is_owner and await members.count_active(scope, owner["tenant_id"], owner["id"]) == 1:
        raise LastOwnerStays


async def _grantable_role(scope: Writing, viewer: Viewer, role_id: UUID) -> UUID:
    role = await members.role(scope, viewer.tenant_id, role_id)
    if role is None:
        raise NotFound("There is no role with this id.", path=["roleId"])
    if not can_grant(viewer, role["scopes"]):
        raise PermissionDenied("You cannot give a role that allows more than yours.", required_scopes=["members:admin"])
    return role_id


async def _check_changeable(scope: Writing, viewer: Viewer, role_id: UUID) -> None:
    role = await members.locked_role(scope, viewer.tenant_id, role_id)
    if role is None:
        raise NotFound("There is no role with this id.")
    if role["builtin"]:
        raise Conflict("Built-in roles cannot change; define one of your own.")
    if not can_grant(viewer, role["scopes"]):
        raise PermissionDenied("You cannot change a role that allows more than yours.", required_scopes=["members:admin"])


def _denied() -> PermissionDenied:
    return PermissionDenied("You cannot change somebody who may do more than you.", required_scopes=["members:admin"])
