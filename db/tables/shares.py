"""The links by which chats are shown to people who take no part in them."""

from piccolo.columns import UUID, Array, BigInt, Bytea, Integer, Text, Timestamptz
from piccolo.table import Table


class ChatShare(Table, tablename="chat_shares", schema="penny"):
    tenant_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    chat_id = UUID(default=None)
    created_by = UUID(default=None)
    audience = Text()
    user_ids = Array(base_column=UUID())
    leaf_id = UUID(null=True, default=None)
    title = Bytea(null=True, default=None)
    token_hash = Bytea()
    key_version = Integer()
    created_at = Timestamptz()
    expires_at = Timestamptz(null=True, default=None)
    revoked_at = Timestamptz(null=True, default=None)
    view_count = BigInt(default=0)
    titled_from_id = UUID(null=True, default=None)
    expiry_told_at = Timestamptz(null=True, default=None)
