"""Chats, the branches of their message trees, and the messages."""

from piccolo.columns import UUID, Array, Boolean, Bytea, Integer, Text, Timestamptz
from piccolo.table import Table


class Chat(Table, tablename="chats", schema="penny"):
    tenant_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    owner_id = UUID(default=None)
    title = Bytea(null=True, default=None)
    metadata = Bytea(null=True, default=None)
    visibility = Text(default="PRIVATE")
    head_message_id = UUID(null=True, default=None)
    forked_from_id = UUID(null=True, default=None)
    created_at = Timestamptz()
    updated_at = Timestamptz()
    archived_at = Timestamptz(null=True, default=None)
    revision = Integer(default=1)
    pinned_at = Timestamptz(null=True, default=None)
    participant_ids = Array(base_column=UUID())
    participant_roles = Array(base_column=Text())
    assistant_id = UUID(null=True, default=None)
    titled_by = Text(null=True, default=None)
    titled_from_id = UUID(null=True, default=None)


class Branch(Table, tablename="branches", schema="penny"):
    tenant_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    chat_id = UUID(default=None)
    parent_branch_id = UUID(null=True, default=None)
    fork_depth = Integer(default=-1)
    level = Integer(default=0)
    jump_branch_id = UUID(default=None)
    jump_fork_depth = Integer(default=-1)
    jump_level = Integer(default=0)
    created_at = Timestamptz()


class Message(Table, tablename="messages", schema="penny"):
    tenant_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    chat_id = UUID(default=None)
    branch_id = UUID(default=None)
    depth = Integer()
    parent_id = UUID(null=True, default=None)
    role = Text()
    author_id = UUID(null=True, default=None)
    run_id = UUID(null=True, default=None)
    model_id = UUID(null=True, default=None)
    status = Text()
    preferred = Boolean(default=False)
    content = Bytea()
    created_at = Timestamptz()
    edited_at = Timestamptz(null=True, default=None)
    revision = Integer(default=1)
    redacted_at = Timestamptz(null=True, default=None)
    redacted_by = UUID(null=True, default=None)
    copied_from_id = UUID(null=True, default=None)
