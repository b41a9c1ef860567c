"""Accounts, tenants, members, sessions and API keys through the endpoint."""

import asyncio
import re
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from tests.running import PASSWORD, Api, Server
from web.works import Process

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
INVITE = f"mutation ($input: MemberInviteInput!) {{ memberInvite(input: $input) {{ invitation {{ id email role {{ name }} invitedBy {{ ... on User {{ id }} }} }} {ERRORS} }} }}"
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


async def me(api: Api) -> Any:
    return await api.data("{ viewer { user { id email } } tenant { id slug } }")


async def role_id(api: Api, name: str) -> str:
    roles = (await api.data("{ tenant { roles { id name } } }"))["tenant"]["roles"]
    return next(role["id"] for role in roles if role["name"] == name)


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


class TestSigningUp:
    async def test_a_new_account_owns_a_tenant_of_its_own(self, api: Api) -> None:
        owner = await api.sign_up(tenant="Émile & Söhne")
        shown = await owner.data(
            "{ viewer { principal { ... on User { name } } user { name email } permissions tenants(first: 5) { totalCount nodes { role { name builtin } status tenant { name slug status } } } }"
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

    async def test_an_address_has_one_account_however_it_is_spelled(self, api: Api) -> None:
        email = address()
        await api.sign_up(email=email)
        error = await refused(api, "signUp", email=f" {email.upper()} ", password=PASSWORD, name="Eve", tenantName="Other")
        assert (error["__typename"], error["path"]) == ("ConflictError", ["email"])

    @pytest.mark.parametrize(
        ("wrong", "path"), [({"email": "nobody"}, "email"), ({"password": "short"}, "password"), ({"name": " "}, "name")]
    )
    async def test_a_wrong_value_is_named(self, api: Api, wrong: dict[str, str], path: str) -> None:
        given = {"email": address(), "password": PASSWORD, "name": "Eve", "tenantName": "Evil"} | wrong
        error = await refused(api, "signUp", **given)
        assert (error["code"], error["path"]) == ("VALIDATION", [path])

    async def test_a_mailed_link_confirms_the_address_once(self, api: Api, process: Process) -> None:
        email = address()
        await api.sign_up(email=email)
        token = await link_token(process, email, "verify")
        await done(api, "emailVerify", "viewer { permissions }", token=token)
        assert (await refused(api, "emailVerify", token=token))["code"] == "VALIDATION"


class TestSigningIn:
    async def test_a_bearer_is_told_its_token_once(self, api: Api) -> None:
        email = address()
        await api.sign_up(email=email)
        payload = (await api.data(SIGN_IN, input={"email": email, "password": PASSWORD, "transport": "BEARER"}))["signIn"]
        assert payload["errors"] == []
        assert payload["session"]["current"] is True
        assert payload["viewer"]["user"]["email"] == email
        assert (await api.as_(payload["tokenOnce"]).data(VIEWER))["viewer"]["user"]["email"] == email

    async def test_an_unknown_account_and_a_wrong_password_are_the_same(self, api: Api) -> None:
        email = address()
        await api.sign_up(email=email)
        wrong = await refused(api, "signIn", email=email, password="not it, not at all")
        unknown = await refused(api, "signIn", email=address(), password=PASSWORD)
        assert wrong == unknown
        assert wrong["__typename"] == "ValidationError"

    async def test_a_page_gets_a_cookie_and_no_token(self, server: Server, api: Api) -> None:
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

    async def test_signing_out_ends_the_session(self, api: Api) -> None:
        viewer = await api.sign_up()
        await viewer.data(VIEWER)
        assert (await viewer.data("mutation { signOut { signedOut errors { message } } }"))["signOut"]["signedOut"] is True
        assert await code_of(viewer) == "SESSION_TERMINATED"

    async def test_nobody_reads_without_a_credential(self, api: Api) -> None:
        for query in (VIEWER, "{ tenant { id } }", '{ node(id: "usr_0") { id } }'):
            assert await code_of(api, query) == "UNAUTHENTICATED"

    async def test_other_sessions_end_together(self, api: Api) -> None:
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

    async def test_a_session_of_somebody_else_stays(self, api: Api, process: Process) -> None:
        owner = await api.sign_up()
        creator = await member(owner, process, "creator")
        theirs = (await owner.data("{ viewer { sessions { id } } }"))["viewer"]["sessions"][0]["id"]
        assert (await refused(creator, "sessionRevoke", sessionIds=[theirs]))["code"] == "PERMISSION_DENIED"
        assert await code_of(owner) is None
        own = (await creator.data("{ viewer { sessions { id } } }"))["viewer"]["sessions"][0]["id"]
        assert (await done(owner, "sessionRevoke", "revokedIds", sessionIds=[own]))["revokedIds"] == [own]
        assert await code_of(creator) == "SESSION_TERMINATED"


class TestPasswords:
    async def test_a_changed_password_ends_the_other_sessions(self, api: Api) -> None:
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

    async def test_a_forgotten_password_is_set_by_a_mailed_link_that_works_once(self, api: Api, process: Process) -> None:
        email = address()
        before = await api.sign_up(email=email)
        assert (await done(api, "passwordResetRequest", "accepted", email=address()))["accepted"] is True
        assert (await done(api, "passwordResetRequest", "accepted", email=email))["accepted"] is True
        token = await soon(lambda: link_token(process, email, "reset"))
        await done(api, "passwordReset", "viewer { permissions }", token=token, newPassword="a new one, quite long")
        assert await code_of(before) == "SESSION_TERMINATED"
        await done(api, "signIn", email=email, password="a new one, quite long")
        assert (await refused(api, "passwordReset", token=token, newPassword="yet another, quite long"))["path"] == ["token"]

    async def test_a_profile_keeps_what_is_left_out_and_loses_what_is_null(self, api: Api) -> None:
        viewer = await api.sign_up()
        profile = "user { name locale avatarUrl }"
        full = {"name": "Ada L.", "locale": "en-GB", "avatarUrl": "https://example.com/ada.png"}
        assert (await done(viewer, "profileUpdate", profile, **full))["user"] == full
        assert (await done(viewer, "profileUpdate", profile, locale=None))["user"] == full | {"locale": None}
        assert (await viewer.data("{ viewer { user { name locale avatarUrl } } }"))["viewer"]["user"] == full | {"locale": None}
        document = "mutation ($input: ProfileUpdateInput!) { profileUpdate(input: $input) { errors { code } } }"
        assert await code_of(viewer, document, input={"avatarUrl": "javascript:alert(1)"}) == "BAD_USER_INPUT"


class TestMembers:
    async def test_an_invitation_brings_somebody_in_once(self, api: Api, process: Process) -> None:
        owner = await api.sign_up()
        email, token = await invited(owner, process, "creator")
        listed = await owner.data(
            "{ tenant { invitations(first: 5) { nodes { id email role { name } expiresAt invitedBy { ... on User { id } } } } } }"
        )
        (open_,) = listed["tenant"]["invitations"]["nodes"]
        assert (open_["email"], open_["role"]["name"]) == (email, "creator")
        assert open_["invitedBy"] == {"id": (await me(owner))["viewer"]["user"]["id"]}
        creator = await api.sign_up(email=email, invitation=token)
        assert (await me(creator))["tenant"]["id"] == (await me(owner))["tenant"]["id"]
        assert (await owner.data("{ tenant { invitations(first: 5) { nodes { id } } } }"))["tenant"]["invitations"]["nodes"] == []
        other = await api.sign_up()
        assert (await refused(other, "invitationAccept", token=token))["code"] == "VALIDATION"

    async def test_a_second_tenant_is_joined_and_entered(self, api: Api, process: Process) -> None:
        email = address()
        owner, guest = await api.sign_up(tenant="First"), await api.sign_up(tenant="Second", email=email)
        _, token = await invited(owner, process, "viewer", email)
        joined = await done(
            guest, "invitationAccept", "membership { id role { name scopes } user { email } tenant { id name } }", token=token
        )
        assert joined["membership"]["tenant"]["name"] == "First"
        assert joined["membership"]["role"]["name"] == "viewer"
        assert joined["membership"]["user"]["email"] == email
        places = (await guest.data("{ viewer { tenants(first: 9) { nodes { tenant { name } role { name } } } } }"))["viewer"]["tenants"][
            "nodes"
        ]
        assert [(place["tenant"]["name"], place["role"]["name"]) for place in places] == [("Second", "owner"), ("First", "viewer")]
        switched = await done(
            guest,
            "tenantSwitch",
            "tokenOnce viewer { permissions tenants(first: 1) { nodes { tenant { name } } } } session { current }",
            tenantId=joined["membership"]["tenant"]["id"],
        )
        assert switched["viewer"]["permissions"] == ["chats:read", "tenant:read"]
        assert switched["session"]["current"] is True
        assert await code_of(guest) == "SESSION_TERMINATED"
        there = api.as_(switched["tokenOnce"])
        assert (await there.data("{ tenant { name } }"))["tenant"]["name"] == "First"
        assert await code_of(there, "{ tenant { roles { id } } }") == "PERMISSION_DENIED"

    async def test_a_tenant_is_looked_into_only_from_inside(self, api: Api, process: Process) -> None:
        email = address()
        owner, guest = await api.sign_up(), await api.sign_up(email=email)
        _, token = await invited(owner, process, "owner", email)
        await done(guest, "invitationAccept", token=token)
        for field in (
            "members(first: 1) { nodes { id } }",
            "invitations(first: 1) { nodes { id } }",
            "roles { id }",
            "settings",
            "apiKeys(first: 1) { nodes { id } }",
        ):
            response = await guest.post(f"{{ viewer {{ tenants(first: 2) {{ nodes {{ tenant {{ {field} }} }} }} }} }}")
            assert [error["extensions"]["code"] for error in response["errors"]] == ["PERMISSION_DENIED"], field

    async def test_members_are_paged_filtered_and_counted(self, api: Api, process: Process) -> None:
        owner = await api.sign_up()
        people = [await email_of(owner), *[await email_of(await member(owner, process, role)) for role in ("creator", "viewer", "creator")]]
        page = (await owner.data(MEMBERS, first=3))["tenant"]["members"]
        assert [node["user"]["email"] for node in page["nodes"]] == people[:3]
        assert [edge["node"]["id"] for edge in page["edges"]] == [node["id"] for node in page["nodes"]]
        assert (page["totalCount"], page["pageInfo"]["hasNextPage"], page["pageInfo"]["hasPreviousPage"]) == (4, True, False)
        rest = (await owner.data(MEMBERS, first=3, after=page["pageInfo"]["endCursor"]))["tenant"]["members"]
        assert [node["user"]["email"] for node in rest["nodes"]] == people[3:]
        assert (rest["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasPreviousPage"]) == (False, True)
        creators = (await owner.data(MEMBERS, first=9, role="creator"))["tenant"]["members"]
        assert (creators["totalCount"], [node["user"]["email"] for node in creators["nodes"]]) == (2, [people[1], people[3]])
        assert (await owner.data(MEMBERS, first=9, text=people[2][:20].upper()))["tenant"]["members"]["totalCount"] == 1
        assert (await owner.data(MEMBERS, first=9, text="%"))["tenant"]["members"]["totalCount"] == 0

    async def test_a_page_has_a_size_and_its_cursor_belongs_to_the_tenant(self, api: Api) -> None:
        owner, other = await api.sign_up(), await api.sign_up()
        cursor = (await other.data(MEMBERS, first=1))["tenant"]["members"]["pageInfo"]["endCursor"]
        for wrong in ({"first": 0}, {"first": 101}, {"first": 1, "after": cursor}, {"first": 1, "after": "nonsense"}):
            assert await code_of(owner, MEMBERS, **wrong) == "BAD_USER_INPUT", wrong
        assert await code_of(owner, "{ tenant { members { nodes { id } } } }") == "BAD_USER_INPUT"
        assert await code_of(other, MEMBERS, first=1, after=cursor) is None

    async def test_a_role_that_changes_is_felt_at_once(self, api: Api, process: Process) -> None:
        owner = await api.sign_up()
        creator = await member(owner, process, "creator")
        place = await membership_id(owner, await email_of(creator))
        assert "chats:write" in (await creator.data(VIEWER))["viewer"]["permissions"]
        changed = await done(
            owner, "memberUpdate", "membership { role { name } status }", membershipId=place, roleId=await role_id(owner, "viewer")
        )
        assert changed["membership"] == {"role": {"name": "viewer"}, "status": "ACTIVE"}
        assert "chats:write" not in (await creator.data(VIEWER))["viewer"]["permissions"]
        await done(owner, "memberUpdate", membershipId=place, status="DISABLED")
        assert await code_of(creator) == "SESSION_TERMINATED"

    async def test_who_is_removed_is_out_and_the_last_owner_stays(self, api: Api, process: Process) -> None:
        owner = await api.sign_up()
        creator = await member(owner, process, "creator")
        place, own = await membership_id(owner, await email_of(creator)), await membership_id(owner, await email_of(owner))
        assert (await done(owner, "memberRemove", "removedId", membershipId=place))["removedId"] == place
        assert await code_of(creator) in ("SESSION_TERMINATED", "UNAUTHENTICATED")
        assert (await refused(owner, "memberRemove", membershipId=own))["code"] == "CONFLICT"
        assert (await refused(owner, "memberUpdate", membershipId=own, status="DISABLED"))["code"] == "CONFLICT"
        assert await code_of(owner) is None

    async def test_a_member_without_the_scope_changes_nothing(self, api: Api, process: Process) -> None:
        owner = await api.sign_up()
        creator = await member(owner, process, "creator")
        place = await membership_id(owner, await email_of(owner))
        for field, given in (
            ("memberInvite", {"email": address(), "roleId": await role_id(owner, "viewer")}),
            ("memberUpdate", {"membershipId": place, "status": "DISABLED"}),
            ("memberRemove", {"membershipId": place}),
            ("roleUpsert", {"name": "Sneaky", "scopes": ["members:admin"]}),
        ):
            error = await refused(creator, field, **given)
            assert (error["code"], error["requiredScopes"]) == ("PERMISSION_DENIED", ["members:admin"]), field
        assert (await owner.data("{ tenant { invitations(first: 1) { nodes { id } } } }"))["tenant"]["invitations"]["nodes"] == []
        assert await code_of(owner) is None

    async def test_a_role_of_ones_own_is_defined_and_changed(self, api: Api) -> None:
        owner = await api.sign_up()
        role = (await done(owner, "roleUpsert", "role { id name builtin scopes }", name="Reader", scopes=["chats:read"]))["role"]
        assert role["builtin"] is False
        again = (await done(owner, "roleUpsert", "role { id scopes }", id=role["id"], name="Reader", scopes=["chats:read", "tenant:read"]))[
            "role"
        ]
        assert again == {"id": role["id"], "scopes": ["chats:read", "tenant:read"]}
        assert (await refused(owner, "roleUpsert", name="Odd", scopes=["no:such"]))["code"] == "VALIDATION"
        assert (await refused(owner, "roleUpsert", id=await role_id(owner, "viewer"), name="Viewer2", scopes=[]))["code"] == "CONFLICT"

    async def test_a_revoked_invitation_is_worthless(self, api: Api, process: Process) -> None:
        owner = await api.sign_up()
        email, token = await invited(owner, process, "viewer")
        listed = (await owner.data("{ tenant { invitations(first: 5) { nodes { id } } } }"))["tenant"]["invitations"]["nodes"]
        await done(owner, "invitationRevoke", "invitation { email }", invitationId=listed[0]["id"])
        assert (await refused(api, "signUp", email=email, password=PASSWORD, name="Eve", invitationToken=token))["code"] == "VALIDATION"


class TestApiKeys:
    async def test_a_key_speaks_for_its_owner_within_its_scopes(self, api: Api) -> None:
        owner = await api.sign_up()
        made = await done(
            owner,
            "apiKeyCreate",
            "secretOnce apiKey { id name prefix scopes owner { ... on User { id } } lastUsedAt }",
            name="CI",
            scopes=["members:read"],
        )
        assert made["secretOnce"].startswith("pny_live_")
        assert made["secretOnce"].startswith(made["apiKey"]["prefix"])
        key = api.as_(made["secretOnce"])
        shown = await key.data("{ viewer { permissions user { id } } tenant { members(first: 1) { nodes { id } } } }")
        assert shown["viewer"] == {"permissions": ["members:read"], "user": {"id": made["apiKey"]["owner"]["id"]}}
        assert await code_of(key, "{ tenant { settings } }") == "PERMISSION_DENIED"
        assert (await refused(key, "passwordChange", currentPassword=PASSWORD, newPassword="a new one, quite long"))[
            "code"
        ] == "PERMISSION_DENIED"
        assert (await refused(key, "sessionRevoke", allOthers=True))["code"] == "PERMISSION_DENIED"
        assert await code_of(owner) is None

    async def test_a_rotated_key_overlaps_and_a_revoked_one_ends_at_once(self, api: Api) -> None:
        owner = await api.sign_up()
        made = await done(owner, "apiKeyCreate", "secretOnce apiKey { id }", name="CI", scopes=["chats:read"])
        old = api.as_(made["secretOnce"])
        rotated = await done(owner, "apiKeyRotate", "secretOnce apiKey { id previousValidUntil }", apiKeyId=made["apiKey"]["id"])
        new = api.as_(rotated["secretOnce"])
        assert rotated["apiKey"]["previousValidUntil"]
        assert [await code_of(old), await code_of(new)] == [None, None]
        assert (await done(owner, "apiKeyRevoke", "apiKey { revokedAt }", apiKeyId=made["apiKey"]["id"]))["apiKey"]["revokedAt"]
        assert [await code_of(old), await code_of(new)] == ["SESSION_TERMINATED", "SESSION_TERMINATED"]

    async def test_nobody_makes_a_key_that_may_do_more(self, api: Api, process: Process) -> None:
        owner = await api.sign_up()
        creator = await member(owner, process, "creator")
        assert (await refused(creator, "apiKeyCreate", name="More", scopes=["members:admin"]))["code"] == "PERMISSION_DENIED"
        assert (await refused(creator, "apiKeyCreate", name="Odd", scopes=["no:such"]))["code"] == "VALIDATION"
        await done(creator, "apiKeyCreate", name="Fine", scopes=["chats:read"])

    async def test_ones_own_keys_are_listed_and_everybodys_for_administrators(self, api: Api, process: Process) -> None:
        owner = await api.sign_up()
        creator = await member(owner, process, "creator")
        for name in ("a", "b", "c"):
            await done(creator, "apiKeyCreate", name=name, scopes=[])
        await done(owner, "apiKeyCreate", name="owner's", scopes=[])
        own = "query ($after: String) { viewer { apiKeys(first: 2, after: $after) { pageInfo { endCursor hasNextPage } nodes { name } } } }"
        page = (await creator.data(own))["viewer"]["apiKeys"]
        assert [key["name"] for key in page["nodes"]] == ["c", "b"]
        rest = (await creator.data(own, after=page["pageInfo"]["endCursor"]))["viewer"]["apiKeys"]
        assert [key["name"] for key in rest["nodes"]] == ["a"]
        everyone = "{ tenant { apiKeys(first: 9) { nodes { name owner { ... on User { email } } } } } }"
        assert [key["name"] for key in (await owner.data(everyone))["tenant"]["apiKeys"]["nodes"]] == ["owner's", "c", "b", "a"]
        assert await code_of(creator, everyone) == "PERMISSION_DENIED"


class TestNodes:
    async def test_everything_is_found_by_its_id_and_nothing_of_another_tenant(self, api: Api, process: Process) -> None:
        owner, stranger = await api.sign_up(), await api.sign_up()
        await invited(owner, process, "viewer")
        await done(owner, "apiKeyCreate", name="key", scopes=[])
        ids = await owner.data(
            "{ viewer { user { id } sessions { id } apiKeys(first: 1) { nodes { id } } }"
            " tenant { id roles { id } members(first: 1) { nodes { id } } invitations(first: 1) { nodes { id } } } }"
        )
        named = [
            ("User", ids["viewer"]["user"]["id"]),
            ("Session", ids["viewer"]["sessions"][0]["id"]),
            ("ApiKey", ids["viewer"]["apiKeys"]["nodes"][0]["id"]),
            ("Tenant", ids["tenant"]["id"]),
            ("TenantRole", ids["tenant"]["roles"][0]["id"]),
            ("TenantMembership", ids["tenant"]["members"]["nodes"][0]["id"]),
            ("Invitation", ids["tenant"]["invitations"]["nodes"][0]["id"]),
        ]
        query = "query ($ids: [ID!]!) { nodes(ids: $ids) { __typename id } }"
        assert (await owner.data(query, ids=[id for _, id in named]))["nodes"] == [{"__typename": kind, "id": id} for kind, id in named]
        assert (await stranger.data(query, ids=[id for _, id in named]))["nodes"] == [None] * len(named)
        one = "query ($id: ID!) { node(id: $id) { id } }"
        assert (await owner.data(one, id=named[0][1]))["node"] == {"id": named[0][1]}
        assert (await stranger.data(one, id=named[0][1]))["node"] is None

    async def test_garbage_is_nothing(self, api: Api) -> None:
        owner = await api.sign_up()
        garbage = ["", "usr_", "usr_" + "0" * 32, "usr_" + "z" * 32, "nope_" + "0" * 32, "usr_" + "٣" * 32, "💥", "usr", "_", "\x00"]
        nodes = (await owner.data("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=garbage))["nodes"]
        assert nodes == [None] * len(garbage)
        assert await code_of(owner, "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=["x"] * 101) == "BAD_USER_INPUT"

    async def test_a_member_sees_of_others_what_the_role_allows(self, api: Api, process: Process) -> None:
        owner = await api.sign_up()
        viewer = await member(owner, process, "viewer")
        theirs = await owner.data("{ viewer { user { id } sessions { id } } tenant { members(first: 1) { nodes { id role { id } } } } }")
        place = theirs["tenant"]["members"]["nodes"][0]
        ids = [theirs["viewer"]["user"]["id"], theirs["viewer"]["sessions"][0]["id"], place["id"], place["role"]["id"]]
        query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
        assert (await viewer.data(query, ids=ids))["nodes"] == [None] * 4
        assert (await owner.data(query, ids=ids))["nodes"] == [{"id": id} for id in ids]

    async def test_anothers_ids_change_nothing(self, api: Api) -> None:
        owner, stranger = await api.sign_up(), await api.sign_up()
        ids = await owner.data("{ viewer { sessions { id } } tenant { id roles { id } members(first: 1) { nodes { id } } } }")
        key = (await done(owner, "apiKeyCreate", "apiKey { id }", name="key", scopes=[]))["apiKey"]["id"]
        place, role, session = (
            ids["tenant"]["members"]["nodes"][0]["id"],
            ids["tenant"]["roles"][0]["id"],
            ids["viewer"]["sessions"][0]["id"],
        )
        for field, given in (
            ("memberUpdate", {"membershipId": place, "status": "DISABLED"}),
            ("memberRemove", {"membershipId": place}),
            ("memberInvite", {"email": address(), "roleId": role}),
            ("roleUpsert", {"id": role, "name": "Taken over", "scopes": []}),
            ("sessionRevoke", {"sessionIds": [session]}),
            ("apiKeyRotate", {"apiKeyId": key}),
            ("apiKeyRevoke", {"apiKeyId": key}),
            ("tenantSwitch", {"tenantId": ids["tenant"]["id"]}),
        ):
            assert (await refused(stranger, field, **given))["__typename"] == "NotFoundError", field
        assert await code_of(owner) is None
        shown = await owner.data("{ viewer { apiKeys(first: 1) { nodes { revokedAt previousValidUntil } } } }")
        assert shown["viewer"]["apiKeys"]["nodes"] == [{"revokedAt": None, "previousValidUntil": None}]


async def soon(ask: Any, *, seconds: float = 10) -> Any:
    """What `ask` gives as soon as it does not raise LookupError."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        try:
            return await ask()
        except LookupError:
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(0.05)
