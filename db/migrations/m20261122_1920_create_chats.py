"""Create chats, their branches and messages, the runs that answer them, and the idempotency keys of what began them."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration
from db.protection import drop, protect

ID = "m20261122_1920_create_chats"
VERSION = "1.38.0"
DESCRIPTION = "create chats, branches, messages, runs and idempotency keys"
TABLES = ["chats", "branches", "messages", "runs", "idempotency_keys"]
PARTITIONS = 8
OPEN_RUNS = "status IN ('QUEUED', 'RUNNING') AND (SELECT current_user) = 'penny_system'"

FORWARDS = [
    """
    CREATE TABLE penny.chats (
        tenant_id uuid NOT NULL REFERENCES penny.tenants (tenant_id) ON DELETE CASCADE,
        id uuid NOT NULL,
        owner_id uuid NOT NULL,
        title bytea,
        metadata bytea,
        visibility text NOT NULL DEFAULT 'PRIVATE' CHECK (visibility IN ('PRIVATE', 'TENANT')),
        head_message_id uuid,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        archived_at timestamptz,
        revision int NOT NULL DEFAULT 1,
        PRIMARY KEY (tenant_id, id)
    )
    """,
    # One index for each kind of page, in its order.
    "CREATE INDEX chats_of_owner ON penny.chats (tenant_id, owner_id, updated_at, id) WHERE archived_at IS NULL",
    "CREATE INDEX chats_archived_of_owner ON penny.chats (tenant_id, owner_id, updated_at, id) WHERE archived_at IS NOT NULL",
    "CREATE INDEX chats_of_tenant ON penny.chats (tenant_id, updated_at, id) WHERE visibility = 'TENANT' AND archived_at IS NULL",
    """
    CREATE INDEX chats_archived_of_tenant ON penny.chats (tenant_id, updated_at, id)
        WHERE visibility = 'TENANT' AND archived_at IS NOT NULL
    """,
    *protect("chats", app="SELECT, INSERT, UPDATE, DELETE"),
    # A branch is a straight piece of the message tree: it leaves its parent after `fork_depth` and counts on. `segment_ids` and
    # `segment_ends` are the pieces from the root to here, so that a page of any branch is one range scan a piece.
    """
    CREATE TABLE penny.branches (
        tenant_id uuid NOT NULL,
        id uuid NOT NULL,
        chat_id uuid NOT NULL,
        parent_branch_id uuid,
        fork_depth int NOT NULL DEFAULT -1,
        segment_ids uuid[] NOT NULL,
        segment_ends int[] NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, id),
        FOREIGN KEY (tenant_id, chat_id) REFERENCES penny.chats (tenant_id, id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX branches_of_chat ON penny.branches (tenant_id, chat_id)",
    *protect("branches", app="SELECT, INSERT, UPDATE, DELETE"),
    """
    CREATE TABLE penny.messages (
        tenant_id uuid NOT NULL,
        id uuid NOT NULL,
        chat_id uuid NOT NULL,
        branch_id uuid NOT NULL,
        depth int NOT NULL,
        parent_id uuid,
        role text NOT NULL CHECK (role IN ('USER', 'ASSISTANT', 'SYSTEM', 'TOOL')),
        author_id uuid,
        run_id uuid,
        status text NOT NULL,
        content bytea NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        edited_at timestamptz,
        revision int NOT NULL DEFAULT 1,
        PRIMARY KEY (tenant_id, id),
        UNIQUE (tenant_id, branch_id, depth),
        FOREIGN KEY (tenant_id, chat_id) REFERENCES penny.chats (tenant_id, id) ON DELETE CASCADE,
        FOREIGN KEY (tenant_id, branch_id) REFERENCES penny.branches (tenant_id, id) ON DELETE CASCADE
    ) PARTITION BY HASH (tenant_id)
    """,
    "CREATE INDEX messages_of_chat ON penny.messages (tenant_id, chat_id)",
    "CREATE INDEX messages_of_parent ON penny.messages (tenant_id, parent_id)",
    *protect("messages", app="SELECT, INSERT, UPDATE, DELETE", partitions=PARTITIONS),
    """
    CREATE TABLE penny.runs (
        tenant_id uuid NOT NULL,
        id uuid NOT NULL,
        chat_id uuid NOT NULL,
        input_message_id uuid NOT NULL,
        output_message_id uuid NOT NULL,
        created_by uuid NOT NULL,
        status text NOT NULL DEFAULT 'QUEUED' CHECK (status IN
            ('QUEUED', 'RUNNING', 'REQUIRES_ACTION', 'COMPLETED', 'INCOMPLETE', 'FAILED', 'CANCELLED', 'EXPIRED')),
        stop_reason text,
        error_code text,
        error_message text,
        model text,
        max_output_tokens int,
        background boolean NOT NULL DEFAULT true,
        created_at timestamptz NOT NULL DEFAULT now(),
        started_at timestamptz,
        finished_at timestamptz,
        cancel_requested_at timestamptz,
        first_token_ms int,
        last_seq bigint NOT NULL DEFAULT 1,
        epoch int NOT NULL DEFAULT 0,
        worker text,
        lease_until timestamptz,
        input_tokens bigint NOT NULL DEFAULT 0,
        output_tokens bigint NOT NULL DEFAULT 0,
        cache_read_tokens bigint NOT NULL DEFAULT 0,
        cache_write_tokens bigint NOT NULL DEFAULT 0,
        reasoning_tokens bigint NOT NULL DEFAULT 0,
        usage_estimated boolean NOT NULL DEFAULT false,
        PRIMARY KEY (tenant_id, id),
        FOREIGN KEY (tenant_id, chat_id) REFERENCES penny.chats (tenant_id, id) ON DELETE CASCADE
    ) PARTITION BY HASH (tenant_id)
    """,
    "CREATE INDEX runs_of_chat ON penny.runs (tenant_id, chat_id, created_at, id)",
    "CREATE INDEX runs_of_creator ON penny.runs (tenant_id, created_by, created_at, id)",
    "CREATE INDEX runs_open ON penny.runs (tenant_id, chat_id) WHERE status IN ('QUEUED', 'RUNNING')",
    *protect("runs", app="SELECT, INSERT, UPDATE, DELETE", partitions=PARTITIONS, system_sees=OPEN_RUNS),
    "GRANT SELECT (tenant_id, id, status, lease_until, created_at) ON penny.runs TO penny_system",
    """
    CREATE TABLE penny.idempotency_keys (
        tenant_id uuid NOT NULL REFERENCES penny.tenants (tenant_id) ON DELETE CASCADE,
        principal_id uuid NOT NULL,
        key_hash bytea NOT NULL,
        input_hash bytea NOT NULL,
        result jsonb NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, principal_id, key_hash)
    )
    """,
    "CREATE INDEX idempotency_keys_age ON penny.idempotency_keys (tenant_id, created_at)",
    *protect("idempotency_keys", app="SELECT, INSERT, UPDATE, DELETE"),
]
BACKWARDS = drop(TABLES)


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
