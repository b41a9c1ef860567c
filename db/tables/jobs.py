"""Jobs: work that outlives a request, done by workers."""

from piccolo.columns import JSONB, UUID, Integer, Real, Text, Timestamptz
from piccolo.table import Table


class Job(Table, tablename="jobs", schema="penny"):
    tenant_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    kind = Text()
    key = Text()
    status = Text(default="QUEUED")
    progress = Real(null=True, default=None)
    arguments = JSONB()
    state = JSONB(null=True, default=None)
    result = JSONB(null=True, default=None)
    error_code = Text(null=True, default=None)
    error_message = Text(null=True, default=None)
    created_by = UUID(null=True, default=None)
    created_at = Timestamptz()
    started_at = Timestamptz(null=True, default=None)
    finished_at = Timestamptz(null=True, default=None)
    cancel_requested_at = Timestamptz(null=True, default=None)
    attempt = Integer(default=0)
    worker = Text(null=True, default=None)
    due_at = Timestamptz()
