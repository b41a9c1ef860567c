"""People, tenants and a clock for tests of who is asking, and the works of a process of its own beside the shared one."""

import asyncio
import contextlib
import dataclasses
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from auth.accounts import Accounts
from auth.api_keys import ApiKeys
from auth.background import Background
from auth.invitations import Invitations
from auth.mail_queue import MailQueue
from auth.mailer import PrintedMailer
from auth.members import Members
from auth.passwords import Passwords
from auth.sessions import OpenedSession, Sessions
from auth.throttle import Throttle
from auth.viewers import Viewer
from db.scopes import Row, SystemScopes, TenantScopes
from db.statements import credentials, members, users
from events.revocations import Revocations
from web.works import Process

PASSWORD = "correct horse battery staple"


class Watch:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.time

    def pass_(self, **span: float) -> None:
        self.time += timedelta(**span)


@dataclass
class House:
    """The works of who is asking, with settings and a clock of their own, on the worker's database and Valkey."""

    watch: Watch
    scopes: TenantScopes
    system: SystemScopes
    background: Background
    sessions: Sessions
    api_keys: ApiKeys
    accounts: Accounts
    invitations: Invitations
    members: Members
    mail_queue: MailQueue

    async def signed_up(self, **given: Any) -> OpenedSession:
        """A new person, by default with a tenant of their own."""
        form = {"email": new_email(), "password": PASSWORD, "name": "Ada", "tenant_name": "Analytical Engines", "invitation_token": None}
        return await self.accounts.sign_up(**{**form, **place(), **given})

    async def signed_in(self, email: str, password: str = PASSWORD, **given: Any) -> OpenedSession:
        return await self.accounts.sign_in(**{"email": email, "password": password, "tenant_slug": None, **place(), **given})

    async def joined(self, inviter: Viewer, role: str) -> OpenedSession:
        """A new person in the inviter's tenant, in the role of this name."""
        email = new_email()
        await self.invitations.invite(inviter, email=email, role_id=(await self.role(inviter.tenant_id, role))["id"])
        return await self.signed_up(email=email, name="Grace", invitation_token=await self.token_for(email, "invitation"))

    async def role(self, tenant_id: UUID, name: str) -> Row:
        async with self.scopes.reading(tenant_id) as scope:
            row = await members.role_named(scope, tenant_id, name)
        assert row is not None
        return row

    async def membership(self, viewer: Viewer) -> Row:
        rows = await self.accounts.tenants_of(viewer)
        return next(row for row in rows if row["tenant_id"] == viewer.tenant_id)

    async def email_of(self, viewer: Viewer) -> str:
        async with self.system.reading() as scope:
            row = await users.by_id(scope, viewer.user_id)
        assert row is not None
        email: str = row["email"]
        return email

    async def mails_to(self, email: str) -> list[str]:
        """The subjects and texts of the mails to this address, the newest first."""
        await self.background.idle()
        return [f"{one.mail.subject}\n{one.mail.text}" for one in await self.mail_queue.recent(200) if one.mail.to == email]

    async def token_for(self, email: str, page: str) -> str:
        """The token of the newest link to this page that was mailed to this address."""
        found = [match[1] for mail in await self.mails_to(email) if (match := re.search(rf"/{page}#token=(\S+)", mail))]
        return found[0]

    async def session_row(self, viewer: Viewer) -> Row | None:
        async with self.system.reading() as scope:
            rows = await scope.rows("SELECT * FROM penny.sessions WHERE id = $1", viewer.session_id)
        return rows[0] if rows else None

    async def key_row(self, tenant_id: UUID, key_id: UUID) -> Row:
        async with self.scopes.reading(tenant_id) as scope:
            row = await credentials.api_key_for_use(scope, tenant_id, key_id)
        assert row is not None
        return row


@contextlib.asynccontextmanager
async def open_house(process: Process, **changes: Any) -> AsyncIterator[House]:
    """A house on the shared servers; `changes` are settings."""
    settings = dataclasses.replace(process.works.settings, **changes)
    scopes, system, keyring, watch = process.works.scopes, process.system, process.works.keyring, Watch()
    background, passwords = Background(), Passwords(settings)
    revocations, throttle = Revocations(process.valkey, settings), Throttle(process.valkey, settings)
    mail_queue = MailQueue(system, keyring, PrintedMailer(lambda _: None), settings, now=watch)
    sessions = Sessions(scopes=scopes, system=system, revocations=revocations, background=background, settings=settings, now=watch)
    house = House(
        watch=watch,
        scopes=scopes,
        system=system,
        background=background,
        sessions=sessions,
        api_keys=ApiKeys(scopes=scopes, revocations=revocations, background=background, settings=settings, now=watch),
        accounts=Accounts(
            system=system,
            keyring=keyring,
            passwords=passwords,
            throttle=throttle,
            sessions=sessions,
            mail_queue=mail_queue,
            background=background,
            settings=settings,
            now=watch,
        ),
        invitations=Invitations(scopes=scopes, system=system, throttle=throttle, mail_queue=mail_queue, settings=settings, now=watch),
        members=Members(scopes=scopes, revocations=revocations, now=watch),
        mail_queue=mail_queue,
    )
    try:
        yield house
    finally:
        await background.close()
        passwords.close()


class Holder:
    """A superuser that holds rows, so that others overtake each other exactly where a test wants it."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    @contextlib.asynccontextmanager
    async def holding(self, rows: str, *arguments: object) -> AsyncIterator[None]:
        """Hold what this locking SELECT finds for the length of the block."""
        async with self._connection.transaction():
            assert await self._connection.fetch(rows, *arguments)
            yield

    async def until_waiting(self, count: int) -> None:
        """Return when so many others wait for locks of this database."""
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        async with asyncio.timeout(10):
            while await self._connection.fetchval(waiting) < count:
                await asyncio.sleep(0.01)
                # Inside a transaction the view shows what it showed first.
                await self._connection.execute("SELECT pg_stat_clear_snapshot()")


def new_email() -> str:
    return f"{uuid4().hex}@example.org"


def place() -> dict[str, Any]:
    """Where a form is sent from: an address that no other test has, so that nobody's attempts count for another."""
    number = uuid4().int
    return {"transport": "BEARER", "address": f"10.{number % 256}.{number // 256 % 256}.{number // 65536 % 256}", "user_agent": "tests"}
