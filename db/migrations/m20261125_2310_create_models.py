"""Create what a tenant brings of its own: providers, keys, models, deployments, prices and policies; let runs say what they ask."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration
from db.protection import drop, protect

ID = "m20261125_2310_create_models"
VERSION = "1.38.0"
DESCRIPTION = "create tenants' own models"
TABLES = [
    "model_providers", "provider_credentials", "models", "model_deployments", "drained_deployments", "model_prices", "routing_policies",
]  # fmt: skip
ALL = "SELECT, INSERT, UPDATE, DELETE"

FORWARDS = [
    """
    CREATE TABLE penny.model_providers (
        tenant_id uuid NOT NULL REFERENCES penny.tenants (tenant_id) ON DELETE CASCADE,
        id uuid NOT NULL,
        key text NOT NULL,
        name text NOT NULL,
        wire text NOT NULL CHECK (wire IN ('openai', 'responses', 'anthropic')),
        base_url text NOT NULL,
        needs_key boolean NOT NULL DEFAULT true,
        created_at timestamptz NOT NULL DEFAULT now(),
        revision int NOT NULL DEFAULT 1,
        PRIMARY KEY (tenant_id, id),
        UNIQUE (tenant_id, key)
    )
    """,
    *protect("model_providers", app=ALL),
    # A key is for a provider of the tenant's or of the catalogue, which is no table. Without a user it is the tenant's. It is only sent to
    # the origin that it was tested at: whoever moves an endpoint gets no key by it.
    """
    CREATE TABLE penny.provider_credentials (
        tenant_id uuid NOT NULL REFERENCES penny.tenants (tenant_id) ON DELETE CASCADE,
        id uuid NOT NULL,
        provider_id uuid NOT NULL,
        user_id uuid,
        label text NOT NULL,
        secret bytea NOT NULL,
        origin text NOT NULL,
        last4 text NOT NULL,
        created_by uuid NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        rotated_at timestamptz,
        PRIMARY KEY (tenant_id, id),
        FOREIGN KEY (tenant_id, user_id) REFERENCES penny.memberships (tenant_id, user_id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX provider_credentials_user ON penny.provider_credentials (tenant_id, user_id, id)",
    *protect("provider_credentials", app=ALL),
    """
    CREATE TABLE penny.models (
        tenant_id uuid NOT NULL REFERENCES penny.tenants (tenant_id) ON DELETE CASCADE,
        id uuid NOT NULL,
        provider_id uuid NOT NULL,
        key text NOT NULL,
        name text NOT NULL,
        context_tokens int NOT NULL CHECK (context_tokens > 0),
        max_output_tokens int CHECK (max_output_tokens > 0),
        capabilities text[] NOT NULL,
        deprecated_on date,
        replacement_id uuid,
        created_at timestamptz NOT NULL DEFAULT now(),
        revision int NOT NULL DEFAULT 1,
        PRIMARY KEY (tenant_id, id),
        UNIQUE (tenant_id, provider_id, key),
        FOREIGN KEY (tenant_id, provider_id) REFERENCES penny.model_providers (tenant_id, id) ON DELETE CASCADE
    )
    """,
    *protect("models", app=ALL),
    """
    CREATE TABLE penny.model_deployments (
        tenant_id uuid NOT NULL REFERENCES penny.tenants (tenant_id) ON DELETE CASCADE,
        id uuid NOT NULL,
        model_id uuid NOT NULL,
        provider_id uuid NOT NULL,
        credential_id uuid,
        remote_name text NOT NULL,
        region text,
        weight int NOT NULL DEFAULT 1 CHECK (weight > 0),
        turn int NOT NULL DEFAULT 0,
        tpm int CHECK (tpm > 0),
        rpm int CHECK (rpm > 0),
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, id),
        FOREIGN KEY (tenant_id, model_id) REFERENCES penny.models (tenant_id, id) ON DELETE CASCADE,
        FOREIGN KEY (tenant_id, provider_id) REFERENCES penny.model_providers (tenant_id, id) ON DELETE CASCADE,
        FOREIGN KEY (tenant_id, credential_id) REFERENCES penny.provider_credentials (tenant_id, id) ON DELETE SET NULL (credential_id)
    )
    """,
    "CREATE INDEX model_deployments_model ON penny.model_deployments (tenant_id, model_id)",
    "CREATE INDEX model_deployments_provider ON penny.model_deployments (tenant_id, provider_id)",
    "CREATE INDEX model_deployments_credential ON penny.model_deployments (tenant_id, credential_id)",
    *protect("model_deployments", app=ALL),
    # The platform's deployments are drained here too, for this tenant alone.
    """
    CREATE TABLE penny.drained_deployments (
        tenant_id uuid NOT NULL REFERENCES penny.tenants (tenant_id) ON DELETE CASCADE,
        deployment_id uuid NOT NULL,
        drained_by uuid NOT NULL,
        drained_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, deployment_id)
    )
    """,
    *protect("drained_deployments", app="SELECT, INSERT, DELETE"),
    # A price is never changed: another one begins. The model is the tenant's or the catalogue's, which is no table.
    """
    CREATE TABLE penny.model_prices (
        tenant_id uuid NOT NULL REFERENCES penny.tenants (tenant_id) ON DELETE CASCADE,
        id uuid NOT NULL,
        model_id uuid NOT NULL,
        currency text NOT NULL,
        input numeric NOT NULL CHECK (input >= 0),
        output numeric NOT NULL CHECK (output >= 0),
        cache_read numeric CHECK (cache_read >= 0),
        cache_write numeric CHECK (cache_write >= 0),
        reasoning numeric CHECK (reasoning >= 0),
        markup_percent numeric CHECK (markup_percent >= 0),
        effective_from timestamptz NOT NULL,
        effective_to timestamptz CHECK (effective_to > effective_from),
        created_by uuid NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (tenant_id, id)
    )
    """,
    "CREATE INDEX model_prices_model ON penny.model_prices (tenant_id, model_id, effective_from)",
    *protect("model_prices", app="SELECT, INSERT"),
    """
    CREATE TABLE penny.routing_policies (
        tenant_id uuid NOT NULL REFERENCES penny.tenants (tenant_id) ON DELETE CASCADE,
        id uuid NOT NULL,
        name text NOT NULL,
        strategy text NOT NULL CHECK (strategy IN ('PRIORITY', 'WEIGHTED', 'LEAST_LATENCY', 'LEAST_COST', 'LEAST_BUSY', 'USAGE')),
        candidates uuid[] NOT NULL DEFAULT '{}',
        fallbacks jsonb NOT NULL DEFAULT '[]',
        max_retries int NOT NULL CHECK (max_retries >= 0),
        sticky_prompt_cache boolean NOT NULL,
        mid_stream text NOT NULL CHECK (mid_stream IN ('TERMINATE', 'RESTART', 'CONTINUE_PARTIAL')),
        allowed_regions text[] NOT NULL DEFAULT '{}',
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        revision int NOT NULL DEFAULT 1,
        PRIMARY KEY (tenant_id, id),
        UNIQUE (tenant_id, name)
    )
    """,
    *protect("routing_policies", app=ALL),
    # An id, no reference: a policy may be gone when the run begins.
    "ALTER TABLE penny.runs ADD COLUMN routing_policy_id uuid",
]
BACKWARDS = ["ALTER TABLE penny.runs DROP COLUMN routing_policy_id", *drop(TABLES)]


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
