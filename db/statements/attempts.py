"""Statements over the attempts of runs: each call of a model is one row, however often it is saved."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec

from db.scopes import Reading, Row, Writing
from db.statements.projections import Columns, Projection
from db.statements.steps import TOKENS
from db.tables.runs import RunAttempt

# Rows come as one JSON document: what a run writes at once is one statement, whatever its number of attempts.
_SAVE: Final = """
    INSERT INTO penny.run_attempts SELECT * FROM jsonb_populate_recordset(NULL::penny.run_attempts, $2::jsonb) WHERE tenant_id = $1
    ON CONFLICT (tenant_id, run_id, number) DO UPDATE SET
        first_token_ms = excluded.first_token_ms, ended_at = excluded.ended_at, failure = excluded.failure, message = excluded.message,
        input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens, cache_read_tokens = excluded.cache_read_tokens,
        cache_write_tokens = excluded.cache_write_tokens, reasoning_tokens = excluded.reasoning_tokens,
        usage_estimated = excluded.usage_estimated, price_version = excluded.price_version, currency = excluded.currency,
        cost = excluded.cost
    WHERE run_attempts.ended_at IS NULL
"""


async def save(scope: Writing, tenant_id: UUID, attempts: Sequence[Mapping[str, Any]]) -> None:
    """Write attempts, each with all its columns; one that is there already grows until it has ended, and is then left as it is."""
    await scope.run(_SAVE, tenant_id, msgspec.json.encode(attempts).decode())


async def close(  # noqa: PLR0913 - whose it is, and what it came to
    scope: Writing, tenant_id: UUID, run_id: UUID, step: int, *, usage: Mapping[str, Any], cost: Decimal | None
) -> None:
    """End the attempt that a lost worker's step left open, with what it used and, where its price is known, what that cost."""
    await scope.run(
        """
        UPDATE penny.run_attempts SET ended_at = now(), message = 'The worker that asked was lost.', input_tokens = $4,
            output_tokens = $5, cache_read_tokens = $6, cache_write_tokens = $7, reasoning_tokens = $8, usage_estimated = $9, cost = $10
        WHERE tenant_id = $1 AND run_id = $2 AND step = $3 AND ended_at IS NULL
        """,
        tenant_id,
        run_id,
        step,
        *(usage[name] for name in TOKENS),
        usage["estimated"],
        cost,
    )


async def close_rest(scope: Writing, tenant_id: UUID, run_id: UUID) -> None:
    """End what is open of a run that could not be read."""
    statement = "UPDATE penny.run_attempts SET ended_at = now() WHERE tenant_id = $1 AND run_id = $2 AND ended_at IS NULL"
    await scope.run(statement, tenant_id, run_id)


_BY_RUNS: Final = Projection(
    "SELECT {columns} FROM penny.run_attempts WHERE tenant_id = $1 AND run_id = ANY($2::uuid[]) ORDER BY run_id, number",
    RunAttempt,
    always=("run_id", "number"),
)


async def by_runs(scope: Reading, tenant_id: UUID, run_ids: Sequence[UUID], columns: Columns | None = None) -> list[Row]:
    """Read the attempts of runs, each run's in their order."""
    return await scope.rows(_BY_RUNS.text(columns), tenant_id, list(run_ids))


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
        SELECT *, extract(epoch FROM ended_at - started_at)::float8 * 1000 - first_token_ms AS said_ms FROM penny.run_attempts
        WHERE tenant_id = $1 AND deployment_id = ANY($2::uuid[]) AND started_at >= $3 AND started_at < $4 AND ended_at IS NOT NULL
    ) attempt
    GROUP BY deployment_id
"""


async def stats(scope: Reading, tenant_id: UUID, deployment_ids: Sequence[UUID], *, since: datetime, until: datetime) -> list[Row]:
    """Measure deployments by a tenant's own attempts that have ended; one without any has no row."""
    return await scope.rows(_STATS, tenant_id, list(deployment_ids), since, until)
