"""Statements over what a tenant brings of its own to be asked; all of it is read by one statement."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec

from db.scopes import Reading, Row, Writing
from db.tables.models import DrainedDeployment, Model, ModelDeployment, ModelPrice, ModelProvider, ProviderCredential, RoutingPolicy


class OwnProvider(msgspec.Struct, frozen=True):
    id: UUID
    key: str
    name: str
    wire: str
    base_url: str
    needs_key: bool
    revision: int


class OwnCredential(msgspec.Struct, frozen=True):
    """A key as it is encrypted, for the origin that it is sent to; without a user it is the tenant's."""

    id: UUID
    provider_id: UUID
    user_id: UUID | None
    secret: bytes
    origin: str


class OwnModel(msgspec.Struct, frozen=True):
    id: UUID
    provider_id: UUID
    key: str
    name: str
    context_tokens: int
    max_output_tokens: int | None
    capabilities: list[str]
    deprecated_on: date | None
    replacement_id: UUID | None
    revision: int


class OwnDeployment(msgspec.Struct, frozen=True):
    id: UUID
    model_id: UUID
    provider_id: UUID
    credential_id: UUID | None
    remote_name: str
    region: str | None
    weight: int
    turn: int
    tpm: int | None
    rpm: int | None


class OwnPrice(msgspec.Struct, frozen=True):
    id: UUID
    model_id: UUID
    currency: str
    input: Decimal
    output: Decimal
    cache_read: Decimal | None
    cache_write: Decimal | None
    reasoning: Decimal | None
    markup_percent: Decimal | None
    effective_from: datetime
    effective_to: datetime | None


class OwnPolicy(msgspec.Struct, frozen=True):
    id: UUID
    name: str
    strategy: str
    candidates: list[UUID]
    fallbacks: list[dict[str, list[str]]]
    max_retries: int
    sticky_prompt_cache: bool
    mid_stream: str
    allowed_regions: list[str]
    revision: int


class OwnModels(msgspec.Struct, frozen=True):
    """All that a tenant has of its own, with the keys that one of its members may use; the oldest first."""

    providers: list[OwnProvider] = []
    credentials: list[OwnCredential] = []
    models: list[OwnModel] = []
    deployments: list[OwnDeployment] = []
    drained: list[UUID] = []
    prices: list[OwnPrice] = []
    policies: list[OwnPolicy] = []

    @property
    def is_nothing(self) -> bool:
        """Whether the tenant has nothing of its own."""
        return not any(getattr(self, name) for name in self.__struct_fields__)


# Amounts are texts on the way, so that none is ever a float; JSON has no bytes.
_ALL_OF_MEMBER: Final = """
    SELECT json_build_object(
        'providers', (SELECT coalesce(json_agg(one ORDER BY id), '[]') FROM (
            SELECT id, key, name, wire, base_url, needs_key, revision FROM penny.model_providers WHERE tenant_id = $1) one),
        'credentials', (SELECT coalesce(json_agg(one ORDER BY id), '[]') FROM (
            SELECT id, provider_id, user_id, translate(encode(secret, 'base64'), E'\\n', '') AS secret, origin
            FROM penny.provider_credentials WHERE tenant_id = $1 AND (user_id IS NULL OR user_id = $2)) one),
        'models', (SELECT coalesce(json_agg(one ORDER BY id), '[]') FROM (
            SELECT id, provider_id, key, name, context_tokens, max_output_tokens, capabilities, deprecated_on, replacement_id, revision
            FROM penny.models WHERE tenant_id = $1) one),
        'deployments', (SELECT coalesce(json_agg(one ORDER BY id), '[]') FROM (
            SELECT id, model_id, provider_id, credential_id, remote_name, region, weight, turn, tpm, rpm
            FROM penny.model_deployments WHERE tenant_id = $1) one),
        'drained', (SELECT coalesce(json_agg(deployment_id), '[]') FROM penny.drained_deployments WHERE tenant_id = $1),
        'prices', (SELECT coalesce(json_agg(one ORDER BY id), '[]') FROM (
            SELECT id, model_id, currency, input::text, output::text, cache_read::text, cache_write::text, reasoning::text,
                markup_percent::text, effective_from, effective_to
            FROM penny.model_prices WHERE tenant_id = $1) one),
        'policies', (SELECT coalesce(json_agg(one ORDER BY id), '[]') FROM (
            SELECT id, name, strategy, candidates, fallbacks, max_retries, sticky_prompt_cache, mid_stream, allowed_regions, revision
            FROM penny.routing_policies WHERE tenant_id = $1) one)
    ) AS everything
"""


async def all_of_member(scope: Reading, tenant_id: UUID, user_id: UUID) -> OwnModels:
    """Read all that a member of the tenant can ask of its own."""
    return msgspec.json.decode(str(await scope.value(_ALL_OF_MEMBER, tenant_id, user_id)), type=OwnModels)


async def lock(scope: Writing, tenant_id: UUID) -> None:
    """Let nobody else change the tenant's models until the scope ends: what is checked under this lock stays true."""
    await scope.run("SELECT 1 FROM penny.tenants WHERE tenant_id = $1 FOR NO KEY UPDATE", tenant_id)


async def put(scope: Writing, row: ModelProvider | Model | ModelDeployment | RoutingPolicy) -> None:
    """Write a row, new or changed; who it belongs to and when it was made stay as they are."""
    table: Any = type(row)
    changing = [column for column in table.all_columns() if column._meta.name not in _FIXED]  # noqa: SLF001 - Piccolo has no public name for it
    await scope.run(table.insert(row).on_conflict((table.tenant_id, table.id), "DO UPDATE", changing))


_FIXED: Final = frozenset({"tenant_id", "id", "model_id", "created_at"})
# A key's row without the key. Which of the tenant's keys it is encrypted under stands in what is kept, behind the format's one byte.
_CREDENTIALS: Final = """
    SELECT tenant_id, id, provider_id, user_id, label, origin, last4, created_by, created_at, rotated_at, last_used_at,
        get_byte(secret, 1) << 24 | get_byte(secret, 2) << 16 | get_byte(secret, 3) << 8 | get_byte(secret, 4) AS key_version
    FROM penny.provider_credentials WHERE tenant_id = $1
"""


async def add_credential(scope: Writing, credential: ProviderCredential) -> Row:
    await scope.run(ProviderCredential.insert(credential))
    (row,) = await credentials(scope, credential.tenant_id, [credential.id])
    return row


async def credentials(scope: Reading, tenant_id: UUID, credential_ids: Sequence[UUID]) -> list[Row]:
    """Read keys' rows without the keys."""
    return await scope.rows(f"{_CREDENTIALS} AND id = ANY($2::uuid[]) ORDER BY id", tenant_id, list(credential_ids))


async def credential(scope: Reading, tenant_id: UUID, credential_id: UUID) -> Row | None:
    """Read a key's row without the key."""
    return next(iter(await credentials(scope, tenant_id, [credential_id])), None)


async def change_credential(scope: Writing, tenant_id: UUID, credential_id: UUID, values: dict[Any, Any]) -> Row | None:
    """Change a key's row; None when it is gone."""
    query = ProviderCredential.update(values).where(ProviderCredential.tenant_id == tenant_id)
    await scope.run(query.where(ProviderCredential.id == credential_id))
    return await credential(scope, tenant_id, credential_id)


async def note_use(scope: Writing, tenant_id: UUID, credential_id: UUID, *, seldom: timedelta) -> None:
    """Note that a key is used, unless that was noted less than `seldom` ago."""
    await scope.run(
        """
        UPDATE penny.provider_credentials SET last_used_at = now()
        WHERE tenant_id = $1 AND id = $2 AND (last_used_at IS NULL OR last_used_at < now() - $3::interval)
        """,
        tenant_id,
        credential_id,
        seldom,
    )


async def delete_credential(scope: Writing, tenant_id: UUID, credential_id: UUID) -> None:
    await scope.run("DELETE FROM penny.provider_credentials WHERE tenant_id = $1 AND id = $2", tenant_id, credential_id)


async def credentials_of(scope: Reading, tenant_id: UUID, user_id: UUID) -> list[Row]:
    """Read the rows of a member's keys and of the tenant's without the keys, the oldest first."""
    return await scope.rows(f"{_CREDENTIALS} AND (user_id = $2 OR user_id IS NULL) ORDER BY id", tenant_id, user_id)


async def keep_deployments(scope: Writing, tenant_id: UUID, model_id: UUID, deployment_ids: Sequence[UUID]) -> None:
    """Remove a model's deployments but these."""
    gone = "DELETE FROM penny.model_deployments WHERE tenant_id = $1 AND model_id = $2 AND NOT id = ANY($3::uuid[])"
    await scope.run(gone, tenant_id, model_id, list(deployment_ids))


async def drain(scope: Writing, drained: DrainedDeployment) -> None:
    """Ask no more at a place; again changes nothing."""
    await scope.run(
        """
        INSERT INTO penny.drained_deployments (tenant_id, deployment_id, drained_by, drained_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (tenant_id, deployment_id) DO NOTHING
        """,
        drained.tenant_id,
        drained.deployment_id,
        drained.drained_by,
        drained.drained_at,
    )


async def undrain(scope: Writing, tenant_id: UUID, deployment_id: UUID) -> None:
    await scope.run("DELETE FROM penny.drained_deployments WHERE tenant_id = $1 AND deployment_id = $2", tenant_id, deployment_id)


async def add_price(scope: Writing, price: ModelPrice) -> None:
    await scope.run(ModelPrice.insert(price))
