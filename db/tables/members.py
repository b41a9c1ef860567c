"""Who belongs to a tenant, in which role, and who was invited."""

from piccolo.columns import UUID, Array, Boolean, Bytea, Text, Timestamptz
from piccolo.table import Table


class Role(Table, tablename="roles", schema="penny"):
    tenant_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    name = Text()
    builtin = Boolean(default=False)
    scopes = Array(base_column=Text())
    created_at = Timestamptz()


class Membership(Table, tablename="memberships", schema="penny"):
    tenant_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    user_id = UUID(default=None)
    role_id = UUID(default=None)
    status = Text(default="ACTIVE")
    joined_at = Timestamptz()
    last_active_at = Timestamptz(null=True, default=None)


class Invitation(Table, tablename="invitations", schema="penny"):
    tenant_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    email = Text()
    role_id = UUID(default=None)
    token_hash = Bytea()
    invited_by = UUID(default=None)
    created_at = Timestamptz()
    expires_at = Timestamptz()
    accepted_at = Timestamptz(null=True, default=None)
    revoked_at = Timestamptz(null=True, default=None)
