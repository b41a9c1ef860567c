"""Accounts: signing up, in and out, passwords, e-mail addresses and profiles."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from auth.background import Background
from auth.encryption.keyring import Keyring
from auth.mail_queue import MailQueue
from auth.passwords import Passwords
from auth.sessions import OpenedSession, Sessions, Transport
from auth.throttle import Throttle
from auth.viewers import Viewer
from db.scopes import Row, SystemScopes
from settings import Settings


class Accounts:
    def __init__(
        self, *, system: SystemScopes, keyring: Keyring, passwords: Passwords, throttle: Throttle, sessions: Sessions,
        mail_queue: MailQueue, background: Background, settings: Settings, now: Callable[[], datetime] = ...,
    ) -> None:
        raise NotImplementedError

    async def sign_up(
        self, *, email: str, password: str, name: str, tenant_name: str | None, invitation_token: str | None, transport: Transport,
        address: str, user_agent: str | None,
    ) -> OpenedSession:
        raise NotImplementedError

    async def sign_in(
        self, *, email: str, password: str, tenant_slug: str | None, transport: Transport, address: str, user_agent: str | None
    ) -> OpenedSession:
        raise NotImplementedError

    async def sign_out(self, viewer: Viewer) -> None:
        raise NotImplementedError

    async def tenant_switch(
        self, viewer: Viewer, tenant_id: UUID, *, transport: Transport, address: str, user_agent: str | None
    ) -> OpenedSession:
        raise NotImplementedError

    async def tenants_of(self, viewer: Viewer) -> list[Row]:
        """The person's memberships in all tenants: columns of memberships, tenant_{slug,name,status,region,created_at,revision}, role_{name,builtin,scopes}."""
        raise NotImplementedError

    async def password_change(self, viewer: Viewer, current: str, new: str) -> None:
        raise NotImplementedError

    async def password_reset_request(self, email: str, address: str) -> None:
        raise NotImplementedError

    async def password_reset(self, token: str, new_password: str) -> None:
        raise NotImplementedError

    async def email_verify(self, token: str) -> UUID:
        raise NotImplementedError

    async def profile_update(
        self, viewer: Viewer, *, name: str | None = None, locale: str | None = None, avatar_url: str | None = None
    ) -> Row:
        """None leaves a value as it is, an empty text removes it (not the name). Row: users without password_hash."""
        raise NotImplementedError
