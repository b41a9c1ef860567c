"""Create the blind index: the hashed terms of messages and of chats' titles, and the one function that looks them up."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration
from db.protection import drop, protect

ID = "m20261125_2250_create_search_terms"
VERSION = "1.38.0"
DESCRIPTION = "create the blind index of messages and titles"
TABLES = ["message_terms", "chat_terms"]
PARTITIONS = 8
ROLES = "penny_app, penny_owner, penny_system"
FUNCTION = "penny.matching_terms(bigint[], bigint[], bigint[], bigint, timestamptz, timestamptz, uuid, uuid, boolean, boolean)"


def _opened_to_look_up(table: str, columns: str, partitions: int) -> list[str]:
    """Let `penny_search` read columns of any tenant's rows; the function that it owns names the tenant.

    PostgreSQL 17 and newer knows that no tenant_id is null and drops this condition from the plan. Row-level security with a
    condition that stays would be asked before the array operators, which are not leakproof, and so without their index.
    """
    names = [table, *(f"{table}_{number}" for number in range(partitions))]
    return [
        statement
        for name in names
        for statement in (
            # Planned as if one tenant had all rows: its terms are always looked up first, never all rows of a tenant beside them.
            f"ALTER TABLE penny.{name} ALTER tenant_id SET (n_distinct = 1, n_distinct_inherited = 1)",
            f"ALTER POLICY tenant_rows ON penny.{name} TO {ROLES}",
            f"ALTER POLICY tenant_floor ON penny.{name} TO {ROLES}",
            f"CREATE POLICY search_look_up ON penny.{name} FOR SELECT TO penny_search USING (tenant_id IS NOT NULL)",
        )
    ] + [f"GRANT SELECT ({columns}) ON penny.{table} TO penny_search"]


FORWARDS = [
    # `terms` are 64 bits each of keyed hashes, under the tenant's key of `key_version`. The array is stored as it is: it looks random.
    """
    CREATE TABLE penny.message_terms (
        tenant_id uuid NOT NULL,
        message_id uuid NOT NULL,
        chat_id uuid NOT NULL,
        author_id uuid,
        created_at timestamptz NOT NULL,
        key_version int NOT NULL,
        terms bigint[] NOT NULL,
        PRIMARY KEY (tenant_id, message_id),
        FOREIGN KEY (tenant_id, message_id) REFERENCES penny.messages (tenant_id, id) ON DELETE CASCADE
    ) PARTITION BY HASH (tenant_id)
    """,
    # What waits in the pending list is read by every search: half a megabyte at most. Without one, a message of 40 words costs 13 KB of
    # WAL and 0.3 ms, with this one 5.6 KB and 0.08 ms (measured).
    "CREATE INDEX message_terms_terms ON penny.message_terms USING gin (terms) WITH (fastupdate = on, gin_pending_list_limit = 512)",
    *protect("message_terms", app="SELECT, INSERT, UPDATE, DELETE", partitions=PARTITIONS),
    *_opened_to_look_up("message_terms", "tenant_id, message_id, chat_id, author_id, created_at, terms", PARTITIONS),
    """
    CREATE TABLE penny.chat_terms (
        tenant_id uuid NOT NULL,
        chat_id uuid NOT NULL,
        owner_id uuid NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        key_version int NOT NULL,
        terms bigint[] NOT NULL,
        PRIMARY KEY (tenant_id, chat_id),
        FOREIGN KEY (tenant_id, chat_id) REFERENCES penny.chats (tenant_id, id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX chat_terms_terms ON penny.chat_terms USING gin (terms) WITH (fastupdate = on, gin_pending_list_limit = 512)",
    *protect("chat_terms", app="SELECT, INSERT, UPDATE, DELETE"),
    *_opened_to_look_up("chat_terms", "tenant_id, chat_id, owner_id, created_at, terms", 0),
    "GRANT USAGE ON SCHEMA penny TO penny_search",
    """
    CREATE FUNCTION penny.matching_terms(
        rare bigint[], wanted bigint[], weights bigint[], lowest bigint, since timestamptz, until timestamptz, of_author uuid, of_chat uuid,
        messages boolean, titles boolean
    ) RETURNS TABLE (message_id uuid, chat_id uuid, score bigint)
    STABLE SECURITY DEFINER ROWS 100 SET search_path = '' SET plan_cache_mode = force_custom_plan
    BEGIN ATOMIC
        SELECT m.message_id, m.chat_id, matched.score
        FROM penny.message_terms m
        CROSS JOIN LATERAL (
            SELECT sum(given.weight)::bigint AS score FROM unnest(wanted, weights) AS given (term, weight) WHERE given.term = ANY (m.terms)
        ) matched
        WHERE messages AND m.tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid) AND m.terms && rare
          AND m.created_at >= since AND m.created_at < until
          AND (of_author IS NULL OR m.author_id = of_author) AND (of_chat IS NULL OR m.chat_id = of_chat) AND matched.score >= lowest
        UNION ALL
        SELECT NULL, c.chat_id, matched.score
        FROM penny.chat_terms c
        CROSS JOIN LATERAL (
            SELECT sum(given.weight)::bigint AS score FROM unnest(wanted, weights) AS given (term, weight) WHERE given.term = ANY (c.terms)
        ) matched
        WHERE titles AND c.tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid) AND c.terms && rare
          AND c.created_at >= since AND c.created_at < until
          AND (of_author IS NULL OR c.owner_id = of_author) AND (of_chat IS NULL OR c.chat_id = of_chat) AND matched.score >= lowest;
    END
    """,
    f"REVOKE ALL ON FUNCTION {FUNCTION} FROM PUBLIC",
    f"GRANT EXECUTE ON FUNCTION {FUNCTION} TO penny_app",
    # Whoever is to own a function must be able to make one at that moment.
    "GRANT CREATE ON SCHEMA penny TO penny_search",
    f"ALTER FUNCTION {FUNCTION} OWNER TO penny_search",
    "REVOKE CREATE ON SCHEMA penny FROM penny_search",
]
BACKWARDS = [f"DROP FUNCTION {FUNCTION}", "REVOKE USAGE ON SCHEMA penny FROM penny_search", *drop(TABLES)]


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
