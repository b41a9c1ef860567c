"""Find the nearest messages by the index of vectors, in a function that is planned for its values: no other plan takes that index."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration

ID = "m20261125_2345_find_nearest_messages"
VERSION = "1.38.0"
DESCRIPTION = "find the nearest messages by their index"
FUNCTION = "penny.nearest_messages(uuid, halfvec, int, timestamptz, timestamptz, uuid, uuid, int)"

FORWARDS = [
    # It runs with the rights of whoever calls it, so under row-level security. A plan for any values would expect next to nothing behind
    # the filters, and read, compare and sort it all. The last condition is `READABLE` of db/statements/chats.
    """
    CREATE FUNCTION penny.nearest_messages(
        reader uuid, meaning halfvec, under int, since timestamptz, until timestamptz, of_author uuid, of_chat uuid, most int
    ) RETURNS TABLE (message_id uuid, distance double precision)
    STABLE ROWS 100 SET search_path = '' SET plan_cache_mode = force_custom_plan SET enable_sort = off
    BEGIN ATOMIC
        SELECT v.message_id, v.embedding <#> meaning
        FROM penny.message_vectors v JOIN penny.chats chat ON chat.tenant_id = v.tenant_id AND chat.id = v.chat_id
        WHERE v.tenant_id = (SELECT nullif(current_setting('app.tenant_id', true), '')::uuid) AND v.key_version = under
          AND v.created_at >= since AND v.created_at < until
          AND (of_author IS NULL OR v.author_id = of_author) AND (of_chat IS NULL OR v.chat_id = of_chat)
          AND (chat.owner_id = reader OR chat.visibility = 'TENANT'
               OR (chat.visibility <> 'PRIVATE' AND reader = ANY (chat.participant_ids)))
        ORDER BY v.embedding <#> meaning LIMIT most;
    END
    """,
    f"REVOKE ALL ON FUNCTION {FUNCTION} FROM PUBLIC",
    f"GRANT EXECUTE ON FUNCTION {FUNCTION} TO penny_app",
]
BACKWARDS = [f"DROP FUNCTION {FUNCTION}"]


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
