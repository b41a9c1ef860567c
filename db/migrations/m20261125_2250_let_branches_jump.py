"""Let a branch point at its parent and at one ancestor further up, in place of a list of all of them that grows with every fork."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration

ID = "m20261125_2250_let_branches_jump"
VERSION = "1.38.0"
DESCRIPTION = "let branches point at their parent and at one further ancestor"

FORWARDS = [
    """
    ALTER TABLE penny.branches
        ADD COLUMN level int NOT NULL DEFAULT 0,
        ADD COLUMN jump_branch_id uuid,
        ADD COLUMN jump_fork_depth int NOT NULL DEFAULT -1,
        ADD COLUMN jump_level int NOT NULL DEFAULT 0
    """,
    # The owner is held by the policies as everybody is, so that it lifts them for as long as it fills the new columns.
    "ALTER TABLE penny.branches NO FORCE ROW LEVEL SECURITY",
    # A jump to the root is never taken, so these chains are walked branch by branch; branches that come after them jump.
    "UPDATE penny.branches SET level = cardinality(segment_ids) - 1, jump_branch_id = segment_ids[1]",
    "ALTER TABLE penny.branches FORCE ROW LEVEL SECURITY",
    """
    ALTER TABLE penny.branches
        ALTER jump_branch_id SET NOT NULL,
        DROP COLUMN segment_ids,
        DROP COLUMN segment_ends
    """,
    # Branches are listed by chat, the newest first.
    "DROP INDEX penny.branches_of_chat",
    "CREATE INDEX branches_of_chat ON penny.branches (tenant_id, chat_id, id)",
]
BACKWARDS = [
    "DROP INDEX penny.branches_of_chat",
    "CREATE INDEX branches_of_chat ON penny.branches (tenant_id, chat_id)",
    "ALTER TABLE penny.branches ADD COLUMN segment_ids uuid[], ADD COLUMN segment_ends int[]",
    "ALTER TABLE penny.branches NO FORCE ROW LEVEL SECURITY",
    """
    WITH RECURSIVE path AS (
        SELECT tenant_id, id, ARRAY[id] AS ids, ARRAY[2147483647] AS ends FROM penny.branches WHERE parent_branch_id IS NULL
        UNION ALL
        SELECT b.tenant_id, b.id, path.ids || b.id, path.ends[:cardinality(path.ends) - 1] || ARRAY[b.fork_depth, 2147483647]
        FROM path JOIN penny.branches b ON b.tenant_id = path.tenant_id AND b.parent_branch_id = path.id
    )
    UPDATE penny.branches b SET segment_ids = path.ids, segment_ends = path.ends
    FROM path WHERE path.tenant_id = b.tenant_id AND path.id = b.id
    """,
    "ALTER TABLE penny.branches FORCE ROW LEVEL SECURITY",
    """
    ALTER TABLE penny.branches
        ALTER segment_ids SET NOT NULL, ALTER segment_ends SET NOT NULL,
        DROP COLUMN level, DROP COLUMN jump_branch_id, DROP COLUMN jump_fork_depth, DROP COLUMN jump_level
    """,
]


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
