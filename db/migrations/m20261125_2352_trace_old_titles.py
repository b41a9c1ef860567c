"""Find out which question each title was made of that a model made before that was noted."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration
from db.protection import tenant_by_tenant

ID = "m20261125_2352_trace_old_titles"
VERSION = "1.38.0"
DESCRIPTION = "trace old titles"
CHANGES_ROWS_ONLY = True
# A title was made of what the first answer that did not fail had answered; a fork took it along, with its copy of that question.
_OLD = """
    UPDATE penny.chats c SET titled_from_id = coalesce(
        (
            SELECT m.id FROM penny.runs r
            JOIN penny.messages m ON m.tenant_id = c.tenant_id AND m.chat_id = c.id AND r.input_message_id IN (m.id, m.copied_from_id)
            WHERE r.tenant_id = c.tenant_id AND r.chat_id IN (
                c.id, (SELECT o.chat_id FROM penny.messages o WHERE o.tenant_id = c.tenant_id AND o.id = c.forked_from_id)
            ) AND r.started_at IS NOT NULL AND r.finished_at IS NOT NULL AND r.status <> 'FAILED'
            ORDER BY r.finished_at, r.id LIMIT 1
        ),
        (
            SELECT m.id FROM penny.messages m
            WHERE m.tenant_id = c.tenant_id AND m.chat_id = c.id AND m.parent_id IS NULL ORDER BY m.id LIMIT 1
        )
    ) WHERE c.tenant_id = tenant AND c.titled_by = 'MODEL' AND c.titled_from_id IS NULL
"""
_OLD_LINKS = """
    UPDATE penny.chat_shares s SET titled_from_id = c.titled_from_id FROM penny.chats c
    WHERE s.tenant_id = tenant AND c.tenant_id = tenant AND c.id = s.chat_id AND s.title IS NOT NULL AND s.titled_from_id IS NULL
"""
_UNTRACED = tuple(f"UPDATE penny.{table} SET titled_from_id = NULL WHERE tenant_id = tenant" for table in ("chats", "chat_shares"))  # noqa: S608 - constants

# In a migration of its own: the columns were added under a lock that nobody else passes, and this takes longer.
FORWARDS = [tenant_by_tenant(_OLD, _OLD_LINKS)]
BACKWARDS = [tenant_by_tenant(*_UNTRACED)]


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
