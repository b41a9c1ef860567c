"""The viewer: who is asking."""

from typing import Any

import strawberry

from auth import viewers
from errors import Unauthenticated
from resolvers import api_keys, sessions, tenants, users
from schema.api_keys import ApiKey
from schema.connections import After, Connection, First, asked
from schema.fields import Info, computed, query
from schema.members import TenantMembership
from schema.sessions import Session
from schema.users import Principal, User


async def _user(root: Any, info: Info) -> User | None:
    return User.of(await users.by_id(info.context, root.viewer.user_id))


async def _principal(root: Any, info: Info) -> Principal:
    if (user := await _user(root, info)) is None:
        raise Unauthenticated(reason="SESSION_TERMINATED")
    return user


async def _tenants(info: Info, first: First = None, after: After = None) -> Connection[TenantMembership]:
    page = await tenants.of_viewer(info.context, asked(info, first=first, after=after))
    return Connection.of(page, TenantMembership.anywhere)


async def _sessions(info: Info) -> list[Session]:
    return [Session(row=row) for row in await sessions.of_viewer(info.context)]


async def _api_keys(info: Info, first: First = None, after: After = None) -> Connection[ApiKey]:
    return Connection.of(await api_keys.page(info.context, asked(info, first=first, after=after), everyone=False), ApiKey)


@strawberry.type(description="Who is asking, and what they may do.")
class Viewer:
    viewer: strawberry.Private[viewers.Viewer]

    principal: Principal = query(_principal, description="Who acts: the person who signed in, or in whose name the API key acts.")
    user: User | None = query(_user, description="The person.")
    tenants: Connection[TenantMembership] = query(
        _tenants, multipliers=["first"], description="Your memberships in all tenants, in the order in which you joined."
    )

    @computed(description="The scopes that you have in this tenant, such as `chats:write`, in alphabetical order.")
    def permissions(self) -> list[str]:
        return sorted(self.viewer.scopes)

    sessions: list[Session] = query(_sessions, description="Where you are signed in.")
    api_keys: Connection[ApiKey] = query(
        _api_keys, scopes=["keys:write"], multipliers=["first"], description="Your API keys, the newest first; ended ones are among them."
    )


async def _viewer(info: Info) -> Viewer:
    return Viewer(viewer=info.context.viewer)


@strawberry.type
class Query:
    viewer: Viewer = query(_viewer, description="Who is asking.")
