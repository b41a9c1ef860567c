"""Statements over attempts: each call of a model is one row, however often it is saved. They outlive the runs and jobs that asked."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec

from db.scopes import Reading, Row, Writing
from db.statements.projections import Columns, Projection
from db.statements.steps import TOKENS
from db.tables.attempts import Attempt

WORKER_LOST: Final = "The worker that asked was lost."

# Rows come as one JSON document: what is written at once is one statement, whatever its number of attempts.
_SAVE: Final = """
    INSERT INTO penny.attempts SELECT * FROM jsonb_populate_recordset(NULL::penny.attempts, $2::jsonb) WHERE tenant_id = $1
    ON CONFLICT (tenant_id, work_id, number) DO UPDATE SET
        first_token_ms = excluded.first_token_ms, ended_at = excluded.ended_at, failure = excluded.failure, message = excluded.message,
        input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens, cache_read_tokens = excluded.cache_read_tokens,
        cache_write_tokens = excluded.cache_write_tokens, reasoning_tokens = excluded.reasoning_tokens,
        usage_estimated = excluded.usage_estimated, cost = excluded.cost
    WHERE attempts.ended_at IS NULL
"""


async def save(scope: Writing, tenant_id: UUID, attempts: Sequence[Mapping[str, Any]]) -> None:
    """Write attempts, each with all its columns; one that is there already grows until it has ended, and is then left as it is."""
    await scope.run(_SAVE, tenant_id, msgspec.json.encode(attempts).decode())


async def close(  # noqa: PLR0913 - which one, and what it came to
    scope: Writing, tenant_id: UUID, work_id: UUID, number: int, *, usage: Mapping[str, Any], cost: Decimal | None
) -> None:
    """End an attempt that a lost worker left open, with what it used and, where it has a price, what that cost."""
    await scope.run(
        """
        UPDATE penny.attempts SET ended_at = now(), input_tokens = $4, output_tokens = $5, cache_read_tokens = $6,
            cache_write_tokens = $7, reasoning_tokens = $8, usage_estimated = $9, cost = $10, message = $11
        WHERE tenant_id = $1 AND work_id = $2 AND number = $3 AND ended_at IS NULL
        """,
        tenant_id,
        work_id,
        number,
        *(usage[name] for name in TOKENS),
        usage["estimated"],
        cost,
        WORKER_LOST,
    )


_BY_WORKS: Final = Projection(
    "SELECT {columns} FROM penny.attempts WHERE tenant_id = $1 AND work_id = ANY($2::uuid[]) ORDER BY work_id, number",
    Attempt,
    always=("work_id", "number"),
)


async def by_works(scope: Reading, tenant_id: UUID, work_ids: Sequence[UUID], columns: Columns | None = None) -> list[Row]:
    """Read the attempts of runs and jobs, each one's in their order."""
    return await scope.rows(_BY_WORKS.text(columns), tenant_id, list(work_ids))


# Each chat by itself, so that its attempts are found by their index.
_USED_IN_CHATS: Final = f"""
    SELECT asked.chat_id, used.* FROM unnest($2::uuid[]) AS asked (chat_id)
    CROSS JOIN LATERAL (
        SELECT {", ".join(f"coalesce(sum({name}), 0)::bigint AS {name}" for name in TOKENS)},
            coalesce(bool_or(usage_estimated), false) AS usage_estimated, sum(cost) AS cost, count(cost) = count(*) AS all_have_costs,
            array_agg(DISTINCT currency) FILTER (WHERE cost IS NOT NULL) AS currencies,
            array_agg(DISTINCT price_version) FILTER (WHERE price_version IS NOT NULL) AS price_versions
        FROM penny.attempts attempt
        WHERE attempt.tenant_id = $1 AND attempt.chat_id = asked.chat_id AND attempt.ended_at IS NOT NULL
    ) used
"""  # noqa: S608 - constants


async def used_in_chats(scope: Reading, tenant_id: UUID, chat_ids: Sequence[UUID]) -> list[Row]:
    """Add up what the attempts used and cost that have ended in each chat; one without any has a row of nothing."""
    return await scope.rows(_USED_IN_CHATS, tenant_id, list(chat_ids))


# A rate is only measured where there was something to measure: tokens per second from the first token on.
_STATS: Final = """
    SELECT deployment_id, count(*) AS requests,
        count(*) FILTER (WHERE failure IS NOT NULL)::float8 / count(*) AS error_rate,
        percentile_disc(0.5) WITHIN GROUP (ORDER BY first_token_ms) AS ttft_p50_ms,
        percentile_disc(0.95) WITHIN GROUP (ORDER BY first_token_ms) AS ttft_p95_ms,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY CASE
            WHEN failure IS NULL AND said_ms > 0 AND output_tokens + reasoning_tokens > 1
            THEN (output_tokens + reasoning_tokens - 1) * 1000 / said_ms END) AS tokens_per_second_p50,
        sum(cost) * 1000000 / nullif(sum(output_tokens + reasoning_tokens) FILTER (WHERE cost IS NOT NULL), 0) AS cost_per_m_tok_out
    FROM (
        SELECT *, extract(epoch FROM ended_at - started_at)::float8 * 1000 - first_token_ms AS said_ms
        FROM unnest($2::uuid[]) AS asked (id)
        CROSS JOIN LATERAL (
            SELECT * FROM penny.attempts one
            WHERE one.tenant_id = $1 AND one.deployment_id = asked.id AND one.started_at >= $3 AND one.started_at < $4
                AND one.ended_at IS NOT NULL
            ORDER BY one.started_at DESC LIMIT $5
        ) latest
    ) attempt
    GROUP BY deployment_id
"""


async def stats(  # noqa: PLR0913 - what is measured, and how much of it
    scope: Reading, tenant_id: UUID, deployment_ids: Sequence[UUID], *, since: datetime, until: datetime, most: int
) -> list[Row]:
    """Measure deployments by a tenant's attempts that have ended, at most the latest `most` of each; one without any has no row."""
    return await scope.rows(_STATS, tenant_id, list(deployment_ids), since, until, most)
