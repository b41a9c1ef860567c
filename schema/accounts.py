"""Accounts: signing up, in and out, passwords, e-mail addresses and profiles."""

from typing import Annotated, Any

import strawberry

from auth.sessions import OpenedSession, Transport
from events.facts import EmailVerified, MemberJoined, PasswordChanged, ProfileUpdated, SessionOpened, SessionRevoked
from resolvers import accounts
from resolvers.accounts import SignUp
from resolvers.operations import Operation
from schema.errors import Payload
from schema.fields import Info, mutation
from schema.ids import local_id
from schema.scalars import URL
from schema.sessions import Session, TokenTransport
from schema.users import User
from schema.viewers import Viewer


@strawberry.input(description="A new account.")
class SignUpInput:
    email: str = strawberry.field(description="Your e-mail address; a mail asks you to confirm it.")
    password: str = strawberry.field(description="Your password, of at least 10 characters unless this server asks for more.")
    name: str = strawberry.field(description="What others call you.")
    tenant_name: str | None = strawberry.field(
        description="Name of the tenant to make, which you will own; without it, yours. With an invitation, none is made.", default=None
    )
    invitation_token: str | None = strawberry.field(
        description="An invitation's token, to join its tenant instead of making one.", default=None
    )
    transport: TokenTransport = strawberry.field(description="How the session travels.", default=TokenTransport.COOKIE)


@strawberry.input(description="Who signs in.")
class SignInInput:
    email: str = strawberry.field(description="The account's e-mail address.")
    password: str = strawberry.field(description="Its password.")
    tenant_slug: str | None = strawberry.field(description="The tenant to enter; without it, the one where you were last.", default=None)
    transport: TokenTransport = strawberry.field(description="How the session travels.", default=TokenTransport.COOKIE)


@strawberry.input(description="The tenant to enter.")
class TenantSwitchInput:
    tenant_id: strawberry.ID = strawberry.field(description="A tenant that you belong to.")
    transport: TokenTransport | None = strawberry.field(
        description="How the new session travels; without it, as the present one.", default=None
    )


@strawberry.input(description="A confirmation of an e-mail address.")
class EmailVerifyInput:
    token: str = strawberry.field(description="The token at the end of the mailed link.")


@strawberry.input(description="A new password.")
class PasswordChangeInput:
    current_password: str = strawberry.field(description="The password until now.")
    new_password: str = strawberry.field(description="The password from now on.")


@strawberry.input(description="A forgotten password.")
class PasswordResetRequestInput:
    email: str = strawberry.field(description="The account's e-mail address.")


@strawberry.input(description="A new password for a forgotten one.")
class PasswordResetInput:
    token: str = strawberry.field(description="The token at the end of the mailed link; it works once.")
    new_password: str = strawberry.field(description="The password from now on.")


@strawberry.input(description="A change to your profile. What is left out stays as it is; null removes it.")
class ProfileUpdateInput:
    name: str | None = strawberry.field(description="What others call you; cannot be removed.", default=strawberry.UNSET)
    locale: str | None = strawberry.field(description="Your language, as a BCP 47 tag such as `de-AT`.", default=strawberry.UNSET)
    avatar_url: URL | None = strawberry.field(description="Address of your picture.", default=strawberry.UNSET)


@strawberry.type
class _Entered(Payload):
    viewer: Viewer | None = strawberry.field(
        description="You, in the tenant of the new session. Null where you may send published documents only and this is none of them: the "
        "rest of the operation is not asked in your name then.",
        default=None,
    )
    session: Session | None = strawberry.field(description="The new session.", default=None)
    token_once: str | None = strawberry.field(
        description="The session's token with the transport `BEARER`. It is shown this once: keep it.", default=None
    )


@strawberry.type(description="The account that was made, signed in.")
class SignUpPayload(_Entered): ...


@strawberry.type(description="The session that was opened.")
class SignInPayload(_Entered): ...


@strawberry.type(description="The session in the other tenant; the one before has ended.")
class TenantSwitchPayload(_Entered): ...


@strawberry.type(description="Whether you are signed out.")
class SignOutPayload(Payload):
    signed_out: bool = strawberry.field(description="True when the session has ended, or there was none.", default=False)


@strawberry.type(description="Whether the mail is on its way.")
class PasswordResetRequestPayload(Payload):
    accepted: bool | None = strawberry.field(
        description="True whether or not there is such an account: nobody learns that here.", default=None
    )


@strawberry.type
class _Done(Payload):
    viewer: Viewer | None = strawberry.field(description="You, if you are signed in.", default=None)


@strawberry.type(description="Who confirmed their address.")
class EmailVerifyPayload(_Done): ...


@strawberry.type(description="Whose password was changed.")
class PasswordChangePayload(_Done): ...


@strawberry.type(description="Whose password was reset.")
class PasswordResetPayload(_Done): ...


@strawberry.type(description="The changed profile.")
class ProfileUpdatePayload(Payload):
    user: User | None = strawberry.field(description="You, as others see you now.", default=None)


async def _sign_up(info: Info, input: Annotated[SignUpInput, strawberry.argument(description="The account.")]) -> SignUpPayload:
    asked = SignUp(
        email=input.email,
        password=input.password,
        name=input.name,
        tenant_name=input.tenant_name,
        invitation_token=input.invitation_token,
    )
    opened = await accounts.sign_up(info.context, asked, _transport(input.transport))
    return SignUpPayload(**_entered(info.context, opened))


async def _sign_in(info: Info, input: Annotated[SignInInput, strawberry.argument(description="Who signs in.")]) -> SignInPayload:
    opened = await accounts.sign_in(
        info.context, email=input.email, password=input.password, tenant_slug=input.tenant_slug, transport=_transport(input.transport)
    )
    return SignInPayload(**_entered(info.context, opened))


async def _sign_out(info: Info) -> SignOutPayload:
    await accounts.sign_out(info.context)
    return SignOutPayload(signed_out=True)


async def _tenant_switch(
    info: Info, input: Annotated[TenantSwitchInput, strawberry.argument(description="The tenant.")]
) -> TenantSwitchPayload:
    tenant_id = local_id(input.tenant_id, "Tenant", path=["tenantId"])
    opened = await accounts.tenant_switch(info.context, tenant_id, input.transport and _transport(input.transport))
    return TenantSwitchPayload(**_entered(info.context, opened))


async def _email_verify(info: Info, input: Annotated[EmailVerifyInput, strawberry.argument(description="The link.")]) -> EmailVerifyPayload:
    await accounts.email_verify(info.context, input.token)
    return EmailVerifyPayload(viewer=_viewer(info.context))


async def _password_change(
    info: Info, input: Annotated[PasswordChangeInput, strawberry.argument(description="Both passwords.")]
) -> PasswordChangePayload:
    await accounts.password_change(info.context, current=input.current_password, new=input.new_password)
    return PasswordChangePayload(viewer=_viewer(info.context))


async def _password_reset_request(
    info: Info, input: Annotated[PasswordResetRequestInput, strawberry.argument(description="The account.")]
) -> PasswordResetRequestPayload:
    await accounts.password_reset_request(info.context, input.email)
    return PasswordResetRequestPayload(accepted=True)


async def _password_reset(
    info: Info, input: Annotated[PasswordResetInput, strawberry.argument(description="The link and the password.")]
) -> PasswordResetPayload:
    await accounts.password_reset(info.context, token=input.token, new=input.new_password)
    return PasswordResetPayload(viewer=_viewer(info.context))


async def _profile_update(
    info: Info, input: Annotated[ProfileUpdateInput, strawberry.argument(description="The change.")]
) -> ProfileUpdatePayload:
    row = await accounts.profile_update(
        info.context, name=input.name or None, locale=_removable(input.locale), avatar_url=_removable(input.avatar_url)
    )
    return ProfileUpdatePayload(user=User.of(row))


def _transport(asked: TokenTransport) -> Transport:
    return "COOKIE" if asked is TokenTransport.COOKIE else "BEARER"


def _removable(value: str | None) -> str | None:
    """Say it as the works do: None leaves a value as it is, an empty text removes it."""
    return None if value is strawberry.UNSET else value or ""


def _viewer(operation: Operation) -> Viewer | None:
    return None if operation.credential is None else Viewer(viewer=operation.credential)


def _entered(operation: Operation, opened: OpenedSession) -> dict[str, Any]:
    bearer = opened.session["transport"] == "BEARER"
    return {"viewer": _viewer(operation), "session": Session(row=opened.session), "token_once": opened.token if bearer else None}


@strawberry.type
class Mutation:
    sign_up: SignUpPayload = mutation(
        _sign_up,
        payload=SignUpPayload,
        public=True,
        cost=50,
        emits=[MemberJoined, SessionOpened],
        description="Make an account, with a tenant of its own or by an invitation.",
    )
    sign_in: SignInPayload = mutation(
        _sign_in, payload=SignInPayload, public=True, cost=50, emits=[SessionOpened], description="Open a session."
    )
    sign_out: SignOutPayload = mutation(
        _sign_out, payload=SignOutPayload, public=True, emits=[SessionRevoked], description="End the session that asks."
    )
    tenant_switch: TenantSwitchPayload = mutation(
        _tenant_switch,
        payload=TenantSwitchPayload,
        emits=[SessionOpened, SessionRevoked],
        description="Enter another of your tenants: a new session replaces this one.",
    )
    email_verify: EmailVerifyPayload = mutation(
        _email_verify,
        payload=EmailVerifyPayload,
        public=True,
        emits=[EmailVerified],
        description="Confirm an e-mail address by a mailed link.",
    )
    password_change: PasswordChangePayload = mutation(
        _password_change,
        payload=PasswordChangePayload,
        cost=50,
        emits=[PasswordChanged, SessionRevoked],
        description="Change your password; your other sessions end.",
    )
    password_reset_request: PasswordResetRequestPayload = mutation(
        _password_reset_request,
        payload=PasswordResetRequestPayload,
        public=True,
        emits=[],
        description="Ask for a link to set a forgotten password anew.",
    )
    password_reset: PasswordResetPayload = mutation(
        _password_reset,
        payload=PasswordResetPayload,
        public=True,
        cost=50,
        emits=[EmailVerified, PasswordChanged, SessionRevoked],
        description="Set a password by a mailed link; all sessions of the account end.",
    )
    profile_update: ProfileUpdatePayload = mutation(
        _profile_update, payload=ProfileUpdatePayload, emits=[ProfileUpdated], description="Change how others see you, in every tenant."
    )
