"""Create the steps of runs: each worker's turn at a run, what it said and what it used."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration
from db.protection import drop, protect

ID = "m20261125_2235_create_run_steps"
VERSION = "1.38.0"
DESCRIPTION = "create the steps of runs"
PARTITIONS = 8

FORWARDS = [
    # `step` is the epoch in which it was made, so a claim is its row's birth, and whatever is written twice is written once. The bytes
    # of all steps are the bytes of the answer: what a lost worker did not live to count is estimated from its own.
    """
    CREATE TABLE penny.run_steps (
        tenant_id uuid NOT NULL,
        run_id uuid NOT NULL,
        step int NOT NULL,
        outcome text NOT NULL DEFAULT 'OPEN' CHECK (outcome IN ('OPEN', 'ENDED', 'LOST', 'HANDED_OVER')),
        started_at timestamptz NOT NULL DEFAULT now(),
        ended_at timestamptz,
        text_bytes bigint NOT NULL DEFAULT 0,
        reasoning_bytes bigint NOT NULL DEFAULT 0,
        input_tokens bigint NOT NULL DEFAULT 0,
        output_tokens bigint NOT NULL DEFAULT 0,
        cache_read_tokens bigint NOT NULL DEFAULT 0,
        cache_write_tokens bigint NOT NULL DEFAULT 0,
        reasoning_tokens bigint NOT NULL DEFAULT 0,
        usage_estimated boolean NOT NULL DEFAULT false,
        PRIMARY KEY (tenant_id, run_id, step),
        FOREIGN KEY (tenant_id, run_id) REFERENCES penny.runs (tenant_id, id) ON DELETE CASCADE
    ) PARTITION BY HASH (tenant_id)
    """,
    *protect("run_steps", app="SELECT, INSERT, UPDATE, DELETE", partitions=PARTITIONS),
]
BACKWARDS = drop(["run_steps"])


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
