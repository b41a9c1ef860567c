"""Sessions: opened at sign-in, checked on every request, ended at once everywhere."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal
from uuid import UUID

from uuid_utils.compat import uuid7

from auth.background import Background
from auth.clock import Clock, utc_now
from auth.metrics import credential_counted
from auth.policies.members import can_end_session
from auth.standing import check_standing
from auth.tenant_settings import read_settings
from auth.tokens import hash_token, is_session_token, new_session_token
from auth.viewer_cache import ViewerCache
from auth.viewers import Viewer
from db.scopes import Row, SystemScopes, TenantScopes
from db.statements import credentials, members
from db.tables.credentials import Session
from errors import Code, NotFound, PermissionDenied, Unauthenticated
from events.facts import Person, SessionOpened, SessionRevoked, record
from events.revocations import Revocations, Revoked
from settings import Settings

Transport = Literal["COOKIE", "BEARER"]

_TOUCHED_EVERY: Final = timedelta(minutes=1)
_LONGEST_ADDRESS: Final = 64
_LONGEST_USER_AGENT: Final = 512


@dataclass(frozen=True)
class OpenedSession:
    """A new session: its token is shown this once, and only its hash is kept."""

    viewer: Viewer
    session: Row
    token: str = field(repr=False)


class Sessions:
    """Opens, checks and ends sessions; `forget` must hear everything that `Revocations.listen` yields."""

    def __init__(  # noqa: PLR0913 - what a session depends on
        self,
        *,
        scopes: TenantScopes,
        system: SystemScopes,
        revocations: Revocations,
        background: Background,
        settings: Settings,
        now: Clock = utc_now,
    ) -> None:
        self._scopes = scopes
        self._system = system
        self._revocations = revocations
        self._background = background
        self._life = timedelta(hours=settings.session_hours)
        self._now = now
        self._cache = ViewerCache(name="sessions", seconds=settings.session_cache_seconds, now=now)

    async def open(
        self, user_id: UUID, tenant_id: UUID, *, transport: Transport, address: str | None, user_agent: str | None
    ) -> OpenedSession:
        """Open a session of a member; raises `NotFound` for no member, `Unauthenticated` for a disabled one or a closed tenant."""
        token, now = new_session_token(), self._now()
        session = Session(
            tenant_id=tenant_id,
            id=uuid7(),
            user_id=user_id,
            token_hash=hash_token(token),
            transport=transport,
            created_at=now,
            last_seen_at=now,
            expires_at=now + self._life,
            address=_storable(address, _LONGEST_ADDRESS),
            user_agent=_storable(user_agent, _LONGEST_USER_AGENT),
        )
        async with self._scopes.writing(tenant_id) as scope:
            member = await members.standing(scope, tenant_id, user_id)
            if member is None:
                raise NotFound("There is no tenant with this id.")
            check_standing(member)
            row = await credentials.create_session(scope, session)
            await members.note_activity(scope, tenant_id, user_id, now)
            await record(scope, tenant_id, SessionOpened(session_id=row["id"], user_id=user_id), by=Person(user_id))
        viewer = _viewer(tenant_id, user_id, member, row, session_id=row["id"])
        return OpenedSession(viewer, row, token)

    def known(self, token: str) -> Viewer | None:
        """Who has this token, if this process has just checked it; None says nothing: ask `viewer_of`."""
        return self._cache.find(hash_token(token))

    async def viewer_of(self, token: str) -> Viewer:
        """Who has this token; raises `Unauthenticated` with UNAUTHENTICATED, TOKEN_EXPIRED, SESSION_TERMINATED or TENANT_SUSPENDED."""
        if (viewer := self.known(token)) is not None:
            return viewer
        with credential_counted("session"):
            if not is_session_token(token):
                raise Unauthenticated
            token_hash = hash_token(token)
            generation = self._cache.miss()
            async with self._system.reading() as scope:
                row = await credentials.session_by_token(scope, token_hash)
            viewer = self._checked(row)
        self._cache.keep(token_hash, viewer, generation=generation)
        return viewer

    def forget(self, revoked: Revoked | None) -> None:
        """Trust nothing that this is about without another look."""
        self._cache.forget(revoked)

    async def of_viewer(self, viewer: Viewer) -> list[Row]:
        """The viewer's own sessions in this tenant that still count, the latest seen first."""
        async with self._scopes.reading(viewer.tenant_id) as scope:
            return await credentials.open_sessions(scope, viewer.tenant_id, viewer.user_id, self._now())

    async def revoke(self, viewer: Viewer, session_ids: Sequence[UUID]) -> list[UUID]:
        """End sessions, all that are named or none; one that has ended before is named in the answer like the others."""
        wanted = list(dict.fromkeys(session_ids))
        async with self._scopes.writing(viewer.tenant_id) as scope:
            rows = await credentials.sessions(scope, viewer.tenant_id, wanted)
            if len(rows) != len(wanted):
                raise NotFound("There is no session with this id.")
            if not all(can_end_session(viewer, row) for row in rows):
                raise PermissionDenied("You may only end your own sessions.", required_scopes=["members:admin"])
            ended = await credentials.revoke_sessions(scope, viewer.tenant_id, wanted, self._now())
            await record(scope, viewer.tenant_id, *(_revoked(row["id"], row["user_id"], "SESSION_REVOKED") for row in ended), by=viewer)
        await self._tell_of(viewer.tenant_id, wanted, "SESSION_REVOKED")
        return wanted

    async def revoke_all_of_user(self, tenant_id: UUID | None, user_id: UUID, *, except_id: UUID | None = None, reason: str) -> list[UUID]:
        """End all sessions of a person, in this tenant or in all of them (one transaction a tenant)."""
        revoked: list[UUID] = []
        for one in await self._tenants(user_id) if tenant_id is None else [tenant_id]:
            async with self._scopes.writing(one) as scope:
                ended = await credentials.revoke_sessions_of(scope, one, user_id, except_id=except_id, now=self._now())
                await record(scope, one, *(_revoked(session_id, user_id, reason) for session_id in ended), by=Person(user_id))
            if ended:
                await self._tell(Revoked(kind="user", tenant_id=one, id=user_id, reason=reason))
            revoked += ended
        return revoked

    async def end(self, viewer: Viewer, *, reason: str) -> None:
        """End the session that the viewer speaks with, if it is one."""
        if viewer.session_id is not None:
            async with self._scopes.writing(viewer.tenant_id) as scope:
                ended = await credentials.revoke_sessions(scope, viewer.tenant_id, [viewer.session_id], self._now())
                await record(scope, viewer.tenant_id, *(_revoked(row["id"], row["user_id"], reason) for row in ended), by=viewer)
            await self._tell_of(viewer.tenant_id, [viewer.session_id], reason)

    def _checked(self, row: Row | None) -> Viewer:
        now = self._now()
        if row is None:
            raise Unauthenticated
        if row["revoked_at"] is not None:
            raise Unauthenticated("This session has ended; sign in again.", reason=Code.SESSION_TERMINATED)
        if row["expires_at"] <= now:
            raise Unauthenticated("This session has expired; sign in again.", reason=Code.TOKEN_EXPIRED)
        check_standing(row)
        if row["last_seen_at"] <= now - _TOUCHED_EVERY:
            self._background.start(self._touch(row["tenant_id"], row["id"], row["user_id"]), name="touch session")
        return _viewer(row["tenant_id"], row["user_id"], row, row, session_id=row["id"])

    async def _touch(self, tenant_id: UUID, session_id: UUID, user_id: UUID) -> None:
        async with self._scopes.writing(tenant_id) as scope:
            await credentials.touch_session(scope, tenant_id, session_id, self._now())
            await members.note_activity(scope, tenant_id, user_id, self._now())

    async def _tenants(self, user_id: UUID) -> list[UUID]:
        async with self._system.reading() as scope:
            return await credentials.tenants_with_sessions(scope, user_id)

    async def _tell_of(self, tenant_id: UUID, session_ids: Sequence[UUID], reason: str) -> None:
        for session_id in session_ids:
            await self._tell(Revoked(kind="session", tenant_id=tenant_id, id=session_id, reason=reason))

    async def _tell(self, revoked: Revoked) -> None:
        # This process at once, without the way through Valkey.
        self.forget(revoked)
        await self._revocations.publish(revoked)


def _viewer(tenant_id: UUID, user_id: UUID, member: Row, session: Row, *, session_id: UUID) -> Viewer:
    settings = read_settings(member["tenant_settings"])
    return Viewer(
        tenant_id=tenant_id,
        user_id=user_id,
        role_id=member["role_id"],
        scopes=frozenset(member["scopes"]),
        session_id=session_id,
        expires_at=session["expires_at"],
        trusted_documents_only=settings.trusted_documents_only,
        automatic_documents=settings.automatic_documents,
        schema_closed=settings.schema_closed,
    )


def _revoked(session_id: UUID, user_id: UUID, reason: str) -> SessionRevoked:
    return SessionRevoked(session_id=session_id, user_id=user_id, reason=reason)


def _storable(text: str | None, longest: int) -> str | None:
    """A client's own words about itself, in a length and with characters that PostgreSQL takes."""
    return None if text is None else text.encode("utf-8", "replace").decode().replace("\0", "")[:longest]
