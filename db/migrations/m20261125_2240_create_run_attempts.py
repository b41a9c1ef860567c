"""Create the attempts of runs: each call of a model, with what it used and cost."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration
from db.protection import drop, protect

ID = "m20261125_2240_create_run_attempts"
VERSION = "1.38.0"
DESCRIPTION = "create the attempts of runs"
PARTITIONS = 8

FORWARDS = [
    # `number` counts a run's calls of models from 1, over all of its steps and workers, so that a call is written and billed once.
    """
    CREATE TABLE penny.run_attempts (
        tenant_id uuid NOT NULL,
        run_id uuid NOT NULL,
        number int NOT NULL,
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
        price_version text,
        currency text,
        cost numeric,
        PRIMARY KEY (tenant_id, run_id, number),
        FOREIGN KEY (tenant_id, run_id) REFERENCES penny.runs (tenant_id, id) ON DELETE CASCADE
    ) PARTITION BY HASH (tenant_id)
    """,
    "CREATE INDEX run_attempts_of_deployment ON penny.run_attempts (tenant_id, deployment_id, started_at)",
    *protect("run_attempts", app="SELECT, INSERT, UPDATE, DELETE", partitions=PARTITIONS),
]
BACKWARDS = drop(["run_attempts"])


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
