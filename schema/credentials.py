"""Keys at model providers: kept after they were tried, and never shown again."""

import enum
from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

import strawberry

from db.scopes import Row
from events.facts import ProviderCredentialCreated, ProviderCredentialDeleted, ProviderCredentialRotated
from inference import deployments
from inference.credentials import CredentialDraft
from resolvers import credentials, models
from resolvers.operations import Operation
from schema.errors import Payload
from schema.fields import Columns, Info, batch, column, mutation, name_of
from schema.ids import global_id, local_id
from schema.links import visible
from schema.models import CredentialOwner, Provider
from schema.nodes import Node
from schema.tenant_keys import TenantKey


@strawberry.enum(description="How a provider takes a key, as all processes have seen it in the last day.")
class CredentialStatus(enum.Enum):
    UNUSED = strawberry.enum_value("UNUSED", description="Nobody has asked with it of late.")
    WORKING = strawberry.enum_value("WORKING", description="It is taken.")
    FAILING = strawberry.enum_value("FAILING", description="What is asked with it fails of late, though not because of the key.")
    REFUSED = strawberry.enum_value("REFUSED", description="Its provider did not take it last time, or does not let it ask this model.")
    DETACHED = strawberry.enum_value("DETACHED", description="Its provider has another address now, to which it is not sent; set it anew.")


async def _statuses(operation: Operation, rows: list[Row], needed: object) -> list[CredentialStatus]:
    return [CredentialStatus(one.value) for one in await credentials.statuses(operation, rows, needed)]


def _owners(operation: Operation, rows: list[Row], needed: object) -> list[CredentialOwner]:  # noqa: ARG001 - a batch's arguments
    return [CredentialOwner.TENANT if row["user_id"] is None else CredentialOwner.USER for row in rows]


@strawberry.type(description="A key at a model provider. The key itself is never shown.")
class ProviderCredential(Node):
    label: str = column("label", description="What it is for, in the words of whoever set it.")
    provider: Provider = visible(models.providers_by_ids, column="provider_id", description="The provider that takes it.")
    owner: CredentialOwner = batch(_owners, needs=["user_id"], description="Whom it serves, and who pays.")
    last4: str = column("last4", description="How it ends, to tell keys apart: 4 characters, or fewer of a short key.")
    created_at: datetime = column("created_at", description="When it was first set.")
    rotated_at: datetime | None = column("rotated_at", description="When it was last replaced by another; null for the first one.")

    last_used_at: datetime | None = column("last_used_at", description="When it was last used, to about a minute; null before.")
    status: CredentialStatus = batch(_statuses, needs=["id", "provider_id", "origin"], description="How its provider takes it.")
    key_version: TenantKey | None = batch(
        credentials.key_versions,
        needs=["key_version"],
        description="The tenant's key that it is encrypted under; null where you may not see the tenant's settings.",
    )

    @classmethod
    async def find(cls, operation: Operation, id: UUID, columns: Columns | None = None) -> Self | None:  # noqa: ARG003 - a row has all
        return cls.of(await credentials.by_id(operation, id))


@strawberry.input(description="A key to keep. It is tried at its provider first, and sent nowhere else.")
class ProviderCredentialSetInput:
    id: strawberry.ID | None = strawberry.field(
        description="The key to replace by this one; it keeps its id, provider and owner. Without it a further key is kept.", default=None
    )
    provider_id: strawberry.ID | None = strawberry.field(description="The provider; needed for a further key.", default=None)
    label: str | None = strawberry.field(
        description="What it is for: 1 to 100 characters. Without it a further key is called like its provider.", default=None
    )
    secret: str = strawberry.field(description="The key: 8 to 4096 visible ASCII characters.")
    owner: CredentialOwner = strawberry.field(
        description="`TENANT` needs `models:admin`; `USER` is for you alone.", default=CredentialOwner.TENANT
    )


@strawberry.type(description="The key that was kept.")
class ProviderCredentialSetPayload(Payload):
    credential: ProviderCredential | None = strawberry.field(description="The key, without its secret.", default=None)


@strawberry.input(description="A key to forget.")
class ProviderCredentialDeleteInput:
    credential_id: strawberry.ID = strawberry.field(description="The key.")


@strawberry.type(description="The key that was forgotten.")
class ProviderCredentialDeletePayload(Payload):
    deleted_id: strawberry.ID | None = strawberry.field(description="Id of the key, which is gone.", default=None)


async def _set(
    info: Info, input: Annotated[ProviderCredentialSetInput, strawberry.argument(description="The key.")]
) -> ProviderCredentialSetPayload:
    draft = CredentialDraft(
        secret=input.secret,
        label=input.label,
        id=None if input.id is None else local_id(input.id, "ProviderCredential", path=["id"]),
        provider_id=None if input.provider_id is None else local_id(input.provider_id, "Provider", path=["providerId"]),
        owner=deployments.CredentialOwner(name_of(input.owner)),
    )
    return ProviderCredentialSetPayload(credential=ProviderCredential.of(await credentials.keep(info.context, draft)))


async def _delete(
    info: Info, input: Annotated[ProviderCredentialDeleteInput, strawberry.argument(description="The key.")]
) -> ProviderCredentialDeletePayload:
    credential_id = local_id(input.credential_id, "ProviderCredential", path=["credentialId"])
    await credentials.delete(info.context, credential_id)
    return ProviderCredentialDeletePayload(deleted_id=strawberry.ID(global_id("ProviderCredential", credential_id)))


@strawberry.type
class Mutation:
    provider_credential_set: ProviderCredentialSetPayload = mutation(
        _set,
        payload=ProviderCredentialSetPayload,
        scopes=["models:admin", "models:write"],
        cost=50,
        emits=[ProviderCredentialCreated, ProviderCredentialRotated],
        description="Keep a key at a model provider: tried there first, then encrypted. With it its models can be asked at once.",
    )
    provider_credential_delete: ProviderCredentialDeletePayload = mutation(
        _delete,
        payload=ProviderCredentialDeletePayload,
        scopes=["models:admin", "models:write"],
        emits=[ProviderCredentialDeleted],
        description="Forget a key for good. What is being asked with it goes on; nothing more is.",
    )
