"""Statements over people and the links that were mailed to them; all but `profile` and `names` need a system scope."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from db.scopes import Reading, Row, Writing
from db.tables.users import User, UserToken

PROFILE: Final = User.all_columns(exclude=[User.password_hash])


async def create(scope: Writing, user: User) -> Row | None:
    """Add a person; None when the e-mail address is taken."""
    return await scope.row(
        """
        INSERT INTO directory.users (id, email, name, password_hash, email_verified_at, created_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (lower(email)) DO NOTHING
        RETURNING id
        """,
        user.id,
        user.email,
        user.name,
        user.password_hash,
        user.email_verified_at,
        user.created_at,
    )


async def by_email(scope: Reading, email: str) -> Row | None:
    """Find who signs in with this address, whatever its case."""
    return await scope.row("SELECT * FROM directory.users WHERE lower(email) = lower($1) AND erased_at IS NULL", email)


async def by_id(scope: Reading, user_id: UUID) -> Row | None:
    return await scope.row(User.select().where(User.id == user_id).where(User.erased_at.is_null()))


async def profile(scope: Reading, user_id: UUID) -> Row | None:
    """Read what members may see of each other; in a tenant's scope, of members only."""
    return await scope.row(User.select(*PROFILE).where(User.id == user_id))


async def names(scope: Reading, user_ids: Collection[UUID]) -> dict[UUID, str]:
    """Read what people are called; in a tenant's scope, of members only."""
    found = await scope.rows("SELECT id, name FROM directory.users WHERE id = ANY($1)", list(user_ids)) if user_ids else []
    return {row["id"]: row["name"] for row in found}


async def change(scope: Writing, user_id: UUID, values: Mapping[Any, Any]) -> Row | None:
    """Change columns of a person."""
    return await scope.row(User.update(dict(values)).where(User.id == user_id).where(User.erased_at.is_null()).returning(*PROFILE))


async def create_token(scope: Writing, token: UserToken) -> None:
    """Add a link's token, which ends those of the same person and purpose."""
    await scope.run(UserToken.delete().where(UserToken.user_id == token.user_id).where(UserToken.purpose == token.purpose))
    await scope.run(UserToken.insert(token))


_USABLE: Final = "token_hash = $1 AND purpose = $2 AND used_at IS NULL AND expires_at > $3"


async def token(scope: Reading, token_hash: bytes, *, purpose: str, now: datetime) -> Row | None:
    """Find a token that can still be used."""
    return await scope.row(f"SELECT * FROM directory.user_tokens WHERE {_USABLE}", token_hash, purpose, now)  # noqa: S608 - a constant


async def use_token(scope: Writing, token_hash: bytes, *, purpose: str, now: datetime) -> Row | None:
    """Use a token up; None for whoever comes second."""
    return await scope.row(f"UPDATE directory.user_tokens SET used_at = $3 WHERE {_USABLE} RETURNING *", token_hash, purpose, now)  # noqa: S608 - a constant
