"""Members, invitations and roles through the endpoint."""

from auth.roles import BUILTIN
from tests.api.people import (
    MEMBERS,
    PUSHED_SECONDS,
    VIEWER,
    address,
    code_of,
    done,
    email_of,
    ends,
    invited,
    me,
    member,
    membership_id,
    refused,
    role_id,
    soon,
)
from tests.running import PASSWORD, Api
from web.works import Process


async def test_an_invitation_brings_somebody_in_once(api: Api, process: Process) -> None:
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


async def test_a_second_tenant_is_joined_and_entered(api: Api, process: Process) -> None:
    email = address()
    owner, guest = await api.sign_up(tenant="First"), await api.sign_up(tenant="Second", email=email)
    _, token = await invited(owner, process, "viewer", email)
    joined = await done(guest, "invitationAccept", "membership { id role { name scopes } user { email } tenant { id name } }", token=token)
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
    assert switched["viewer"]["permissions"] == sorted(BUILTIN["viewer"])
    assert switched["session"]["current"] is True
    assert await code_of(guest) == "SESSION_TERMINATED"
    there = api.as_(switched["tokenOnce"])
    assert (await there.data("{ tenant { name } }"))["tenant"]["name"] == "First"
    assert await code_of(there, "{ tenant { roles { id } } }") == "PERMISSION_DENIED"


async def test_a_tenant_is_looked_into_only_from_inside(api: Api, process: Process) -> None:
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


async def test_members_are_paged_filtered_and_counted(api: Api, process: Process) -> None:
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


async def test_a_page_has_a_size_and_its_cursor_belongs_to_the_tenant(api: Api) -> None:
    owner, other = await api.sign_up(), await api.sign_up()
    cursor = (await other.data(MEMBERS, first=1))["tenant"]["members"]["pageInfo"]["endCursor"]
    for wrong in ({"first": 0}, {"first": 101}, {"first": 1, "after": cursor}, {"first": 1, "after": "nonsense"}):
        assert await code_of(owner, MEMBERS, **wrong) == "BAD_USER_INPUT", wrong
    assert await code_of(owner, "{ tenant { members { nodes { id } } } }") == "BAD_USER_INPUT"
    assert await code_of(other, MEMBERS, first=1, after=cursor) is None


async def test_a_role_that_changes_is_felt_at_once(api: Api, process: Process) -> None:
    owner = await api.sign_up()
    creator = await member(owner, process, "creator")
    place = await membership_id(owner, await email_of(creator))
    assert "chats:write" in (await creator.data(VIEWER))["viewer"]["permissions"]
    changed = await done(
        owner, "memberUpdate", "membership { role { name } status }", membershipId=place, roleId=await role_id(owner, "viewer")
    )
    assert changed["membership"] == {"role": {"name": "viewer"}, "status": "ACTIVE"}

    async def look() -> None:
        if "chats:write" in (await creator.data(VIEWER))["viewer"]["permissions"]:
            raise LookupError("the old role still counts")

    await soon(look, seconds=PUSHED_SECONDS)
    await done(owner, "memberUpdate", membershipId=place, status="DISABLED")
    await ends(creator, "SESSION_TERMINATED")


async def test_who_is_removed_is_out_and_the_last_owner_stays(api: Api, process: Process) -> None:
    owner = await api.sign_up()
    creator = await member(owner, process, "creator")
    place, own = await membership_id(owner, await email_of(creator)), await membership_id(owner, await email_of(owner))
    assert (await done(owner, "memberRemove", "removedId", membershipId=place))["removedId"] == place
    await ends(creator, "SESSION_TERMINATED", "UNAUTHENTICATED")
    assert (await refused(owner, "memberRemove", membershipId=own))["code"] == "CONFLICT"
    assert (await refused(owner, "memberUpdate", membershipId=own, status="DISABLED"))["code"] == "CONFLICT"
    assert await code_of(owner) is None


async def test_a_member_without_the_scope_changes_nothing(api: Api, process: Process) -> None:
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


async def test_a_role_of_ones_own_is_defined_and_changed(api: Api) -> None:
    owner = await api.sign_up()
    role = (await done(owner, "roleUpsert", "role { id name builtin scopes }", name="Reader", scopes=["chats:read"]))["role"]
    assert role["builtin"] is False
    again = (await done(owner, "roleUpsert", "role { id scopes }", id=role["id"], name="Reader", scopes=["chats:read", "tenant:read"]))[
        "role"
    ]
    assert again == {"id": role["id"], "scopes": ["chats:read", "tenant:read"]}
    assert (await refused(owner, "roleUpsert", name="Odd", scopes=["no:such"]))["code"] == "VALIDATION"
    assert (await refused(owner, "roleUpsert", id=await role_id(owner, "viewer"), name="Viewer2", scopes=[]))["code"] == "CONFLICT"


async def test_a_revoked_invitation_is_worthless(api: Api, process: Process) -> None:
    owner = await api.sign_up()
    email, token = await invited(owner, process, "viewer")
    listed = (await owner.data("{ tenant { invitations(first: 5) { nodes { id } } } }"))["tenant"]["invitations"]["nodes"]
    await done(owner, "invitationRevoke", "invitation { email }", invitationId=listed[0]["id"])
    assert (await refused(api, "signUp", email=email, password=PASSWORD, name="Eve", invitationToken=token))["code"] == "VALIDATION"
