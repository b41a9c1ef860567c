"""People, whatever tenants they belong to, and the links that were mailed to them."""

from piccolo.columns import UUID, Bytea, Text, Timestamptz
from piccolo.table import Table


class User(Table, tablename="users", schema="directory"):
    id = UUID(primary_key=True, default=None)
    email = Text()
    name = Text()
    password_hash = Text()
    avatar_url = Text(null=True, default=None)
    locale = Text(null=True, default=None)
    email_verified_at = Timestamptz(null=True, default=None)
    created_at = Timestamptz()
    erased_at = Timestamptz(null=True, default=None)


class UserToken(Table, tablename="user_tokens", schema="directory"):
    id = UUID(primary_key=True, default=None)
    user_id = UUID(default=None)
    purpose = Text()
    token_hash = Bytea()
    created_at = Timestamptz()
    expires_at = Timestamptz()
    used_at = Timestamptz(null=True, default=None)
