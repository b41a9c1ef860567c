"""Small steps for tests of the API: mutations, mailed links, and people in a tenant."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from uuid import uuid4

from tests.running import Api
from web.works import Process

T = TypeVar("T")

PUSHED_SECONDS = 20.0
"""Within a second on a machine that has time, as is promised; processes that were told of nothing check again after 30 or more."""

ERRORS = "errors { __typename message code path ... on PermissionDeniedError { requiredScopes } }"
MEMBERS = """
    query ($first: Int!, $after: String, $role: String, $text: String) {
      tenant { members(first: $first, after: $after, role: $role, query: $text) {
        totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { cursor node { id } }
        nodes { id status user { id name email } role { id name } tenant { id } }
      } }
    }"""
SIGN_IN = f"""
    mutation ($input: SignInInput!) {{
      signIn(input: $input) {{ tokenOnce session {{ id current }} viewer {{ user {{ email }} permissions }} {ERRORS} }}
    }}"""
VIEWER = "{ viewer { user { id email } permissions } }"


def address() -> str:
    return f"{uuid4().hex}@example.com"


async def mutate(api: Api, field: str, selection: str = "", **given: Any) -> Any:
    """Run one mutation with its input and return its payload."""
    kind = field[0].upper() + field[1:]
    return (await api.data(f"mutation ($input: {kind}Input!) {{ {field}(input: $input) {{ {selection} {ERRORS} }} }}", input=given))[field]


async def done(api: Api, field: str, selection: str = "__typename", **given: Any) -> Any:
    payload = await mutate(api, field, selection, **given)
    assert payload["errors"] == [], payload["errors"]
    return payload


async def refused(api: Api, field: str, **given: Any) -> dict[str, Any]:
    """Run one mutation that must fail, and return its one error."""
    payload = await mutate(api, field, **given)
    assert len(payload["errors"]) == 1, payload
    error: dict[str, Any] = payload["errors"][0]
    return error


async def code_of(api: Api, query: str = VIEWER, **variables: Any) -> str | None:
    """The code of the operation's transport error, or None where there is none."""
    response = await api.post(query, **variables)
    return response["errors"][0]["extensions"]["code"] if "errors" in response else None


async def ends(api: Api, *codes: str) -> None:
    """Wait until this credential is refused with one of these codes, long before anybody would check it again by themselves."""

    async def look() -> None:
        if await code_of(api) not in codes:
            raise LookupError("it still counts")

    await soon(look, seconds=PUSHED_SECONDS)


async def me(api: Api) -> Any:
    return await api.data("{ viewer { user { id email } } tenant { id slug } }")


async def role_id(api: Api, name: str) -> str:
    roles = (await api.data("{ tenant { roles { id name } } }"))["tenant"]["roles"]
    return str(next(role["id"] for role in roles if role["name"] == name))


async def link_token(process: Process, to: str, path: str) -> str:
    """The token at the end of the newest link of this kind that was mailed to somebody."""
    for queued in await process.mail_queue.recent(200):
        if queued.mail.to == to and (found := re.search(rf"/{path}#token=(\S+)", queued.mail.text)):
            return found[1]
    raise LookupError(f"no mail with /{path} for {to}")


async def invited(owner: Api, process: Process, role: str, email: str | None = None) -> tuple[str, str]:
    """Invite somebody; returns their address and the mailed token."""
    email = email or address()
    await done(owner, "memberInvite", "invitation { id }", email=email, roleId=await role_id(owner, role))
    return email, await link_token(process, email, "invitation")


async def member(owner: Api, process: Process, role: str) -> Api:
    """A new person who joined the owner's tenant in this role."""
    email, token = await invited(owner, process, role)
    return await owner.as_(None).sign_up(email=email, invitation=token)


async def membership_id(api: Api, email: str) -> str:
    nodes = (await api.data(MEMBERS, first=100, text=email))["tenant"]["members"]["nodes"]
    assert [node["user"]["email"] for node in nodes] == [email]
    return str(nodes[0]["id"])


async def email_of(api: Api) -> str:
    return str((await me(api))["viewer"]["user"]["email"])


async def soon(ask: Callable[[], Awaitable[T]], *, seconds: float = 60) -> T:
    """What `ask` gives as soon as it does not raise LookupError: a process may have to start for that, on a crowded machine."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            return await ask()
        except LookupError:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.05)
