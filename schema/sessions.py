"""Sessions: where somebody is signed in, and ending that."""

import enum
from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

import strawberry

from events.facts import SessionRevoked
from resolvers import sessions
from resolvers.operations import Operation
from schema.errors import Payload
from schema.fields import Columns, Info, column, computed, mutation
from schema.ids import global_id, local_id
from schema.nodes import Node


@strawberry.enum(description="How a session travels with requests.")
class TokenTransport(enum.Enum):
    COOKIE = strawberry.enum_value("COOKIE", description="In an HttpOnly cookie that the answer sets: for pages in a browser.")
    BEARER = strawberry.enum_value("BEARER", description="As `Authorization: Bearer …`, shown once in `tokenOnce`: for apps and scripts.")


@strawberry.type(description="A place where somebody is signed in.")
class Session(Node):
    created_at: datetime = column("created_at", description="When it was opened.")
    last_seen_at: datetime = column("last_seen_at", description="When it was last used, to about a minute.")
    ip: str | None = column("address", description="The address that opened it.")
    user_agent: str | None = column("user_agent", description="The browser or app that opened it, as it called itself.")
    expires_at: datetime = column("expires_at", description="When it ends by itself.")

    @computed(description="Whether it is the one that asks.")
    def current(self, info: Info) -> bool:
        return bool(self.row["id"] == info.context.viewer.session_id)

    @classmethod
    async def find(cls, operation: Operation, id: UUID, columns: Columns | None = None) -> Self | None:
        return cls.of(await sessions.by_id(operation, id, columns))


@strawberry.input(description="Sessions to end.")
class SessionRevokeInput:
    session_ids: list[strawberry.ID] = strawberry.field(
        description="Sessions to end: your own, or those of other members with `members:admin`. All are ended or none.",
        default_factory=list,
    )
    all_others: bool = strawberry.field(description="Also end all your own sessions but the one that asks, in every tenant.", default=False)


@strawberry.type(description="The sessions that were ended.")
class SessionRevokePayload(Payload):
    revoked_ids: list[strawberry.ID] | None = strawberry.field(description="Ids of the sessions that were ended.", default=None)


async def _revoke(
    info: Info, input: Annotated[SessionRevokeInput, strawberry.argument(description="The sessions.")]
) -> SessionRevokePayload:
    ids = [local_id(text, "Session", path=["sessionIds", str(place)]) for place, text in enumerate(input.session_ids)]
    ended = await sessions.revoke(info.context, ids, all_others=input.all_others)
    return SessionRevokePayload(revoked_ids=[strawberry.ID(global_id("Session", session_id)) for session_id in ended])


@strawberry.type
class Mutation:
    session_revoke: SessionRevokePayload = mutation(
        _revoke,
        payload=SessionRevokePayload,
        emits=[SessionRevoked],
        description="End sessions: what they had open, subscriptions too, closes within a second.",
    )
