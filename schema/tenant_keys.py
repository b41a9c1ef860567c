"""The keys that a tenant's content is encrypted under: what is known of them, never the keys."""

import enum
from datetime import datetime
from typing import Self
from uuid import UUID

import strawberry

from resolvers import tenant_keys
from resolvers.operations import Operation
from schema.fields import Columns, column
from schema.nodes import Node


@strawberry.enum(description="What a version of a tenant's key is good for.")
class KeyState(enum.Enum):
    ACTIVE = strawberry.enum_value("ACTIVE", description="New content is encrypted under it.")
    DECRYPT_ONLY = strawberry.enum_value("DECRYPT_ONLY", description="What was encrypted under it is still read.")
    SHREDDED = strawberry.enum_value("SHREDDED", description="It is gone, and with it whatever was encrypted under it.")


@strawberry.type(description="A version of the key that a tenant's content is encrypted under. The key itself is never shown.")
class TenantKey(Node):
    version: int = column("version", description="Counts the tenant's keys, from 1.")
    state: KeyState = column("state", convert=KeyState, description="What it is good for.")
    created_at: datetime = column("created_at", description="When it was made.")
    rotated_at: datetime | None = column("rotated_at", description="When a newer one took its place.")
    shredded_at: datetime | None = column("shredded_at", description="When it was destroyed.")
    kms_key_ref: str | None = column("key_id", description="Names the key that it is kept under.")

    @classmethod
    async def find(cls, operation: Operation, id: UUID, columns: Columns | None = None) -> Self | None:
        return cls.of(await tenant_keys.by_id(operation, id, columns))
