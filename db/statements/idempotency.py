"""Statements over idempotency keys: the first to claim one does the work, the others wait for it and get its result."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec

from db.scopes import Reading, Row, Writing


async def claim(  # noqa: PLR0913 - a key, an input, a result
    scope: Writing,
    tenant_id: UUID,
    principal_id: UUID,
    *,
    key_hash: bytes,
    input_hash: bytes,
    result: dict[str, Any],
    life: timedelta,
) -> Row | None:
    """Store the result this work will have; None when it is ours, else the first claim's row.

    A parallel claim of the same key waits here until the first transaction ends.
    """
    claimed = await scope.row(
        """
        INSERT INTO penny.idempotency_keys AS old (tenant_id, principal_id, key_hash, input_hash, result, created_at)
        VALUES ($1, $2, $3, $4, $5, now())
        ON CONFLICT (tenant_id, principal_id, key_hash) DO UPDATE
            SET input_hash = excluded.input_hash, result = excluded.result, created_at = now()
            WHERE old.created_at < now() - $6::interval
        RETURNING 1
        """,
        tenant_id,
        principal_id,
        key_hash,
        input_hash,
        msgspec.json.encode(result).decode(),
        life,
    )
    if claimed is not None:
        return None
    return await scope.row(
        "SELECT input_hash, result FROM penny.idempotency_keys WHERE tenant_id = $1 AND principal_id = $2 AND key_hash = $3",
        tenant_id,
        principal_id,
        key_hash,
    )


async def find(scope: Reading, tenant_id: UUID, principal_id: UUID, *, key_hash: bytes, life: timedelta) -> Row | None:
    """Look whether a key is claimed, and claim nothing."""
    return await scope.row(
        """
        SELECT input_hash, result FROM penny.idempotency_keys
        WHERE tenant_id = $1 AND principal_id = $2 AND key_hash = $3 AND created_at >= now() - $4::interval
        """,
        tenant_id,
        principal_id,
        key_hash,
        life,
    )
