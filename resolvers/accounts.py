"""Signing up, in and out, passwords and profiles."""

from dataclasses import dataclass
from uuid import UUID

from auth.policies.documents import sends_documents_only
from auth.sessions import OpenedSession, Transport
from auth.viewers import Viewer
from db.scopes import Row
from errors import Code, Unauthenticated
from gateway.formats import hash_of
from resolvers.operations import Operation


class DocumentIsNotPublished(Unauthenticated):
    """Somebody has signed in by a document that is none of those which they may send: nothing more of it is theirs."""

    def __init__(self) -> None:
        message = "You are signed in, but this document is not a published one: go on with another."
        super().__init__(message, reason=Code.PERSISTED_DOCUMENT_REQUIRED)


@dataclass(frozen=True, kw_only=True)
class SignUp:
    """What somebody new tells of themselves; `tenant_name` or `invitation_token` says where they belong."""

    email: str
    password: str
    name: str
    tenant_name: str | None
    invitation_token: str | None


async def sign_up(operation: Operation, asked: SignUp, transport: Transport) -> OpenedSession:
    """Make an account and sign it in."""
    caller = operation.caller
    opened = await operation.works.accounts.sign_up(
        email=asked.email,
        password=asked.password,
        name=asked.name,
        tenant_name=asked.tenant_name,
        invitation_token=asked.invitation_token,
        transport=transport,
        address=caller.address,
        user_agent=caller.user_agent,
    )
    return await _entered(operation, opened, transport)


async def sign_in(operation: Operation, *, email: str, password: str, tenant_slug: str | None, transport: Transport) -> OpenedSession:
    """Open a session; the rest of the operation is asked in its name."""
    caller = operation.caller
    opened = await operation.works.accounts.sign_in(
        email=email, password=password, tenant_slug=tenant_slug, transport=transport, address=caller.address, user_agent=caller.user_agent
    )
    return await _entered(operation, opened, transport)


async def sign_out(operation: Operation) -> None:
    """End the session that speaks; nothing to do without one."""
    if operation.credential is not None and operation.credential.session_id is not None:
        await operation.works.accounts.sign_out(operation.credential)
        operation.credential = None
    operation.keep_session("")


async def tenant_switch(operation: Operation, tenant_id: UUID, transport: Transport | None) -> OpenedSession:
    """Open a session in another tenant of the same person; without `transport`, it is carried as the present one is."""
    caller, viewer = operation.caller, operation.viewer
    if transport is None:
        present = await operation.questions.session_by_id.load(viewer.credential_id)
        transport = "COOKIE" if present is None else present["transport"]
    opened = await operation.works.accounts.tenant_switch(
        viewer, tenant_id, transport=transport, address=caller.address, user_agent=caller.user_agent
    )
    return await _entered(operation, opened, transport)


async def password_change(operation: Operation, *, current: str, new: str) -> None:
    """Change the password; other sessions end."""
    await operation.works.accounts.password_change(operation.viewer, current, new)


async def password_reset_request(operation: Operation, email: str) -> None:
    """Mail a link, if there is such an account; nobody learns whether there is."""
    await operation.works.accounts.password_reset_request(email, operation.caller.address)


async def password_reset(operation: Operation, *, token: str, new: str) -> None:
    """Set a password by a mailed link; all sessions end, the one that speaks too."""
    await operation.works.accounts.password_reset(token, new)


async def email_verify(operation: Operation, token: str) -> None:
    """Believe an address by a mailed link."""
    await operation.works.accounts.email_verify(token)


async def profile_update(operation: Operation, *, name: str | None, locale: str | None, avatar_url: str | None) -> Row:
    """Change what others see of oneself: None leaves a value as it is, an empty text removes it."""
    return await operation.works.accounts.profile_update(operation.viewer, name=name, locale=locale, avatar_url=avatar_url)


async def _entered(operation: Operation, opened: OpenedSession, transport: Transport) -> OpenedSession:
    """Ask the rest of the operation in the name of who has entered, unless its document is one that they may not send."""
    if await _may_send(operation, opened.viewer):
        operation.credential = opened.viewer
    else:
        operation.credential, operation.refusal = None, DocumentIsNotPublished()
    if transport == "COOKIE":
        operation.keep_session(opened.token)
    return opened


async def _may_send(operation: Operation, viewer: Viewer) -> bool:
    """Whether the viewer might have sent this document: it was admitted for nobody, or for somebody of another tenant."""
    if not sends_documents_only(viewer):
        return True
    return operation.document is not None and await operation.works.documents.find(viewer, hash_of(operation.document)) is not None
