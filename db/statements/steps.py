"""Statements over the steps of runs. A step is born with its claim, grows with each save, and is closed once."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from db.scopes import Reading, Row, Writing

TOKENS: Final = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")


async def of_run(scope: Reading, tenant_id: UUID, run_id: UUID) -> list[Row]:
    """Read a run's steps in their order."""
    return await scope.rows("SELECT * FROM penny.run_steps WHERE tenant_id = $1 AND run_id = $2 ORDER BY step", tenant_id, run_id)


async def close(  # noqa: PLR0913 - what a step comes to
    scope: Writing, tenant_id: UUID, run_id: UUID, step: int, *, outcome: str, said: Mapping[str, int], usage: Mapping[str, Any]
) -> bool:
    """Write what a step said and used; False when it was closed before, and is then left as it is."""
    return bool(
        await scope.run(
            """
            UPDATE penny.run_steps SET outcome = $4, ended_at = now(), text_bytes = $5, reasoning_bytes = $6, input_tokens = $7,
                output_tokens = $8, cache_read_tokens = $9, cache_write_tokens = $10, reasoning_tokens = $11, usage_estimated = $12
            WHERE tenant_id = $1 AND run_id = $2 AND step = $3 AND outcome = 'OPEN'
            """,
            tenant_id,
            run_id,
            step,
            outcome,
            said["text"],
            said["reasoning"],
            *(usage[name] for name in TOKENS),
            usage["estimated"],
        )
    )


async def add_up(scope: Writing, tenant_id: UUID, run_id: UUID) -> None:
    """Write what a run's steps used together as what the run used."""
    sums = ", ".join(f"sum({name})" for name in TOKENS)
    await scope.run(
        f"""
        UPDATE penny.runs SET ({", ".join(TOKENS)}, usage_estimated) = (
            SELECT {sums}, bool_or(usage_estimated) FROM penny.run_steps WHERE tenant_id = $1 AND run_id = $2
        )
        WHERE tenant_id = $1 AND id = $2
        """,  # noqa: S608 - constants
        tenant_id,
        run_id,
    )
