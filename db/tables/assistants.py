"""Assistants: models with instructions, in versions that never change."""

from piccolo.columns import JSONB, UUID, Bytea, Integer, Text, Timestamptz
from piccolo.table import Table


class Assistant(Table, tablename="assistants", schema="penny"):
    tenant_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    slug = Text()
    name = Bytea()
    owner_id = UUID(default=None)
    current_version_id = UUID(null=True, default=None)
    last_number = Integer(default=0)
    grants = JSONB()
    created_at = Timestamptz()
    updated_at = Timestamptz()


class AssistantVersion(Table, tablename="assistant_versions", schema="penny"):
    tenant_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    assistant_id = UUID(default=None)
    number = Integer()
    state = Text(default="DRAFT")
    content = Bytea()
    model_id = UUID(null=True, default=None)
    created_by = UUID(default=None)
    created_at = Timestamptz()
