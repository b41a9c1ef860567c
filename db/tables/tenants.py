"""Tenants and the slugs that they have taken."""

from piccolo.columns import JSONB, UUID, Integer, Text, Timestamptz
from piccolo.table import Table


class Tenant(Table, tablename="tenants", schema="penny"):
    tenant_id = UUID(primary_key=True, default=None)
    slug = Text()
    name = Text()
    status = Text(default="ACTIVE")
    region = Text(default="default")
    settings = JSONB()
    created_at = Timestamptz()
    revision = Integer(default=1)


class TenantSlug(Table, tablename="tenant_slugs", schema="directory"):
    slug = Text(primary_key=True, default=None)
    tenant_id = UUID(default=None)
