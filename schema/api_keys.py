"""API keys: credentials for programs."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

import strawberry

from events.facts import ApiKeyCreated, ApiKeyRevoked, ApiKeyRotated
from resolvers import api_keys
from resolvers.operations import Operation
from schema.errors import Payload
from schema.fields import Columns, Info, column, mutation
from schema.ids import local_id
from schema.links import link
from schema.nodes import Node
from schema.users import Principal


@strawberry.type(description="A credential for programs; it allows what both its scopes and its owner's role allow.")
class ApiKey(Node):
    name: str = column("name", description="What it is for, in its owner's words.")
    prefix: str = column("prefix", description="How it begins, to tell keys apart. The rest is never shown again.")
    scopes: list[str] = column("scopes", description="What it may do, as far as its owner may. An empty list allows nothing.")
    document_client: str | None = column(
        "document_client",
        description="The client that it is for: only documents of that client's manifests can be sent with it. Null: any.",
    )
    owner: Principal = link("user_by_id", column="user_id", description="In whose name it acts.")
    created_at: datetime = column("created_at", description="When it was made.")
    last_used_at: datetime | None = column("last_used_at", description="When it was last used, to about a minute.")
    expires_at: datetime | None = column("expires_at", description="When it ends by itself; null means never.")
    revoked_at: datetime | None = column("revoked_at", description="When it was revoked.")
    previous_valid_until: datetime | None = column(
        "previous_valid_until", description="Until when the secret before the last rotation still works."
    )

    @classmethod
    async def find(cls, operation: Operation, id: UUID, columns: Columns | None = None) -> Self | None:
        return cls.of(await api_keys.by_id(operation, id, columns))


@strawberry.input(description="A key to make.")
class ApiKeyCreateInput:
    name: str = strawberry.field(description="What it is for.")
    scopes: list[str] = strawberry.field(description="What it may do; only what you may do yourself. An empty list allows nothing.")
    expires_at: datetime | None = strawberry.field(description="When it ends by itself; without it, never.", default=None)
    document_client: str | None = strawberry.field(
        description="The client that it is for, as its manifests name it: only documents of those can be sent with the key, and with what "
        "it makes. Without it, any.",
        default=None,
    )


@strawberry.type(description="The key that was made.")
class ApiKeyCreatePayload(Payload):
    api_key: ApiKey | None = strawberry.field(description="The key.", default=None)
    secret_once: str | None = strawberry.field(description="The whole key. It is shown this once: keep it.", default=None)


@strawberry.input(description="A key to give a new secret.")
class ApiKeyRotateInput:
    api_key_id: strawberry.ID = strawberry.field(description="The key.")


@strawberry.type(description="The key with its new secret.")
class ApiKeyRotatePayload(Payload):
    api_key: ApiKey | None = strawberry.field(description="The key.", default=None)
    secret_once: str | None = strawberry.field(description="The whole new key. It is shown this once: keep it.", default=None)


@strawberry.input(description="A key to end.")
class ApiKeyRevokeInput:
    api_key_id: strawberry.ID = strawberry.field(description="The key: your own, or anybody's with `keys:admin`.")


@strawberry.type(description="The key that was ended.")
class ApiKeyRevokePayload(Payload):
    api_key: ApiKey | None = strawberry.field(description="The key.", default=None)


async def _create(info: Info, input: Annotated[ApiKeyCreateInput, strawberry.argument(description="The key.")]) -> ApiKeyCreatePayload:
    row, secret = await api_keys.create(
        info.context, name=input.name, scopes=input.scopes, expires_at=input.expires_at, document_client=input.document_client
    )
    return ApiKeyCreatePayload(api_key=ApiKey.of(row), secret_once=secret)


async def _rotate(info: Info, input: Annotated[ApiKeyRotateInput, strawberry.argument(description="The key.")]) -> ApiKeyRotatePayload:
    row, secret = await api_keys.rotate(info.context, local_id(input.api_key_id, "ApiKey", path=["apiKeyId"]))
    return ApiKeyRotatePayload(api_key=ApiKey.of(row), secret_once=secret)


async def _revoke(info: Info, input: Annotated[ApiKeyRevokeInput, strawberry.argument(description="The key.")]) -> ApiKeyRevokePayload:
    row = await api_keys.revoke(info.context, local_id(input.api_key_id, "ApiKey", path=["apiKeyId"]))
    return ApiKeyRevokePayload(api_key=ApiKey.of(row))


@strawberry.type
class Mutation:
    api_key_create: ApiKeyCreatePayload = mutation(
        _create,
        payload=ApiKeyCreatePayload,
        scopes=["keys:write"],
        emits=[ApiKeyCreated],
        description="Make an API key that acts in your name.",
    )
    api_key_rotate: ApiKeyRotatePayload = mutation(
        _rotate,
        payload=ApiKeyRotatePayload,
        scopes=["keys:write"],
        emits=[ApiKeyRotated],
        description="Give one of your keys a new secret; the old one works for a while longer, as `previousValidUntil` says.",
    )
    api_key_revoke: ApiKeyRevokePayload = mutation(
        _revoke, payload=ApiKeyRevokePayload, scopes=["keys:write", "keys:admin"], emits=[ApiKeyRevoked], description="End a key at once."
    )
