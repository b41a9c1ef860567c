"""API keys: shown once, kept as hashes, rotated with an overlap, never worth more than their owner's role."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from uuid_utils.compat import uuid7

from auth.background import Background
from auth.clock import Clock, utc_now
from auth.metrics import credential_counted
from auth.names import checked_name, checked_scopes
from auth.policies.api_keys import can_create_key, can_revoke_key, can_rotate_key, can_see_all_keys
from auth.standing import check_standing
from auth.tenant_settings import read_settings
from auth.tokens import ApiKeyToken, api_key_prefix, hash_token, hashes_match, new_api_key, parse_api_key
from auth.viewer_cache import ViewerCache
from auth.viewers import Viewer
from db.scopes import Row, TenantScopes
from db.statements import credentials
from db.tables.credentials import ApiKey
from errors import Code, Conflict, Invalid, NotFound, PermissionDenied, Unauthenticated
from events.facts import ApiKeyCreated, ApiKeyRevoked, ApiKeyRotated, record
from events.revocations import Revocations, Revoked
from settings import Settings

_TOUCHED_EVERY: Final = timedelta(minutes=1)


class ApiKeys:
    """Makes, checks and ends API keys; rows come without hashes. `forget` must hear everything that `Revocations.listen` yields."""

    def __init__(
        self, *, scopes: TenantScopes, revocations: Revocations, background: Background, settings: Settings, now: Clock = utc_now
    ) -> None:
        self._scopes = scopes
        self._revocations = revocations
        self._background = background
        self._most = settings.member_api_keys
        self._overlap = timedelta(hours=settings.api_key_rotation_hours)
        self._now = now
        self._cache = ViewerCache(name="api_keys", seconds=settings.session_cache_seconds, now=now)

    def known(self, text: str) -> Viewer | None:
        """Whom this key speaks for, if this process has just checked it; None says nothing: ask `viewer_of`."""
        return self._cache.find(hash_token(text))

    async def viewer_of(self, text: str) -> Viewer:
        """Whom this key speaks for; raises `Unauthenticated` with the reasons that sessions have."""
        if (viewer := self.known(text)) is not None:
            return viewer
        with credential_counted("api_key"):
            named = parse_api_key(text)
            if named is None:
                raise Unauthenticated("This is no API key.")
            token_hash = hash_token(text)
            generation = self._cache.miss()
            async with self._scopes.reading(named.tenant_id) as scope:
                row = await credentials.api_key_for_use(scope, named.tenant_id, named.key_id)
            viewer = self._checked(named, row, token_hash)
        self._cache.keep(token_hash, viewer, generation=generation)
        return viewer

    def forget(self, revoked: Revoked | None) -> None:
        """Trust nothing that this is about without another look."""
        self._cache.forget(revoked)

    async def create(
        self, viewer: Viewer, *, name: str, scopes: Sequence[str], expires_at: datetime | None, document_client: str | None = None
    ) -> tuple[Row, str]:
        """A new key of the viewer's and its text, which is shown this once; without scopes it may do nothing.

        With a `document_client` it sends that client's documents only, as does every key that it makes.
        """
        name, granted = checked_name(name), checked_scopes(scopes)
        client = None if document_client is None else checked_name(document_client, path=["documentClient"])
        if expires_at is not None and expires_at <= self._now():
            raise Invalid("The key would have expired already.", path=["expiresAt"], constraint="future")
        if not can_create_key(viewer, granted, expires_at, client):
            raise PermissionDenied("A key cannot allow more, or last longer, than what makes it.", required_scopes=["keys:write", *granted])
        key_id = uuid7()
        text = new_api_key(viewer.tenant_id, key_id)
        key = ApiKey(
            tenant_id=viewer.tenant_id,
            id=key_id,
            name=name,
            prefix=api_key_prefix(key_id),
            secret_hash=hash_token(text),
            scopes=granted,
            document_client=client,
            user_id=viewer.user_id,
            created_at=self._now(),
            expires_at=expires_at,
        )
        async with self._scopes.writing(viewer.tenant_id) as scope:
            if await credentials.count_api_keys(scope, viewer.tenant_id, viewer.user_id, self._now()) >= self._most:
                raise Invalid(f"A member has at most {self._most:,} API keys; revoke one first.", constraint=f"max_items={self._most}")
            row = await credentials.create_api_key(scope, key)
            await record(scope, viewer.tenant_id, ApiKeyCreated(api_key_id=key_id, user_id=viewer.user_id), by=viewer)
        return row, text

    async def rotate(self, viewer: Viewer, key_id: UUID) -> tuple[Row, str]:
        """A new secret for a key; the one before still counts for `api_key_rotation_hours`, an older one no more."""
        text, now = new_api_key(viewer.tenant_id, key_id), self._now()
        async with self._scopes.writing(viewer.tenant_id) as scope:
            key = _found(await credentials.locked_api_key(scope, viewer.tenant_id, key_id), viewer)
            if not can_rotate_key(viewer, key):
                raise PermissionDenied("Only its owner can rotate a key.", required_scopes=["keys:write"])
            if key["revoked_at"] is not None or (key["expires_at"] is not None and key["expires_at"] <= now):
                raise Conflict("This key has ended; create another one.")
            row = await credentials.rotate_api_key(
                scope, viewer.tenant_id, key_id, secret_hash=hash_token(text), previous_valid_until=now + self._overlap
            )
            await record(scope, viewer.tenant_id, ApiKeyRotated(api_key_id=key_id, user_id=key["user_id"]), by=viewer)
        await self._tell(viewer.tenant_id, key_id, "KEY_ROTATED")
        return row, text

    async def revoke(self, viewer: Viewer, key_id: UUID) -> Row:
        """End a key for good, its secrets all; again changes nothing."""
        async with self._scopes.writing(viewer.tenant_id) as scope:
            key = _found(await credentials.locked_api_key(scope, viewer.tenant_id, key_id), viewer)
            if not can_revoke_key(viewer, key):
                raise PermissionDenied("You may only revoke your own keys.", required_scopes=["keys:write"])
            row = await credentials.revoke_api_key(scope, viewer.tenant_id, key_id, self._now())
            if key["revoked_at"] is None:
                await record(scope, viewer.tenant_id, ApiKeyRevoked(api_key_id=key_id, user_id=key["user_id"]), by=viewer)
        await self._tell(viewer.tenant_id, key_id, "KEY_REVOKED")
        return row

    async def page(
        self, viewer: Viewer, *, limit: int, beyond: UUID | None = None, newest_first: bool = True, everyone: bool = False
    ) -> list[Row]:
        """A page of the viewer's own keys, or of everybody's, by creation."""
        if everyone and not can_see_all_keys(viewer):
            raise PermissionDenied("You may only see your own keys.", required_scopes=["keys:admin"])
        owner_id = None if everyone else viewer.user_id
        async with self._scopes.reading(viewer.tenant_id) as scope:
            return await credentials.page_of_api_keys(
                scope, viewer.tenant_id, owner_id, beyond=beyond, newest_first=newest_first, limit=limit
            )

    def _checked(self, named: ApiKeyToken, row: Row | None, token_hash: bytes) -> Viewer:
        now = self._now()
        if row is None:
            raise Unauthenticated("This API key does not exist.")
        ends = [row["expires_at"]]
        if not hashes_match(token_hash, row["secret_hash"]):
            if row["previous_hash"] is None or not hashes_match(token_hash, row["previous_hash"]):
                raise Unauthenticated("This API key does not exist.")
            ends.append(row["previous_valid_until"])
        if row["revoked_at"] is not None:
            raise Unauthenticated("This API key was revoked.", reason=Code.SESSION_TERMINATED)
        expires_at = min((end for end in ends if end is not None), default=None)
        if expires_at is not None and expires_at <= now:
            raise Unauthenticated("This API key has expired.", reason=Code.TOKEN_EXPIRED)
        check_standing(row)
        if row["last_used_at"] is None or row["last_used_at"] <= now - _TOUCHED_EVERY:
            self._background.start(self._touch(named.tenant_id, named.key_id), name="touch api key")
        settings = read_settings(row["tenant_settings"])
        return Viewer(
            tenant_id=named.tenant_id,
            user_id=row["user_id"],
            role_id=row["role_id"],
            scopes=frozenset(row["scopes"]) & frozenset(row["role_scopes"]),
            api_key_id=named.key_id,
            expires_at=expires_at,
            document_client=row["document_client"],
            trusted_documents_only=settings.trusted_documents_only,
            automatic_documents=settings.automatic_documents,
            schema_closed=settings.schema_closed,
        )

    async def _touch(self, tenant_id: UUID, key_id: UUID) -> None:
        async with self._scopes.writing(tenant_id) as scope:
            await credentials.touch_api_key(scope, tenant_id, key_id, self._now())

    async def _tell(self, tenant_id: UUID, key_id: UUID, reason: str) -> None:
        revoked = Revoked(kind="api_key", tenant_id=tenant_id, id=key_id, reason=reason)
        self.forget(revoked)
        await self._revocations.publish(revoked)


def _found(key: Row | None, viewer: Viewer) -> Row:
    """Another member's key is not there for whoever may not see all keys."""
    if key is None or (key["user_id"] != viewer.user_id and not can_see_all_keys(viewer)):
        raise NotFound("There is no API key with this id.")
    return key
