"""Create the participants of chats, whom a chat's own row names too, and whose lists of shared chats are in order by themselves."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration
from db.protection import drop, protect

ID = "m20261125_2240_create_chat_participants"
VERSION = "1.38.0"
DESCRIPTION = "create chat participants"

FORWARDS = [
    "ALTER TABLE penny.chats DROP CONSTRAINT chats_visibility_check",
    "ALTER TABLE penny.chats ADD CONSTRAINT chats_visibility_check CHECK (visibility IN ('PRIVATE', 'SHARED', 'TENANT'))",
    # Who may do what with a chat is decided by its row alone, so the row names its participants, and what each may do beside it.
    "ALTER TABLE penny.chats ADD participant_ids uuid[] NOT NULL DEFAULT '{}', ADD participant_roles text[] NOT NULL DEFAULT '{}'",
    # `chat_updated_at`, `chat_archived` and `chat_shared` are the chat's: one index then gives a participant's list in its order.
    """
    CREATE TABLE penny.chat_participants (
        tenant_id uuid NOT NULL,
        id uuid NOT NULL,
        chat_id uuid NOT NULL,
        user_id uuid NOT NULL,
        role text NOT NULL CHECK (role IN ('OWNER', 'EDITOR', 'COMMENTER', 'VIEWER')),
        created_at timestamptz NOT NULL DEFAULT now(),
        chat_updated_at timestamptz NOT NULL DEFAULT now(),
        chat_archived boolean NOT NULL DEFAULT false,
        chat_shared boolean NOT NULL DEFAULT true,
        PRIMARY KEY (tenant_id, id),
        UNIQUE (tenant_id, user_id, chat_id),
        FOREIGN KEY (tenant_id, chat_id) REFERENCES penny.chats (tenant_id, id) ON DELETE CASCADE,
        FOREIGN KEY (tenant_id, user_id) REFERENCES penny.memberships (tenant_id, user_id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX chat_participants_of_chat ON penny.chat_participants (tenant_id, chat_id, id)",
    """
    CREATE INDEX chat_participants_of_user ON penny.chat_participants (tenant_id, user_id, chat_updated_at, chat_id)
        WHERE chat_shared AND NOT chat_archived
    """,
    """
    CREATE INDEX chat_participants_archived_of_user ON penny.chat_participants (tenant_id, user_id, chat_updated_at, chat_id)
        WHERE chat_shared AND chat_archived
    """,
    *protect("chat_participants", app="SELECT, INSERT, UPDATE, DELETE"),
    # Triggers, since both copies must follow whatever changes a chat or ends a membership.
    """
    CREATE FUNCTION penny.name_participants() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
    BEGIN
        UPDATE penny.chats c SET (participant_ids, participant_roles) = (
            SELECT coalesce(array_agg(p.user_id ORDER BY p.id), '{}'), coalesce(array_agg(p.role ORDER BY p.id), '{}')
            FROM penny.chat_participants p WHERE p.tenant_id = c.tenant_id AND p.chat_id = c.id
        ) WHERE c.tenant_id = coalesce(NEW.tenant_id, OLD.tenant_id) AND c.id = coalesce(NEW.chat_id, OLD.chat_id);
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER name_participants AFTER INSERT OR DELETE OR UPDATE OF role ON penny.chat_participants
        FOR EACH ROW EXECUTE FUNCTION penny.name_participants()
    """,
    """
    CREATE FUNCTION penny.list_for_participants() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS $$
    BEGIN
        UPDATE penny.chat_participants SET chat_updated_at = NEW.updated_at, chat_archived = NEW.archived_at IS NOT NULL,
            chat_shared = NEW.visibility = 'SHARED'
        WHERE tenant_id = NEW.tenant_id AND chat_id = NEW.id;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER list_for_participants AFTER UPDATE OF updated_at, archived_at, visibility ON penny.chats
        FOR EACH ROW WHEN (cardinality(NEW.participant_ids) > 0) EXECUTE FUNCTION penny.list_for_participants()
    """,
    "REVOKE ALL ON FUNCTION penny.name_participants(), penny.list_for_participants() FROM PUBLIC",
]
BACKWARDS = [
    "DROP TRIGGER list_for_participants ON penny.chats",
    *drop(["chat_participants"]),
    "DROP FUNCTION penny.name_participants(), penny.list_for_participants()",
    "ALTER TABLE penny.chats DROP participant_ids, DROP participant_roles",
    "UPDATE penny.chats SET visibility = 'PRIVATE' WHERE visibility = 'SHARED'",
    "ALTER TABLE penny.chats DROP CONSTRAINT chats_visibility_check",
    "ALTER TABLE penny.chats ADD CONSTRAINT chats_visibility_check CHECK (visibility IN ('PRIVATE', 'TENANT'))",
]


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
