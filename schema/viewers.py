"""The viewer: who is asking."""

from typing import Any

import strawberry

from auth import viewers
from errors import Code, Unauthenticated
from resolvers import api_keys, sessions, tenants, users
from resolvers.operations import Operation
from schema.api_keys import ApiKey
from schema.caching import KeptFor
from schema.connections import After, Connection, First, asked
from schema.fields import computed, query
from schema.members import TenantMembership
from schema.sessions import Session
from schema.users import Principal, User


async def _user(operation: Operation, viewer: Any) -> User | None:
    return User.of(await users.by_id(operation, viewer.viewer.user_id))


async def _principal(operation: Operation, viewer: Any) -> Principal:
    if (user := await _user(operation, viewer)) is None:
        raise Unauthenticated(reason=Code.SESSION_TERMINATED)
    return user


async def _tenants(operation: Operation, _: object, first: First = None, after: After = None) -> Connection[TenantMembership]:
    return Connection(page=await tenants.of_viewer(operation, asked(operation, first=first, after=after)))


async def _sessions(operation: Operation, _: object) -> list[Session]:
    return [Session(row=row) for row in await sessions.of_viewer(operation)]


async def _api_keys(operation: Operation, _: object, first: First = None, after: After = None) -> Connection[ApiKey]:
    return Connection(page=await api_keys.page(operation, asked(operation, first=first, after=after), everyone=False))


@strawberry.type(description="Who is asking, and what they may do.")
class Viewer:
    viewer: strawberry.Private[viewers.Viewer]

    principal: Principal = query(_principal, description="Who acts: the person who signed in, or in whose name the API key acts.")
    user: User | None = query(_user, description="The person.")
    tenants: Connection[TenantMembership] = query(
        _tenants,
        multipliers=["first"],
        kept_for=KeptFor.NOBODY,
        description="Your memberships in all tenants, in the order in which you joined.",
    )

    @computed(description="The scopes that you have in this tenant, such as `chats:write`, in alphabetical order.")
    def permissions(self) -> list[str]:
        return sorted(self.viewer.scopes)

    sessions: list[Session] = query(_sessions, description="Where you are signed in.")
    api_keys: Connection[ApiKey] = query(
        _api_keys, scopes=["keys:write"], multipliers=["first"], description="Your API keys, the newest first; ended ones are among them."
    )


async def _viewer(operation: Operation, _: object) -> Viewer:
    return Viewer(viewer=operation.viewer)


@strawberry.type
class Query:
    viewer: Viewer = query(_viewer, description="Who is asking.")
