"""Statements over the vectors of messages: what is due, what is near."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from db.scopes import Reading, Row, Writing
from db.statements.chats import READABLE
from db.statements.edges import EARLIEST, LATEST


async def tenants_with_due(scope: Reading, limit: int) -> list[UUID]:
    """Name tenants, in a system scope, whose messages wait for their vectors, those that wait longest first."""
    rows = await scope.rows(
        """
        SELECT tenant_id FROM (SELECT tenant_id, due_at FROM penny.vectors_due WHERE due_at <= now() ORDER BY due_at LIMIT $1) AS due
        GROUP BY tenant_id ORDER BY min(due_at)
        """,
        limit,
    )
    return [row["tenant_id"] for row in rows]


async def claim(scope: Writing, tenant_id: UUID, *, lease: timedelta, limit: int) -> list[Row]:
    """Take messages that are due, with their contents, and keep them from other workers for so long."""
    return await scope.rows(
        """
        WITH taken AS (
            UPDATE penny.vectors_due SET due_at = clock_timestamp() + $2
            WHERE tenant_id = $1 AND message_id IN (
                SELECT message_id FROM penny.vectors_due WHERE tenant_id = $1 AND due_at <= now()
                ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED
            )
            RETURNING message_id, due_at
        )
        SELECT m.id, m.content, taken.due_at FROM taken JOIN penny.messages m ON m.tenant_id = $1 AND m.id = taken.message_id
        """,
        tenant_id,
        lease,
        limit,
    )


async def keep(
    scope: Writing, tenant_id: UUID, *, due: Mapping[UUID, datetime], embeddings: Sequence[tuple[UUID, int, str]], key_version: int
) -> None:
    """Write vectors, each of a chunk of a message; a message that was changed or claimed meanwhile keeps what it has."""
    await scope.run(
        """
        WITH done AS (
            DELETE FROM penny.vectors_due d USING unnest($2::uuid[], $3::timestamptz[]) AS claimed (id, due_at)
            WHERE d.tenant_id = $1 AND d.message_id = claimed.id AND d.due_at = claimed.due_at
            RETURNING d.message_id
        )
        INSERT INTO penny.message_vectors (tenant_id, message_id, chunk, chat_id, author_id, created_at, key_version, embedding)
        SELECT m.tenant_id, m.id, made.chunk, m.chat_id, m.author_id, m.created_at, $7, made.embedding::halfvec
        FROM unnest($4::uuid[], $5::int[], $6::text[]) AS made (id, chunk, embedding)
        JOIN done ON done.message_id = made.id
        JOIN penny.messages m ON m.tenant_id = $1 AND m.id = made.id
        """,
        tenant_id,
        list(due),
        list(due.values()),
        [message_id for message_id, _, _ in embeddings],
        [chunk for _, chunk, _ in embeddings],
        [embedding for _, _, embedding in embeddings],
        key_version,
    )


async def size(scope: Reading, tenant_id: UUID, *, most: int) -> int:
    """Count a tenant's vectors, up to so many."""
    counted = "SELECT count(*) FROM (SELECT 1 FROM penny.message_vectors WHERE tenant_id = $1 LIMIT $2) AS counted"
    return int(str(await scope.value(counted, tenant_id, most)))


# The distance is the negative inner product, which is the negative cosine of vectors of length 1.
_COMPARED: Final = """
    WITH compared AS MATERIALIZED (
        SELECT message_id, chat_id, embedding <#> (SELECT $3::text::halfvec) AS distance FROM penny.message_vectors
        WHERE tenant_id = $1 AND key_version = $4 AND created_at >= $5 AND created_at < $6
          AND ($7::uuid IS NULL OR author_id = $7) AND ($8::uuid IS NULL OR chat_id = $8)
    )
    SELECT compared.message_id, -compared.distance AS similarity
    FROM compared JOIN penny.chats chat ON chat.tenant_id = $1 AND chat.id = compared.chat_id
    WHERE {readable} ORDER BY compared.distance LIMIT $9
"""
_EXACTLY: Final = _COMPARED.format(readable=READABLE.format(chat="chat", reader="$2"))
_BY_INDEX: Final = """
    SELECT message_id, -distance AS similarity
    FROM penny.nearest_messages($1, $2::text::halfvec, $3, $4, $5, $6, $7, $8) ORDER BY distance
"""


async def nearest(  # noqa: PLR0913 - what is wanted, and the filters of the search
    scope: Reading,
    tenant_id: UUID,
    reader_id: UUID,
    *,
    embedding: str,
    key_version: int,
    exactly: bool,
    since: datetime | None,
    until: datetime | None,
    author_id: UUID | None,
    chat_id: UUID | None,
    limit: int,
) -> list[Row]:
    """Find the chunks of messages that the reader may see and that are nearest to a vector, with their cosines."""
    wanted = (reader_id, embedding, key_version, since or EARLIEST, until or LATEST, author_id, chat_id, limit)
    return await scope.rows(_EXACTLY, tenant_id, *wanted) if exactly else await scope.rows(_BY_INDEX, *wanted)
