"""Keep the attempts of titles and summaries beside those of runs, with who asked, in which chat, and at which price."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration
from db.migrations import m20261125_2240_create_run_attempts as before
from db.protection import drop, over_all_tenants, protect

ID = "m20261125_2350_keep_attempts_of_all_work"
VERSION = "1.38.0"
DESCRIPTION = "keep the attempts of all work"
PARTITIONS = 8
SHARED = """
    number, step, policy_id, deployment_id, model, wire, region, credential_owner, reason, continues_partial, started_at, first_token_ms,
    ended_at, failure, message, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, usage_estimated,
    price_version, currency, cost
"""

FORWARDS = [
    # `work_id` is the run or the job that asked. Nothing here points at a chat or a run so that what was used stays known when they go;
    # `price` is the whole price that was in force at `started_at`, so that each cost can be counted again.
    """
    CREATE TABLE penny.attempts (
        tenant_id uuid NOT NULL REFERENCES penny.tenants (tenant_id) ON DELETE CASCADE,
        work_id uuid NOT NULL,
        number int NOT NULL,
        kind text NOT NULL CHECK (kind IN ('ANSWER', 'TITLE', 'SUMMARY')),
        chat_id uuid NOT NULL,
        created_by uuid NOT NULL,
        step int NOT NULL DEFAULT 0,
        policy_id uuid,
        deployment_id uuid NOT NULL,
        model text NOT NULL,
        wire text NOT NULL,
        region text,
        credential_owner text NOT NULL CHECK (credential_owner IN ('PLATFORM', 'TENANT', 'USER')),
        reason text NOT NULL,
        continues_partial boolean NOT NULL DEFAULT false,
        started_at timestamptz NOT NULL,
        first_token_ms int,
        ended_at timestamptz,
        failure text,
        message text,
        input_tokens bigint NOT NULL DEFAULT 0,
        output_tokens bigint NOT NULL DEFAULT 0,
        cache_read_tokens bigint NOT NULL DEFAULT 0,
        cache_write_tokens bigint NOT NULL DEFAULT 0,
        reasoning_tokens bigint NOT NULL DEFAULT 0,
        usage_estimated boolean NOT NULL DEFAULT false,
        price jsonb,
        price_version text,
        currency text,
        cost numeric,
        PRIMARY KEY (tenant_id, work_id, number)
    ) PARTITION BY HASH (tenant_id)
    """,
    "CREATE INDEX attempts_of_deployment ON penny.attempts (tenant_id, deployment_id, started_at)",
    "CREATE INDEX attempts_in_chat ON penny.attempts (tenant_id, chat_id)",
    *protect("attempts", app="SELECT, INSERT, UPDATE", partitions=PARTITIONS),
    *over_all_tenants(
        "runs",
        *over_all_tenants(
            "run_attempts",
            *over_all_tenants(
                "attempts",
                f"""
    INSERT INTO penny.attempts (tenant_id, work_id, kind, chat_id, created_by, {SHARED})
    SELECT tenant_id, run_id, 'ANSWER', chat_id, created_by, {SHARED}
    FROM penny.run_attempts JOIN (SELECT tenant_id, id AS run_id, chat_id, created_by FROM penny.runs) run USING (tenant_id, run_id)
    """,  # noqa: S608 - constants
            ),
        ),
    ),
    *drop(["run_attempts"]),
]
BACKWARDS = [
    *before.FORWARDS,
    *over_all_tenants(
        "runs",
        *over_all_tenants(
            "run_attempts",
            *over_all_tenants(
                "attempts",
                f"""
    INSERT INTO penny.run_attempts (tenant_id, run_id, {SHARED})
    SELECT tenant_id, work_id, {SHARED} FROM penny.attempts a
    WHERE kind = 'ANSWER' AND EXISTS (SELECT 1 FROM penny.runs r WHERE r.tenant_id = a.tenant_id AND r.id = a.work_id)
    """,  # noqa: S608 - constants
            ),
        ),
    ),
    *drop(["attempts"]),
]


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
