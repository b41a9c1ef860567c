"""What a tenant brings of its own to be asked: providers, keys for them, models, where those are, what they cost, and policies."""

from piccolo.columns import JSONB, UUID, Array, Boolean, Bytea, Date, Integer, Numeric, Text, Timestamptz
from piccolo.table import Table


class ModelProvider(Table, tablename="model_providers", schema="penny"):
    tenant_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    key = Text()
    name = Text()
    wire = Text()
    base_url = Text()
    needs_key = Boolean(default=True)
    created_at = Timestamptz()
    revision = Integer(default=1)


class ProviderCredential(Table, tablename="provider_credentials", schema="penny"):
    tenant_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    provider_id = UUID(default=None)
    user_id = UUID(null=True, default=None)
    label = Text()
    secret = Bytea()
    origin = Text()
    last4 = Text()
    created_by = UUID(default=None)
    created_at = Timestamptz()
    rotated_at = Timestamptz(null=True, default=None)
    last_used_at = Timestamptz(null=True, default=None)


class Model(Table, tablename="models", schema="penny"):
    tenant_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    provider_id = UUID(default=None)
    key = Text()
    name = Text()
    context_tokens = Integer(default=None)
    max_output_tokens = Integer(null=True, default=None)
    capabilities = Array(base_column=Text())
    deprecated_on = Date(null=True, default=None)
    replacement_id = UUID(null=True, default=None)
    created_at = Timestamptz()
    revision = Integer(default=1)


class ModelDeployment(Table, tablename="model_deployments", schema="penny"):
    tenant_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    model_id = UUID(default=None)
    provider_id = UUID(default=None)
    credential_id = UUID(null=True, default=None)
    remote_name = Text()
    region = Text(null=True, default=None)
    weight = Integer(default=1)
    turn = Integer(default=0)
    tpm = Integer(null=True, default=None)
    rpm = Integer(null=True, default=None)
    created_at = Timestamptz()


class DrainedDeployment(Table, tablename="drained_deployments", schema="penny"):
    tenant_id = UUID(default=None)
    deployment_id = UUID(primary_key=True, default=None)
    drained_by = UUID(default=None)
    drained_at = Timestamptz()


class ModelPrice(Table, tablename="model_prices", schema="penny"):
    tenant_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    model_id = UUID(default=None)
    currency = Text()
    input = Numeric(default=None)
    output = Numeric(default=None)
    cache_read = Numeric(null=True, default=None)
    cache_write = Numeric(null=True, default=None)
    reasoning = Numeric(null=True, default=None)
    markup_percent = Numeric(null=True, default=None)
    effective_from = Timestamptz()
    effective_to = Timestamptz(null=True, default=None)
    created_by = UUID(default=None)
    created_at = Timestamptz()


class RoutingPolicy(Table, tablename="routing_policies", schema="penny"):
    tenant_id = UUID(default=None)
    id = UUID(primary_key=True, default=None)
    name = Text()
    strategy = Text()
    candidates = Array(base_column=UUID())
    fallbacks = JSONB(default="[]")
    max_retries = Integer(default=None)
    sticky_prompt_cache = Boolean(default=True)
    mid_stream = Text()
    allowed_regions = Array(base_column=Text())
    created_at = Timestamptz()
    updated_at = Timestamptz()
    revision = Integer(default=1)
