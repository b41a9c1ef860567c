"""What proves who is asking, and the wrapped keys that data is encrypted under."""

from piccolo.columns import UUID, Array, Bytea, Integer, Text, Timestamptz
from piccolo.table import Table


class Session(Table, tablename="sessions", schema="penny"):
    tenant_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    user_id = UUID(default=None)
    token_hash = Bytea()
    transport = Text()
    created_at = Timestamptz()
    last_seen_at = Timestamptz()
    expires_at = Timestamptz()
    revoked_at = Timestamptz(null=True, default=None)
    address = Text(null=True, default=None)
    user_agent = Text(null=True, default=None)


class ApiKey(Table, tablename="api_keys", schema="penny"):
    tenant_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    name = Text()
    prefix = Text()
    secret_hash = Bytea()
    previous_hash = Bytea(null=True, default=None)
    previous_valid_until = Timestamptz(null=True, default=None)
    scopes = Array(base_column=Text())
    document_client = Text(null=True, default=None)
    user_id = UUID(default=None)
    created_at = Timestamptz()
    last_used_at = Timestamptz(null=True, default=None)
    expires_at = Timestamptz(null=True, default=None)
    revoked_at = Timestamptz(null=True, default=None)


class TenantKey(Table, tablename="tenant_keys", schema="penny"):
    tenant_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    version = Integer()
    state = Text()
    wrapped = Bytea(null=True, default=None)
    key_id = Text()
    created_at = Timestamptz()
    rotated_at = Timestamptz(null=True, default=None)
    shredded_at = Timestamptz(null=True, default=None)


class PlatformKey(Table, tablename="platform_keys", schema="directory"):
    version = Integer(primary_key=True, default=None)
    state = Text()
    wrapped = Bytea(null=True, default=None)
    key_id = Text()
    created_at = Timestamptz()
