"""Attempts: each call of a model, for an answer, a title or a summary, with what it used and cost."""

from piccolo.columns import JSONB, UUID, BigInt, Boolean, Integer, Numeric, Text, Timestamptz
from piccolo.table import Table


class Attempt(Table, tablename="attempts", schema="penny"):
    tenant_id = UUID(default=None)
    work_id = UUID(primary_key=True, default=None)
    number = Integer(default=None)
    kind = Text()
    chat_id = UUID(default=None)
    created_by = UUID(default=None)
    step = Integer(default=0)
    policy_id = UUID(null=True, default=None)
    deployment_id = UUID(default=None)
    model = Text(default=None)
    wire = Text(default=None)
    region = Text(null=True, default=None)
    credential_owner = Text(default=None)
    reason = Text(default=None)
    continues_partial = Boolean(default=False)
    started_at = Timestamptz(default=None)
    first_token_ms = Integer(null=True, default=None)
    ended_at = Timestamptz(null=True, default=None)
    failure = Text(null=True, default=None)
    message = Text(null=True, default=None)
    input_tokens = BigInt(default=0)
    output_tokens = BigInt(default=0)
    cache_read_tokens = BigInt(default=0)
    cache_write_tokens = BigInt(default=0)
    reasoning_tokens = BigInt(default=0)
    usage_estimated = Boolean(default=False)
    price = JSONB(null=True, default=None)
    price_version = Text(null=True, default=None)
    currency = Text(null=True, default=None)
    cost = Numeric(null=True, default=None)
