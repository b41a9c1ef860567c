"""Let the runs of a chat take turns, and let one go on from where another ended."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration

ID = "m20261125_2240_let_runs_take_turns"
VERSION = "1.38.0"
DESCRIPTION = "let the runs of a chat take turns, be steered and be continued"

FORWARDS = [
    # Runs of one turn answer side by side; those of a later one wait until all of the earlier ones have ended.
    """
    ALTER TABLE penny.runs
        ADD COLUMN turn int NOT NULL DEFAULT 1,
        ADD COLUMN steer_requested_at timestamptz,
        ADD COLUMN continues_run_id uuid
    """,
    "DROP INDEX penny.runs_open",
    "CREATE INDEX runs_open ON penny.runs (tenant_id, chat_id, turn) WHERE status IN ('QUEUED', 'RUNNING')",
    "GRANT SELECT (chat_id, turn) ON penny.runs TO penny_system",
]
BACKWARDS = [
    "DROP INDEX penny.runs_open",
    "CREATE INDEX runs_open ON penny.runs (tenant_id, chat_id) WHERE status IN ('QUEUED', 'RUNNING')",
    "ALTER TABLE penny.runs DROP COLUMN turn, DROP COLUMN steer_requested_at, DROP COLUMN continues_run_id",
    "REVOKE SELECT (chat_id) ON penny.runs FROM penny_system",
]


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
