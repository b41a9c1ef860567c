"""Statements over mails that wait to be sent."""

from datetime import datetime
from uuid import UUID

from db.scopes import Reading, Row, Writing
from db.tables.mails import Mail


async def create(scope: Writing, mail_id: UUID, content: bytes, now: datetime) -> None:
    """Queue a mail; a tenant's scope may do this and nothing else with mails."""
    queued = "INSERT INTO directory.mails (id, content, created_at, next_attempt_at) VALUES ($1, $2, $3, $3)"
    await scope.run(queued, mail_id, content, now)


async def claim(scope: Writing, *, now: datetime, until: datetime) -> Row | None:
    """Take the mail that is due longest and is nobody else's, count the attempt, and keep it from others until then."""
    return await scope.row(
        """
        UPDATE directory.mails SET attempts = attempts + 1, next_attempt_at = $2
        WHERE id = (
            SELECT id FROM directory.mails
            WHERE sent_at IS NULL AND failed_at IS NULL AND next_attempt_at <= $1
            ORDER BY next_attempt_at, id LIMIT 1
            FOR UPDATE SKIP LOCKED
        )
        RETURNING *
        """,
        now,
        until,
    )


async def sent(scope: Writing, mail_id: UUID, now: datetime, *, keep: bool) -> None:
    """Note that a mail was sent; its content, which may hold a secret link, goes unless it is to be kept."""
    done = "UPDATE directory.mails SET sent_at = $2, content = CASE WHEN $3 THEN content ELSE '' END WHERE id = $1"
    await scope.run(done, mail_id, now, keep)


async def failed(scope: Writing, mail_id: UUID, now: datetime, *, keep: bool) -> None:
    """Give a mail up."""
    done = "UPDATE directory.mails SET failed_at = $2, content = CASE WHEN $3 THEN content ELSE '' END WHERE id = $1"
    await scope.run(done, mail_id, now, keep)


async def postponed(scope: Writing, mail_id: UUID, until: datetime) -> None:
    """Let a mail wait for its next attempt."""
    await scope.run("UPDATE directory.mails SET next_attempt_at = $2 WHERE id = $1", mail_id, until)


async def newest(scope: Reading, limit: int) -> list[Row]:
    """Read the mails that were queued last, the newest first."""
    return await scope.rows(Mail.select().order_by(Mail.id, ascending=False).limit(limit))
