"""Whom a chat is shared with, and in which role."""

from piccolo.columns import UUID, Boolean, Text, Timestamptz
from piccolo.table import Table


class ChatParticipant(Table, tablename="chat_participants", schema="penny"):
    tenant_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    chat_id = UUID(default=None)
    user_id = UUID(default=None)
    role = Text()
    created_at = Timestamptz()
    chat_updated_at = Timestamptz()
    chat_archived = Boolean(default=False)
    chat_shared = Boolean(default=True)
