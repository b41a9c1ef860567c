"""Statements over the blind index: kept beside what it finds, and looked up by terms."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from db.scopes import Reading, Row, Writing
from db.statements.chats import READABLE
from db.statements.edges import EARLIEST, FIRST_ID, LAST_ID, LATEST

Terms = Sequence[int]
HIGHEST_SCORE: Final = 2**62

# PostgreSQL's arrays of arrays are rectangles, so the terms of all rows come as one array, and each row's place in it.
# What a message meant before it means no more, and a worker is told to look.
_KEEP_MESSAGES: Final = """
    WITH gone AS (
        DELETE FROM penny.message_vectors WHERE tenant_id = $1 AND message_id = ANY ($2::uuid[])
    ), kept AS (
        INSERT INTO penny.message_terms (tenant_id, message_id, chat_id, author_id, created_at, key_version, terms)
        SELECT m.tenant_id, m.id, m.chat_id, m.author_id, m.created_at, $6, ($5::bigint[])[said.first:said.last]
        FROM unnest($2::uuid[], $3::int[], $4::int[]) AS said (id, first, last)
        JOIN penny.messages m ON m.tenant_id = $1 AND m.id = said.id
        ON CONFLICT (tenant_id, message_id) DO UPDATE SET terms = excluded.terms, key_version = excluded.key_version
        RETURNING message_id
    )
    INSERT INTO penny.vectors_due (tenant_id, message_id)
    SELECT $1, message_id FROM kept WHERE current_setting('app.embeddings', true) = 'on'
    ON CONFLICT (tenant_id, message_id) DO UPDATE SET due_at = now()
"""
_KEEP_TITLES: Final = """
    INSERT INTO penny.chat_terms (tenant_id, chat_id, owner_id, created_at, key_version, terms)
    SELECT c.tenant_id, c.id, c.owner_id, c.created_at, $6, ($5::bigint[])[kept.first:kept.last]
    FROM unnest($2::uuid[], $3::int[], $4::int[]) AS kept (id, first, last)
    JOIN penny.chats c ON c.tenant_id = $1 AND c.id = kept.id
    ON CONFLICT (tenant_id, chat_id) DO UPDATE SET terms = excluded.terms, key_version = excluded.key_version
"""


async def keep_messages(scope: Writing, tenant_id: UUID, terms: Mapping[UUID, Terms], *, key_version: int) -> None:
    """Write the terms of messages, in place of what they had."""
    await scope.run(_KEEP_MESSAGES, tenant_id, *_flat(terms), key_version)


async def copy_messages(scope: Writing, tenant_id: UUID, message_ids: Sequence[UUID]) -> None:
    """Find copies of messages by the terms of their originals: the same words under the same key."""
    await scope.run(
        """
        WITH kept AS (
            INSERT INTO penny.message_terms (tenant_id, message_id, chat_id, author_id, created_at, key_version, terms)
            SELECT m.tenant_id, m.id, m.chat_id, m.author_id, m.created_at, t.key_version, t.terms
            FROM unnest($2::uuid[]) AS copy (id)
            JOIN penny.messages m ON m.tenant_id = $1 AND m.id = copy.id
            JOIN penny.message_terms t ON t.tenant_id = $1 AND t.message_id = m.copied_from_id
            RETURNING message_id
        )
        INSERT INTO penny.vectors_due (tenant_id, message_id)
        SELECT $1, message_id FROM kept WHERE current_setting('app.embeddings', true) = 'on'
        """,
        tenant_id,
        list(message_ids),
    )


async def keep_titles(scope: Writing, tenant_id: UUID, terms: Mapping[UUID, Terms], *, key_version: int) -> None:
    """Write the terms of chats' titles, in place of what they had."""
    await scope.run(_KEEP_TITLES, tenant_id, *_flat(terms), key_version)


def _flat(terms: Mapping[UUID, Terms]) -> tuple[list[UUID], list[int], list[int], list[int]]:
    """Return the rows, where each one's terms begin and end, counted from 1, and all terms."""
    firsts: list[int] = []
    lasts: list[int] = []
    every: list[int] = []
    for one in terms.values():
        firsts.append(len(every) + 1)
        every.extend(one)
        lasts.append(len(every))
    return list(terms), firsts, lasts, every


_SAMPLE: Final = """
    WITH newest AS (
        SELECT message_id, chat_id, terms FROM penny.message_terms WHERE tenant_id = $1 ORDER BY message_id DESC LIMIT $5
    ), seen AS (
        SELECT newest.terms FROM newest JOIN penny.chats chat ON chat.tenant_id = $1 AND chat.id = newest.chat_id
        WHERE {readable} ORDER BY newest.message_id DESC LIMIT $4
    )
    SELECT NULL AS term, count(*) AS messages FROM seen
    UNION ALL
    SELECT wanted.term, count(*) FROM seen JOIN unnest($3::bigint[]) AS wanted (term) ON wanted.term = ANY (seen.terms) GROUP BY 1
"""
_READABLE_SAMPLE: Final = _SAMPLE.format(readable=READABLE.format(chat="chat", reader="$2"))
# So many of the tenant's newest messages are looked at for each one that the reader may see.
SAMPLED_FOR_ONE: Final = 4


async def sample(scope: Reading, tenant_id: UUID, reader_id: UUID, wanted: Terms, *, size: int) -> tuple[int, dict[int, int]]:
    """Look at some of the newest messages that the reader may see: how many, `size` at most, and how many of them have each term.

    Others' messages must not count: by the scores of what they may read, readers would learn which words those have.
    """
    rows = await scope.rows(_READABLE_SAMPLE, tenant_id, reader_id, list(wanted), size, size * SAMPLED_FOR_ONE)
    counts = {row["term"]: row["messages"] for row in rows}
    return counts.pop(None), counts


_NEWEST: Final = """
    SELECT id, content FROM (
        SELECT newest.id, newest.content, sum(octet_length(newest.content)) OVER (ORDER BY newest.id DESC) AS bytes FROM (
            SELECT id, chat_id, content FROM penny.messages
            WHERE tenant_id = $1 AND ($6::uuid IS NULL OR chat_id = $6){of_chat} AND ($5::uuid IS NULL OR author_id = $5)
              AND created_at >= $3 AND created_at < $4 AND status NOT IN ('PENDING', 'STREAMING')
            ORDER BY id DESC LIMIT $9
        ) newest
        JOIN penny.chats chat ON chat.tenant_id = $1 AND chat.id = newest.chat_id
        WHERE {readable} ORDER BY newest.id DESC LIMIT $7
    ) readable WHERE bytes <= $8 ORDER BY id DESC
"""
_NEWEST_OF_TENANT: Final = _NEWEST.format(of_chat="", readable=READABLE.format(chat="chat", reader="$2"))
_NEWEST_OF_CHAT: Final = _NEWEST.format(of_chat=" AND chat_id = $6", readable=READABLE.format(chat="chat", reader="$2"))


async def newest(  # noqa: PLR0913 - the filters of the search
    scope: Reading,
    tenant_id: UUID,
    reader_id: UUID,
    *,
    since: datetime | None,
    until: datetime | None,
    author_id: UUID | None,
    chat_id: UUID | None,
    limit: int,
    bytes_limit: int,
) -> list[Row]:
    """Read messages for words that no index has: of the newest that the filters let through, the newest that the reader may see.

    Together they have at most so many bytes; what is older than the first one that has too many is not read.
    """
    statement = _NEWEST_OF_TENANT if chat_id is None else _NEWEST_OF_CHAT
    most = limit * SAMPLED_FOR_ONE
    return await scope.rows(
        statement, tenant_id, reader_id, since or EARLIEST, until or LATEST, author_id, chat_id, limit, bytes_limit, most
    )


_MATCHES: Final = """
    SELECT coalesce(hit.message_id, hit.chat_id) AS id, hit.message_id, hit.chat_id, hit.score
    FROM penny.matching_terms($3, $4, $5, $6, $7, $8, $9, $10, $11, $12) AS hit
    JOIN penny.chats chat ON chat.tenant_id = $1 AND chat.id = hit.chat_id
    WHERE {readable} AND (hit.score, coalesce(hit.message_id, hit.chat_id)) < ($13, $14)
    ORDER BY hit.score DESC, coalesce(hit.message_id, hit.chat_id) DESC LIMIT $15
"""
_FIND: Final = _MATCHES.format(readable=READABLE.format(chat="chat", reader="$2"))


async def find(  # noqa: PLR0913 - what is wanted, and the filters of the search
    scope: Reading,
    tenant_id: UUID,
    reader_id: UUID,
    *,
    rare: Terms,
    weights: Mapping[int, int],
    lowest: int,
    since: datetime | None,
    until: datetime | None,
    author_id: UUID | None,
    chat_id: UUID | None,
    messages: bool,
    titles: bool,
    beyond: tuple[int, UUID] | None,
    limit: int,
) -> list[Row]:
    """Find messages and chats that the reader may see, which have one of the rare terms and together weigh enough, best first."""
    return await scope.rows(
        _FIND, tenant_id, reader_id, list(rare), list(weights), list(weights.values()), lowest, since or EARLIEST, until or LATEST,
        author_id, chat_id, messages, titles, *(beyond or (HIGHEST_SCORE, LAST_ID)), limit,
    )  # fmt: skip


_WITHOUT_TERMS: Final = """
    FROM penny.messages m
    WHERE m.tenant_id = $1 AND m.id > $2 AND m.status NOT IN ('PENDING', 'STREAMING') AND NOT EXISTS (
        SELECT 1 FROM penny.message_terms t WHERE t.tenant_id = $1 AND t.message_id = m.id AND t.key_version = $3
    )
"""
_TITLES_WITHOUT_TERMS: Final = """
    FROM penny.chats c
    WHERE c.tenant_id = $1 AND c.id > $2 AND c.title IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM penny.chat_terms t WHERE t.tenant_id = $1 AND t.chat_id = c.id AND t.key_version = $3
    )
"""
_MISSING: Final = f"SELECT m.id, m.content {_WITHOUT_TERMS} ORDER BY m.id LIMIT $4 FOR NO KEY UPDATE"
_MISSING_TITLES: Final = f"SELECT c.id, c.title {_TITLES_WITHOUT_TERMS} ORDER BY c.id LIMIT $4 FOR NO KEY UPDATE"
_COUNT: Final = f"SELECT (SELECT count(*) {_WITHOUT_TERMS}) + (SELECT count(*) {_TITLES_WITHOUT_TERMS})"


async def missing(scope: Writing, tenant_id: UUID, *, after: UUID, key_version: int, limit: int) -> list[Row]:
    """Read messages that have no terms under this key, by id, and keep them as they are until the scope ends."""
    return await scope.rows(_MISSING, tenant_id, after, key_version, limit)


async def missing_titles(scope: Writing, tenant_id: UUID, *, after: UUID, key_version: int, limit: int) -> list[Row]:
    """Read chats whose titles have no terms under this key, by id, and keep them as they are until the scope ends."""
    return await scope.rows(_MISSING_TITLES, tenant_id, after, key_version, limit)


async def count_missing(scope: Reading, tenant_id: UUID, *, key_version: int) -> int:
    """Count the messages and titles that have no terms under this key."""
    return int(str(await scope.value(_COUNT, tenant_id, FIRST_ID, key_version)))
