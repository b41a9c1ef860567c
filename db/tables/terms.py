"""The blind index: keyed hashes of the words of messages and of chats' titles."""

from piccolo.columns import UUID, Array, BigInt, Integer, Timestamptz
from piccolo.table import Table


class MessageTerms(Table, tablename="message_terms", schema="penny"):
    tenant_id = UUID(default=None)
    message_id = UUID(primary_key=True, default=None)
    chat_id = UUID(default=None)
    author_id = UUID(null=True, default=None)
    created_at = Timestamptz()
    key_version = Integer()
    terms = Array(base_column=BigInt())


class ChatTerms(Table, tablename="chat_terms", schema="penny"):
    tenant_id = UUID(default=None)
    chat_id = UUID(primary_key=True, default=None)
    owner_id = UUID(default=None)
    created_at = Timestamptz()
    key_version = Integer()
    terms = Array(base_column=BigInt())
