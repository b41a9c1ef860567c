"""Statements over sessions, API keys and the platform's wrapped data keys."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from db.scopes import Reading, Row, Writing
from db.tables.credentials import ApiKey, PlatformKey, Session

SESSION: Final = Session.all_columns(exclude=[Session.token_hash])
API_KEY: Final = ApiKey.all_columns(exclude=[ApiKey.secret_hash, ApiKey.previous_hash])


async def create_session(scope: Writing, session: Session) -> Row:
    row = await scope.row(Session.insert(session).returning(*SESSION))
    assert row is not None
    return row


# The token names no tenant, so this looks across all of them, in a system scope.
SESSION_BY_HASH: Final = """
    SELECT s.tenant_id, s.id, s.user_id, s.last_seen_at, s.expires_at, s.revoked_at,
        m.role_id, m.status AS member_status, r.scopes, t.status AS tenant_status, t.settings AS tenant_settings
    FROM penny.sessions s
    JOIN penny.memberships m ON m.tenant_id = s.tenant_id AND m.user_id = s.user_id
    JOIN penny.roles r ON r.tenant_id = m.tenant_id AND r.id = m.role_id
    JOIN penny.tenants t ON t.tenant_id = s.tenant_id
    WHERE s.token_hash = $1
"""


async def session_by_token(scope: Reading, token_hash: bytes) -> Row | None:
    """Read a session with what its owner is in the tenant."""
    return await scope.row(SESSION_BY_HASH, token_hash)


async def open_sessions(scope: Reading, tenant_id: UUID, user_id: UUID, now: datetime) -> list[Row]:
    """Read a person's sessions in this tenant that still count, the latest seen first."""
    query = Session.select(*SESSION).where(Session.tenant_id == tenant_id).where(Session.user_id == user_id)
    query = query.where(Session.revoked_at.is_null()).where(Session.expires_at > now)
    return await scope.rows(query.order_by(Session.last_seen_at, Session.id, ascending=False).limit(1000))


async def sessions(scope: Reading, tenant_id: UUID, session_ids: Sequence[UUID]) -> list[Row]:
    """Read sessions with the scopes that their owners' roles grant."""
    return await scope.rows(
        """
        SELECT s.id, s.user_id, r.scopes
        FROM penny.sessions s
        JOIN penny.memberships m ON m.tenant_id = s.tenant_id AND m.user_id = s.user_id
        JOIN penny.roles r ON r.tenant_id = m.tenant_id AND r.id = m.role_id
        WHERE s.tenant_id = $1 AND s.id = ANY($2::uuid[])
        ORDER BY s.id
        """,
        tenant_id,
        list(session_ids),
    )


async def tenants_with_sessions(scope: Reading, user_id: UUID) -> list[UUID]:
    """Name the tenants in which a person has sessions that were not revoked; needs a system scope."""
    found = "SELECT DISTINCT tenant_id FROM penny.sessions WHERE user_id = $1 AND revoked_at IS NULL ORDER BY tenant_id"
    return [row["tenant_id"] for row in await scope.rows(found, user_id)]


async def revoke_sessions(scope: Writing, tenant_id: UUID, session_ids: Sequence[UUID], now: datetime) -> list[Row]:
    """Revoke sessions, and return the `id` and `user_id` of those that had not been revoked."""
    ended = """
        UPDATE penny.sessions SET revoked_at = $3 WHERE tenant_id = $1 AND id = ANY($2::uuid[]) AND revoked_at IS NULL
        RETURNING id, user_id
    """
    return await scope.rows(ended, tenant_id, list(session_ids), now)


async def revoke_sessions_of(scope: Writing, tenant_id: UUID, user_id: UUID, *, except_id: UUID | None, now: datetime) -> list[UUID]:
    """Revoke a person's sessions in this tenant, all or all but one."""
    ended = """
        UPDATE penny.sessions SET revoked_at = $4
        WHERE tenant_id = $1 AND user_id = $2 AND id IS DISTINCT FROM $3 AND revoked_at IS NULL
        RETURNING id
    """
    return [row["id"] for row in await scope.rows(ended, tenant_id, user_id, except_id, now)]


async def touch_session(scope: Writing, tenant_id: UUID, session_id: UUID, now: datetime) -> None:
    await scope.run("UPDATE penny.sessions SET last_seen_at = $3 WHERE tenant_id = $1 AND id = $2", tenant_id, session_id, now)


async def count_api_keys(scope: Writing, tenant_id: UUID, user_id: UUID, now: datetime) -> int:
    """Count a member's API keys that have not ended; until the scope ends nobody else counts them."""
    await scope.run("SELECT FROM penny.memberships WHERE tenant_id = $1 AND user_id = $2 FOR NO KEY UPDATE", tenant_id, user_id)
    row = await scope.row(
        """
        SELECT count(*)::int AS keys FROM penny.api_keys
        WHERE tenant_id = $1 AND user_id = $2 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3)
        """,
        tenant_id,
        user_id,
        now,
    )
    return 0 if row is None else int(row["keys"])


async def create_api_key(scope: Writing, key: ApiKey) -> Row:
    row = await scope.row(ApiKey.insert(key).returning(*API_KEY))
    assert row is not None
    return row


API_KEY_FOR_USE: Final = """
    SELECT k.user_id, k.secret_hash, k.previous_hash, k.previous_valid_until, k.scopes, k.expires_at, k.revoked_at, k.last_used_at,
        k.document_client, m.role_id, m.status AS member_status, r.scopes AS role_scopes, t.status AS tenant_status,
        t.settings AS tenant_settings
    FROM penny.api_keys k
    JOIN penny.memberships m ON m.tenant_id = k.tenant_id AND m.user_id = k.user_id
    JOIN penny.roles r ON r.tenant_id = m.tenant_id AND r.id = m.role_id
    JOIN penny.tenants t ON t.tenant_id = k.tenant_id
    WHERE k.tenant_id = $1 AND k.id = $2
"""


async def api_key_for_use(scope: Reading, tenant_id: UUID, key_id: UUID) -> Row | None:
    """Read an API key's hashes and limits with what its owner is in the tenant."""
    return await scope.row(API_KEY_FOR_USE, tenant_id, key_id)


async def locked_api_key(scope: Writing, tenant_id: UUID, key_id: UUID) -> Row | None:
    """Read an API key and keep it from other writers until the scope ends."""
    return await scope.row("SELECT * FROM penny.api_keys WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE", tenant_id, key_id)


async def rotate_api_key(scope: Writing, tenant_id: UUID, key_id: UUID, *, secret_hash: bytes, previous_valid_until: datetime) -> Row:
    """Give an API key a new secret; the one it had still counts for a while."""
    key = ApiKey.update(
        {ApiKey.previous_hash: ApiKey.secret_hash, ApiKey.secret_hash: secret_hash, ApiKey.previous_valid_until: previous_valid_until}
    )
    row = await scope.row(key.where(ApiKey.tenant_id == tenant_id).where(ApiKey.id == key_id).returning(*API_KEY))
    assert row is not None
    return row


async def revoke_api_key(scope: Writing, tenant_id: UUID, key_id: UUID, now: datetime) -> Row:
    """Revoke an API key; one that was revoked before keeps its time."""
    revoked = """
        UPDATE penny.api_keys SET revoked_at = coalesce(revoked_at, $3) WHERE tenant_id = $1 AND id = $2
        RETURNING tenant_id, id, name, prefix, previous_valid_until, scopes, document_client, user_id, created_at, last_used_at,
            expires_at, revoked_at
    """
    row = await scope.row(revoked, tenant_id, key_id, now)
    assert row is not None
    return row


async def touch_api_key(scope: Writing, tenant_id: UUID, key_id: UUID, now: datetime) -> None:
    await scope.run("UPDATE penny.api_keys SET last_used_at = $3 WHERE tenant_id = $1 AND id = $2", tenant_id, key_id, now)


async def page_of_api_keys(  # noqa: PLR0913 - whose, and the place of a page
    scope: Reading, tenant_id: UUID, user_id: UUID | None, *, beyond: UUID | None, newest_first: bool, limit: int
) -> list[Row]:
    """Read a page of a person's API keys, or of everybody's, by creation; revoked ones are among them."""
    query = ApiKey.select(*API_KEY).where(ApiKey.tenant_id == tenant_id)
    if user_id is not None:
        query = query.where(ApiKey.user_id == user_id)
    if beyond is not None:
        query = query.where(ApiKey.id < beyond if newest_first else ApiKey.id > beyond)
    return await scope.rows(query.order_by(ApiKey.id, ascending=not newest_first).limit(limit))


async def platform_keys(scope: Reading) -> list[Row]:
    """Read all versions of the platform's data key, oldest first."""
    return await scope.rows(PlatformKey.select().order_by(PlatformKey.version))


async def add_first_platform_key(scope: Writing, *, wrapped: bytes, key_id: str) -> None:
    """Add version 1 unless another process just did."""
    first = """
        INSERT INTO directory.platform_keys (version, state, wrapped, key_id) VALUES (1, 'ACTIVE', $1, $2)
        ON CONFLICT (version) DO NOTHING
    """
    await scope.run(first, wrapped, key_id)


async def add_platform_key(scope: Writing, key: PlatformKey) -> None:
    """Add a version of the platform's data key; one that exists is refused by the database."""
    await scope.run(PlatformKey.insert(key))


async def retire_platform_keys(scope: Writing) -> None:
    """Let the active versions only decrypt from now on."""
    await scope.run(PlatformKey.update({PlatformKey.state: "DECRYPT_ONLY"}).where(PlatformKey.state == "ACTIVE"))
