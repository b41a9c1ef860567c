"""Invitations: asking somebody to join a tenant in a role, once, by mail."""

from datetime import datetime, timedelta
from uuid import UUID

from uuid_utils.compat import uuid7

from auth.clock import Clock, utc_now
from auth.limits import Limits
from auth.mail_queue import MailQueue, SealedMail
from auth.mails import invitation_mail
from auth.names import checked_email, same_email
from auth.policies.accounts import can_manage_account
from auth.policies.members import can_grant
from auth.standing import OPEN_TENANTS
from auth.throttle import Throttle
from auth.tokens import hash_token, new_link_token, parse_link_token
from auth.viewers import Viewer
from db.scopes import Row, SystemScopes, TenantScopes, Writing
from db.statements import members, tenants, users
from db.tables.members import Invitation, Membership
from errors import Conflict, Invalid, NotFound, PermissionDenied, Unauthenticated
from events.facts import InvitationCreated, InvitationRevoked, MemberJoined, Person, record
from settings import Settings


class Invitations:
    """Invites people and lets them in; rows come without the token's hash."""

    def __init__(  # noqa: PLR0913 - what an invitation depends on
        self,
        *,
        scopes: TenantScopes,
        system: SystemScopes,
        throttle: Throttle,
        mail_queue: MailQueue,
        settings: Settings,
        now: Clock = utc_now,
    ) -> None:
        self._scopes = scopes
        self._system = system
        self._throttle = throttle
        self._mail_queue = mail_queue
        self._settings = settings
        self._limits = Limits(settings)
        self._now = now

    async def invite(self, viewer: Viewer, *, email: str, role_id: UUID) -> Row:
        """Mail somebody a link into the tenant; an open invitation of the same address ends."""
        email = checked_email(email)
        _check(viewer)
        await self._throttle.charge(self._limits.invitations_of(viewer.tenant_id))
        now, token = self._now(), new_link_token(viewer.tenant_id)
        mail = await self._mail(viewer, email, token)
        invitation = Invitation(
            tenant_id=viewer.tenant_id,
            id=uuid7(),
            email=email,
            role_id=role_id,
            token_hash=hash_token(token),
            invited_by=viewer.user_id,
            created_at=now,
            expires_at=now + timedelta(hours=self._settings.invitation_hours),
        )
        async with self._scopes.writing(viewer.tenant_id) as scope:
            # One at a time, so that of two for the same address only one stays open.
            await tenants.locked(scope, viewer.tenant_id)
            role = await members.role(scope, viewer.tenant_id, role_id)
            if role is None:
                raise NotFound("There is no role with this id.", path=["roleId"])
            if not can_grant(viewer, role["scopes"]):
                raise PermissionDenied("You cannot give a role that allows more than yours.", required_scopes=["members:admin"])
            if await members.is_member(scope, viewer.tenant_id, email):
                raise Conflict("Somebody with this e-mail address is a member already.", path=["email"])
            ended = await members.revoke_open_invitations(scope, viewer.tenant_id, email, now)
            row = await members.create_invitation(scope, invitation)
            replaced = [InvitationRevoked(invitation_id=invitation_id) for invitation_id in ended]
            await record(scope, viewer.tenant_id, *replaced, InvitationCreated(invitation_id=row["id"]), by=viewer)
            await self._mail_queue.enqueue(scope, mail)
        return row

    async def accept(self, viewer: Viewer, token: str) -> Row:
        """Join by an invitation and return the membership, whose tenant is the invitation's."""
        if not can_manage_account(viewer):
            raise PermissionDenied("Only a signed-in person can accept an invitation.")
        tenant_id = invited_to(token)
        async with self._system.reading() as scope:
            user = await users.by_id(scope, viewer.user_id)
        if user is None:
            raise Unauthenticated
        async with self._scopes.writing(tenant_id) as scope:
            return await join(scope, tenant_id, token, user_id=viewer.user_id, email=user["email"], now=self._now())

    async def revoke(self, viewer: Viewer, invitation_id: UUID) -> Row:
        """End an invitation that was not accepted."""
        _check(viewer)
        async with self._scopes.writing(viewer.tenant_id) as scope:
            row = await members.revoke_invitation(scope, viewer.tenant_id, invitation_id, self._now())
            if row is None:
                raise NotFound("There is no open invitation with this id.")
            await record(scope, viewer.tenant_id, InvitationRevoked(invitation_id=invitation_id), by=viewer)
        return row

    async def page(self, viewer: Viewer, *, limit: int, beyond: UUID | None = None, newest_first: bool = True) -> list[Row]:
        """A page of the invitations that were neither accepted nor revoked, by creation; expired ones are among them."""
        if not viewer.may("members:read"):
            raise PermissionDenied("You may not see invitations.", required_scopes=["members:read"])
        async with self._scopes.reading(viewer.tenant_id) as scope:
            return await members.page_of_open_invitations(scope, viewer.tenant_id, beyond=beyond, newest_first=newest_first, limit=limit)

    async def _mail(self, viewer: Viewer, email: str, token: str) -> SealedMail:
        async with self._scopes.reading(viewer.tenant_id) as scope:
            tenant = await tenants.by_id(scope, viewer.tenant_id)
            inviter = await users.profile(scope, viewer.user_id)
        if tenant is None or inviter is None:
            raise Unauthenticated
        mail = invitation_mail(self._settings, to=email, tenant=tenant["name"], invited_by=inviter["name"], token=token)
        return await self._mail_queue.seal(mail)


def invited_to(token: str) -> UUID:
    """The tenant that an invitation's token names; raises `Invalid` for a text that is no such token."""
    named = parse_link_token(token)
    if named is None or named.tenant_id is None:
        raise _not_valid()
    return named.tenant_id


async def join(scope: Writing, tenant_id: UUID, token: str, *, user_id: UUID, email: str, now: datetime) -> Row:  # noqa: PLR0913 - who joins what, when
    """Use an invitation up and return the new membership; raises `Invalid` and `Conflict`."""
    invitation = await members.locked_invitation(scope, tenant_id, hash_token(token))
    if invitation is None or invitation["accepted_at"] or invitation["revoked_at"] or invitation["tenant_status"] not in OPEN_TENANTS:
        raise _not_valid()
    if invitation["expires_at"] <= now:
        raise Invalid("This invitation has expired; ask for another one.", constraint="not_expired")
    if not same_email(invitation["email"], email):
        raise Invalid("This invitation is for another e-mail address.", constraint="same_email")
    member = Membership(tenant_id=tenant_id, id=uuid7(), user_id=user_id, role_id=invitation["role_id"], joined_at=now)
    row = await members.create_membership(scope, member)
    if row is None:
        raise Conflict("You are a member of this tenant already.")
    await members.accept_invitation(scope, tenant_id, invitation["id"], now)
    await record(scope, tenant_id, MemberJoined(membership_id=row["id"], user_id=user_id), by=Person(user_id))
    return row


def _check(viewer: Viewer) -> None:
    if not viewer.may("members:admin"):
        raise PermissionDenied("You may not invite anybody.", required_scopes=["members:admin"])


def _not_valid() -> Invalid:
    return Invalid("This invitation is not valid any more.", constraint="valid_token")
