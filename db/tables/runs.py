"""Runs: answers being made or made, the steps that they took, and the keys that make a retry harmless."""

from piccolo.columns import JSONB, UUID, BigInt, Boolean, Bytea, Integer, Text, Timestamptz
from piccolo.table import Table


class Run(Table, tablename="runs", schema="penny"):
    tenant_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    chat_id = UUID(default=None)
    input_message_id = UUID(default=None)
    output_message_id = UUID(default=None)
    created_by = UUID(default=None)
    status = Text(default="QUEUED")
    stop_reason = Text(null=True, default=None)
    error_code = Text(null=True, default=None)
    error_message = Text(null=True, default=None)
    model = Text(null=True, default=None)
    routing_policy_id = UUID(null=True, default=None)
    max_output_tokens = Integer(null=True, default=None)
    background = Boolean(default=True)
    created_at = Timestamptz()
    started_at = Timestamptz(null=True, default=None)
    finished_at = Timestamptz(null=True, default=None)
    cancel_requested_at = Timestamptz(null=True, default=None)
    steer_requested_at = Timestamptz(null=True, default=None)
    turn = Integer(default=1)
    continues_run_id = UUID(null=True, default=None)
    model_id = UUID(null=True, default=None)
    assistant_version_id = UUID(null=True, default=None)
    assistant_chosen = Boolean(default=False)
    first_token_ms = Integer(null=True, default=None)
    last_seq = BigInt(default=1)
    epoch = Integer(default=0)
    worker = Text(null=True, default=None)
    lease_until = Timestamptz(null=True, default=None)
    input_tokens = BigInt(default=0)
    output_tokens = BigInt(default=0)
    cache_read_tokens = BigInt(default=0)
    cache_write_tokens = BigInt(default=0)
    reasoning_tokens = BigInt(default=0)
    usage_estimated = Boolean(default=False)


class RunStep(Table, tablename="run_steps", schema="penny"):
    tenant_id = UUID(default=None)
    run_id = UUID(default=None)
    step = Integer(primary_key=True, default=None)
    outcome = Text(default="OPEN")
    started_at = Timestamptz()
    ended_at = Timestamptz(null=True, default=None)
    text_bytes = BigInt(default=0)
    reasoning_bytes = BigInt(default=0)
    input_tokens = BigInt(default=0)
    output_tokens = BigInt(default=0)
    cache_read_tokens = BigInt(default=0)
    cache_write_tokens = BigInt(default=0)
    reasoning_tokens = BigInt(default=0)
    usage_estimated = Boolean(default=False)


class IdempotencyKey(Table, tablename="idempotency_keys", schema="penny"):
    tenant_id = UUID(default=None)
    principal_id = UUID(default=None)
    key_hash = Bytea(primary_key=True, default=None)
    input_hash = Bytea()
    result = JSONB()
    created_at = Timestamptz()
