"""Accounts and sessions through the endpoint: signing up, in and out, passwords, profiles."""

import re
from typing import Any

import aiohttp
import pytest

from tests.api.people import SIGN_IN, VIEWER, address, code_of, done, link_token, member, refused, soon
from tests.running import PASSWORD, Api, Server
from web.works import Process


async def test_a_new_account_owns_a_tenant_of_its_own(api: Api) -> None:
    owner = await api.sign_up(tenant="Émile & Söhne")
    shown = await owner.data(
        "{ viewer { principal { ... on User { name } } user { name email } permissions"
        " tenants(first: 5) { totalCount nodes { role { name builtin } status tenant { name slug status } } } }"
        " tenant { id name slug status region createdAt revision settings roles { name } } }"
    )
    assert shown["tenant"]["name"] == "Émile & Söhne"
    assert shown["tenant"]["status"] == "ACTIVE"
    assert shown["tenant"]["settings"] == {}
    assert {role["name"] for role in shown["tenant"]["roles"]} >= {"owner", "admin", "manager", "creator", "viewer"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", shown["tenant"]["createdAt"])
    assert "members:admin" in shown["viewer"]["permissions"]
    assert shown["viewer"]["principal"] == {"name": "Ada"}
    place = shown["viewer"]["tenants"]
    assert place["totalCount"] == 1
    assert place["nodes"][0]["role"] == {"name": "owner", "builtin": True}
    assert place["nodes"][0]["tenant"] == {name: shown["tenant"][name] for name in ("name", "slug", "status")}


async def test_an_address_has_one_account_however_it_is_spelled(api: Api) -> None:
    email = address()
    await api.sign_up(email=email)
    error = await refused(api, "signUp", email=f" {email.upper()} ", password=PASSWORD, name="Eve", tenantName="Other")
    assert (error["__typename"], error["path"]) == ("ConflictError", ["email"])


@pytest.mark.parametrize(("wrong", "path"), [({"email": "nobody"}, "email"), ({"password": "short"}, "password"), ({"name": " "}, "name")])
async def test_a_wrong_value_is_named(api: Api, wrong: dict[str, str], path: str) -> None:
    given = {"email": address(), "password": PASSWORD, "name": "Eve", "tenantName": "Evil"} | wrong
    error = await refused(api, "signUp", **given)
    assert (error["code"], error["path"]) == ("VALIDATION", [path])


async def test_a_mailed_link_confirms_the_address_once(api: Api, process: Process) -> None:
    email = address()
    await api.sign_up(email=email)
    token = await link_token(process, email, "verify")
    await done(api, "emailVerify", "viewer { permissions }", token=token)
    assert (await refused(api, "emailVerify", token=token))["code"] == "VALIDATION"


async def test_a_bearer_is_told_its_token_once(api: Api) -> None:
    email = address()
    await api.sign_up(email=email)
    payload = (await api.data(SIGN_IN, input={"email": email, "password": PASSWORD, "transport": "BEARER"}))["signIn"]
    assert payload["errors"] == []
    assert payload["session"]["current"] is True
    assert payload["viewer"]["user"]["email"] == email
    assert (await api.as_(payload["tokenOnce"]).data(VIEWER))["viewer"]["user"]["email"] == email


async def test_an_unknown_account_and_a_wrong_password_are_the_same(api: Api) -> None:
    email = address()
    await api.sign_up(email=email)
    wrong = await refused(api, "signIn", email=email, password="not it, not at all")
    unknown = await refused(api, "signIn", email=address(), password=PASSWORD)
    assert wrong == unknown
    assert wrong["__typename"] == "ValidationError"


async def test_a_page_gets_a_cookie_and_no_token(server: Server, api: Api) -> None:
    email = address()
    await api.sign_up(email=email)
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as browser:

        async def post(query: str, **variables: Any) -> Any:
            async with browser.post(f"{server.url}/graphql", json={"query": query, "variables": variables}) as answer:
                return await answer.json()

        signed_in = await post(SIGN_IN, input={"email": email, "password": PASSWORD})
        assert signed_in["data"]["signIn"]["errors"] == []
        assert signed_in["data"]["signIn"]["tokenOnce"] is None
        (cookie,) = list(jar)
        assert cookie["httponly"]
        assert cookie["samesite"] == "Lax"
        assert (await post(VIEWER))["data"]["viewer"]["user"]["email"] == email
        assert (await post("mutation { signOut { signedOut } }"))["data"]["signOut"]["signedOut"] is True
        assert list(jar) == []
        jar.update_cookies({cookie.key: cookie.value})
        assert (await post(VIEWER))["errors"][0]["extensions"]["code"] == "SESSION_TERMINATED"


async def test_signing_out_ends_the_session(api: Api) -> None:
    viewer = await api.sign_up()
    await viewer.data(VIEWER)
    assert (await viewer.data("mutation { signOut { signedOut errors { message } } }"))["signOut"]["signedOut"] is True
    assert await code_of(viewer) == "SESSION_TERMINATED"


async def test_nobody_reads_without_a_credential(api: Api) -> None:
    for query in (VIEWER, "{ tenant { id } }", '{ node(id: "usr_0") { id } }'):
        assert await code_of(api, query) == "UNAUTHENTICATED"


async def test_other_sessions_end_together(api: Api) -> None:
    email = address()
    first = await api.sign_up(email=email)
    second = api.as_((await done(api, "signIn", "tokenOnce", email=email, password=PASSWORD, transport="BEARER"))["tokenOnce"])
    sessions = (await second.data("{ viewer { sessions { id current ip userAgent createdAt lastSeenAt expiresAt } } }"))["viewer"][
        "sessions"
    ]
    assert sorted(session["current"] for session in sessions) == [False, True]
    assert {session["ip"] for session in sessions} == {"127.0.0.1"}
    ended = (await done(second, "sessionRevoke", "revokedIds", allOthers=True))["revokedIds"]
    assert ended == [session["id"] for session in sessions if not session["current"]]
    assert await code_of(first) == "SESSION_TERMINATED"
    assert await code_of(second) is None


async def test_a_session_of_somebody_else_stays(api: Api, process: Process) -> None:
    owner = await api.sign_up()
    creator = await member(owner, process, "creator")
    theirs = (await owner.data("{ viewer { sessions { id } } }"))["viewer"]["sessions"][0]["id"]
    assert (await refused(creator, "sessionRevoke", sessionIds=[theirs]))["code"] == "PERMISSION_DENIED"
    assert await code_of(owner) is None
    own = (await creator.data("{ viewer { sessions { id } } }"))["viewer"]["sessions"][0]["id"]
    assert (await done(owner, "sessionRevoke", "revokedIds", sessionIds=[own]))["revokedIds"] == [own]
    assert await code_of(creator) == "SESSION_TERMINATED"


async def test_a_changed_password_ends_the_other_sessions(api: Api) -> None:
    email = address()
    here = await api.sign_up(email=email)
    there = api.as_((await done(api, "signIn", "tokenOnce", email=email, password=PASSWORD, transport="BEARER"))["tokenOnce"])
    wrong = await refused(here, "passwordChange", currentPassword="something else", newPassword="a new one, quite long")
    assert wrong["path"] == ["currentPassword"]
    assert await code_of(there) is None
    await done(here, "passwordChange", "viewer { user { email } }", currentPassword=PASSWORD, newPassword="a new one, quite long")
    assert await code_of(there) == "SESSION_TERMINATED"
    assert await code_of(here) is None
    assert (await refused(api, "signIn", email=email, password=PASSWORD))["code"] == "VALIDATION"
    await done(api, "signIn", email=email, password="a new one, quite long")


async def test_a_forgotten_password_is_set_by_a_mailed_link_that_works_once(api: Api, process: Process) -> None:
    email = address()
    before = await api.sign_up(email=email)
    assert (await done(api, "passwordResetRequest", "accepted", email=address()))["accepted"] is True
    assert (await done(api, "passwordResetRequest", "accepted", email=email))["accepted"] is True
    token = await soon(lambda: link_token(process, email, "reset"))
    await done(api, "passwordReset", "viewer { permissions }", token=token, newPassword="a new one, quite long")
    assert await code_of(before) == "SESSION_TERMINATED"
    await done(api, "signIn", email=email, password="a new one, quite long")
    assert (await refused(api, "passwordReset", token=token, newPassword="yet another, quite long"))["path"] == ["token"]


async def test_a_profile_keeps_what_is_left_out_and_loses_what_is_null(api: Api) -> None:
    viewer = await api.sign_up()
    profile = "user { name locale avatarUrl }"
    full = {"name": "Ada L.", "locale": "en-GB", "avatarUrl": "https://example.com/ada.png"}
    assert (await done(viewer, "profileUpdate", profile, **full))["user"] == full
    assert (await done(viewer, "profileUpdate", profile, locale=None))["user"] == full | {"locale": None}
    assert (await viewer.data("{ viewer { user { name locale avatarUrl } } }"))["viewer"]["user"] == full | {"locale": None}
    document = "mutation ($input: ProfileUpdateInput!) { profileUpdate(input: $input) { errors { code } } }"
    assert await code_of(viewer, document, input={"avatarUrl": "javascript:alert(1)"}) == "BAD_USER_INPUT"
