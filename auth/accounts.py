"""Accounts: signing up, in and out, passwords, e-mail addresses and profiles."""

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from uuid_utils.compat import uuid7

from auth import tenants
from auth.background import Background
from auth.clock import Clock, utc_now
from auth.encryption.keyring import Keyring
from auth.invitations import invited_to, join
from auth.limits import Limits
from auth.mail_queue import MailQueue
from auth.mails import password_changed_mail, reset_mail, verification_mail
from auth.metrics import sign_in_counted
from auth.names import checked_email, checked_locale, checked_name, checked_url, is_email, normalised_email
from auth.passwords import Passwords
from auth.policies.accounts import can_manage_account
from auth.sessions import OpenedSession, Sessions, Transport
from auth.standing import OPEN_TENANTS
from auth.throttle import Throttle
from auth.tokens import hash_token, new_link_token, parse_link_token
from auth.viewers import Viewer
from db.scopes import Row, SystemScopes, Writing
from db.statements import members, users
from db.tables.users import User, UserToken
from errors import Conflict, Invalid, NotFound, PermissionDenied, RateLimited, Unauthenticated
from events.facts import EmailVerified, PasswordChanged, Person, ProfileUpdated, UserFact, record
from settings import Settings

_VERIFY: Final = "VERIFY_EMAIL"
_RESET: Final = "RESET_PASSWORD"


class EmailOrPasswordIsWrong(Invalid):
    """The same answer, after the same work, for an unknown account and for a wrong password."""

    def __init__(self) -> None:
        super().__init__("E-mail or password is wrong.", constraint="credentials")


class LinkIsNotValid(Invalid):
    """The link was used, has expired, was replaced by a newer one, or never existed."""

    def __init__(self) -> None:
        super().__init__("This link is not valid any more; ask for a new one.", path=["token"], constraint="valid_token")


class Accounts:
    """What people do with their accounts, whatever tenants they belong to."""

    def __init__(  # noqa: PLR0913 - what an account depends on
        self,
        *,
        system: SystemScopes,
        keyring: Keyring,
        passwords: Passwords,
        throttle: Throttle,
        sessions: Sessions,
        mail_queue: MailQueue,
        background: Background,
        settings: Settings,
        now: Clock = utc_now,
    ) -> None:
        self._system = system
        self._keyring = keyring
        self._passwords = passwords
        self._throttle = throttle
        self._sessions = sessions
        self._mail_queue = mail_queue
        self._background = background
        self._settings = settings
        self._limits = Limits(settings)
        self._now = now

    async def sign_up(  # noqa: PLR0913 - a form
        self,
        *,
        email: str,
        password: str,
        name: str,
        tenant_name: str | None,
        invitation_token: str | None,
        transport: Transport,
        address: str,
        user_agent: str | None,
    ) -> OpenedSession:
        """Make an account, and a tenant that it owns or a membership by invitation, and open a session there."""
        email, name = checked_email(email), checked_name(name)
        self._passwords.check_strength(password, email=email, path=("password",))
        new_name = checked_name(tenant_name or name, path=("tenantName",))
        tenant_id = invited_to(invitation_token) if invitation_token is not None else None
        await self._throttle.charge(self._limits.mails_for(address))
        now, user_id = self._now(), uuid7()
        user = User(id=user_id, email=email, name=name, password_hash=await self._passwords.hash(password), created_at=now)
        if invitation_token is not None and tenant_id is not None:
            await self._join(user, tenant_id, invitation_token)
        else:
            tenant_id = await self._found(user, new_name)
        return await self._sessions.open(user_id, tenant_id, transport=transport, address=address, user_agent=user_agent)

    async def sign_in(  # noqa: PLR0913 - a form
        self, *, email: str, password: str, tenant_slug: str | None, transport: Transport, address: str, user_agent: str | None
    ) -> OpenedSession:
        """Open a session in the tenant of this slug, or else in the one last used; raises `EmailOrPasswordIsWrong`, `RateLimited`."""
        with sign_in_counted(wrong=EmailOrPasswordIsWrong):
            account = self._limits.guesses_at(email)
            await self._throttle.charge(account, self._limits.guesses_from(address))
            user = await self._by_email(email)
            right = await self._passwords.verify(user["password_hash"] if user else None, password)
            if user is None or not right:
                raise EmailOrPasswordIsWrong
            await self._throttle.clear(account)
            await self._throttle.refund(self._limits.guesses_from(address))
            tenant_id = await self._tenant_to_enter(user["id"], tenant_slug)
            if self._passwords.needs_rehash(user["password_hash"]):
                await self._change(user["id"], {User.password_hash: await self._passwords.hash(password)})
            return await self._sessions.open(user["id"], tenant_id, transport=transport, address=address, user_agent=user_agent)

    async def sign_out(self, viewer: Viewer) -> None:
        """End the session that the viewer speaks with."""
        _check(viewer)
        await self._sessions.end(viewer, reason="SIGNED_OUT")

    async def tenant_switch(
        self, viewer: Viewer, tenant_id: UUID, *, transport: Transport, address: str, user_agent: str | None
    ) -> OpenedSession:
        """Open a session in another tenant of the same person and end the present one."""
        _check(viewer)
        memberships = {row["tenant_id"]: row for row in await self._memberships(viewer.user_id)}
        if tenant_id not in memberships:
            raise NotFound("There is no tenant with this id.", path=["tenantId"])
        if not _is_open(memberships[tenant_id]):
            raise PermissionDenied("This tenant is not open to you now.")
        opened = await self._sessions.open(viewer.user_id, tenant_id, transport=transport, address=address, user_agent=user_agent)
        await self._sessions.end(viewer, reason="TENANT_SWITCHED")
        return opened

    async def tenants_of(self, viewer: Viewer) -> list[Row]:
        """The person's memberships with `tenant_…` and `role_…` columns, the last used first; an API key has its own tenant's."""
        rows = await self._memberships(viewer.user_id)
        return rows if can_manage_account(viewer) else [row for row in rows if row["tenant_id"] == viewer.tenant_id]

    async def password_change(self, viewer: Viewer, current: str, new: str) -> None:
        """Replace the password, end every other session, and tell the owner by mail."""
        _check(viewer)
        user = await self._by_id(viewer.user_id)
        account = self._limits.guesses_at(user["email"])
        await self._throttle.charge(account)
        if not await self._passwords.verify(user["password_hash"], current):
            raise Invalid("The current password is wrong.", path=["currentPassword"], constraint="credentials")
        await self._throttle.clear(account)
        self._passwords.check_strength(new, email=user["email"], path=("newPassword",))
        await self._change(user["id"], {User.password_hash: await self._passwords.hash(new)}, tell=user)
        await self._sessions.revoke_all_of_user(None, user["id"], except_id=viewer.session_id, reason="PASSWORD_CHANGED")

    async def password_reset_request(self, email: str, address: str) -> None:
        """Mail a link to whoever has this address; says and takes the same when nobody has."""
        await self._throttle.charge(self._limits.resets_of(email), self._limits.mails_for(address))
        # Behind the answer, so that its time does not tell whether there was anything to do.
        if not self._background.start(self._mail_reset(email), name="password reset"):
            raise RateLimited("Too many requests; try again in a moment.", bucket="password_reset", retry_after_ms=1000)

    async def password_reset(self, token: str, new_password: str) -> None:
        """Set a new password by a mailed link, which works once, and end all sessions."""
        token_hash = _hash_of_link(token)
        user = await self._owner_of(token_hash, _RESET)
        self._passwords.check_strength(new_password, email=user["email"], path=("newPassword",))
        hashed = await self._passwords.hash(new_password)
        # Sessions are ended one tenant a transaction: before the link is used up, so that a failure in between leaves it to be used
        # again, and after the old password stopped working, for one that was opened meanwhile.
        await self._sessions.revoke_all_of_user(None, user["id"], reason="PASSWORD_CHANGED")
        # The link came to the address, which proves it.
        values = {User.password_hash: hashed, User.email_verified_at: user["email_verified_at"] or self._now()}
        await self._change(user["id"], values, tell=user, by=token_hash)
        await self._sessions.revoke_all_of_user(None, user["id"], reason="PASSWORD_CHANGED")
        await self._throttle.clear(self._limits.guesses_at(user["email"]))

    async def email_verify(self, token: str) -> UUID:
        """Confirm an address by a mailed link, which works once, and return whose it is."""
        token_hash = _hash_of_link(token)
        async with self._system.writing() as scope:
            used = await users.use_token(scope, token_hash, purpose=_VERIFY, now=self._now())
            if used is None or await users.change(scope, used["user_id"], {User.email_verified_at: self._now()}) is None:
                raise LinkIsNotValid
            await self._record(scope, EmailVerified(user_id=used["user_id"]))
        user_id: UUID = used["user_id"]
        return user_id

    async def profile_update(
        self, viewer: Viewer, *, name: str | None = None, locale: str | None = None, avatar_url: str | None = None
    ) -> Row:
        """Change what is given and return the profile; an empty text removes a locale or a picture, None leaves a value as it is."""
        _check(viewer)
        values: dict[Any, Any] = {}
        if name is not None:
            values[User.name] = checked_name(name)
        if locale is not None:
            values[User.locale] = checked_locale(locale)
        if avatar_url is not None:
            values[User.avatar_url] = checked_url(avatar_url)
        async with self._system.writing() as scope:
            row = await users.change(scope, viewer.user_id, values) if values else await users.profile(scope, viewer.user_id)
            if values:
                await self._record(scope, ProfileUpdated(user_id=viewer.user_id))
        if row is None:
            raise Unauthenticated
        return row

    async def _found(self, user: User, tenant_name: str) -> UUID:
        """The account and a tenant of its own, and a mail that asks to confirm the address."""
        now, token = self._now(), new_link_token()
        new = await tenants.prepare(self._keyring, tenant_name)
        mail = await self._mail_queue.seal(verification_mail(self._settings, to=user.email, name=user.name, token=token))
        async with self._system.writing(new.tenant_id) as scope:
            await _create(scope, user)
            await tenants.found(scope, new, user.id, now)
            await users.create_token(scope, self._link(user.id, token, _VERIFY, timedelta(hours=self._settings.email_verification_hours)))
            await self._mail_queue.enqueue(scope, mail)
        return new.tenant_id

    async def _join(self, user: User, tenant_id: UUID, token: str) -> None:
        """The account in the tenant that invited it; the invitation came to the address, which proves it."""
        user.email_verified_at = self._now()
        async with self._system.writing(tenant_id) as scope:
            await _create(scope, user)
            await join(scope, tenant_id, token, user_id=user.id, email=user.email, now=self._now())

    async def _mail_reset(self, email: str) -> None:
        user, token = await self._by_email(email), new_link_token()
        if user is None:
            return
        mail = await self._mail_queue.seal(reset_mail(self._settings, to=user["email"], name=user["name"], token=token))
        link = self._link(user["id"], token, _RESET, timedelta(minutes=self._settings.password_reset_minutes))
        async with self._system.writing() as scope:
            await users.create_token(scope, link)
            await self._mail_queue.enqueue(scope, mail)

    async def _change(self, user_id: UUID, values: dict[Any, Any], *, tell: Row | None = None, by: bytes | None = None) -> None:
        """Change an account, in one transaction with the link that allows it and the mail that tells of it."""
        mail = tell and await self._mail_queue.seal(password_changed_mail(self._settings, to=tell["email"], name=tell["name"]))
        async with self._system.writing() as scope:
            if by is not None and await users.use_token(scope, by, purpose=_RESET, now=self._now()) is None:
                raise LinkIsNotValid
            await users.change(scope, user_id, values)
            if tell and mail:
                await self._mail_queue.enqueue(scope, mail)
                await self._record(scope, PasswordChanged(user_id=user_id))
                if by is not None and tell["email_verified_at"] is None:
                    await self._record(scope, EmailVerified(user_id=user_id))

    async def _record(self, scope: Writing, happened: UserFact) -> None:
        """Write a fact of a person for each of their tenants, in the transaction of their change."""
        for membership in await members.of_user(scope, happened.user_id):
            await self._system.turn(scope, membership["tenant_id"])
            await record(scope, membership["tenant_id"], happened, by=Person(happened.user_id))

    async def _tenant_to_enter(self, user_id: UUID, slug: str | None) -> UUID:
        memberships = [row for row in await self._memberships(user_id) if _is_open(row)]
        if not memberships:
            raise PermissionDenied("This account belongs to no tenant that is open.")
        named = (row for row in memberships if row["tenant_slug"] == slug)
        tenant_id: UUID = next(named, memberships[0])["tenant_id"]
        return tenant_id

    async def _memberships(self, user_id: UUID) -> list[Row]:
        async with self._system.reading() as scope:
            return await members.of_user(scope, user_id)

    async def _by_email(self, email: str) -> Row | None:
        if not is_email(email):
            return None
        async with self._system.reading() as scope:
            return await users.by_email(scope, normalised_email(email))

    async def _by_id(self, user_id: UUID) -> Row:
        async with self._system.reading() as scope:
            user = await users.by_id(scope, user_id)
        if user is None:
            raise Unauthenticated
        return user

    async def _owner_of(self, token_hash: bytes, purpose: str) -> Row:
        async with self._system.reading() as scope:
            link = await users.token(scope, token_hash, purpose=purpose, now=self._now())
            user = link and await users.by_id(scope, link["user_id"])
        if user is None:
            raise LinkIsNotValid
        return user

    def _link(self, user_id: UUID, token: str, purpose: str, life: timedelta) -> UserToken:
        now = self._now()
        return UserToken(id=uuid7(), user_id=user_id, purpose=purpose, token_hash=hash_token(token), created_at=now, expires_at=now + life)


async def _create(scope: Writing, user: User) -> None:
    if await users.create(scope, user) is None:
        raise Conflict("There is an account with this e-mail address already; sign in.", path=["email"])


def _is_open(membership: Row) -> bool:
    return membership["status"] == "ACTIVE" and membership["tenant_status"] in OPEN_TENANTS


def _check(viewer: Viewer) -> None:
    if not can_manage_account(viewer):
        raise PermissionDenied("Only a signed-in person can do this, not an API key.")


def _hash_of_link(token: str) -> bytes:
    if parse_link_token(token) is None:
        raise LinkIsNotValid
    return hash_token(token)
