"""Global ids through the endpoint: what is found, and for whom."""

from tests.api.people import address, code_of, done, invited, member, refused
from tests.running import Api
from web.works import Process


async def test_everything_is_found_by_its_id_and_nothing_of_another_tenant(api: Api, process: Process) -> None:
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
    assert (await owner.data(query, ids=[text for _, text in named]))["nodes"] == [{"__typename": kind, "id": text} for kind, text in named]
    assert (await stranger.data(query, ids=[text for _, text in named]))["nodes"] == [None] * len(named)
    one = "query ($id: ID!) { node(id: $id) { id } }"
    assert (await owner.data(one, id=named[0][1]))["node"] == {"id": named[0][1]}
    assert (await stranger.data(one, id=named[0][1]))["node"] is None


async def test_garbage_is_nothing(api: Api) -> None:
    owner = await api.sign_up()
    garbage = ["", "usr_", "usr_" + "0" * 32, "usr_" + "z" * 32, "nope_" + "0" * 32, "usr_" + "٣" * 32, "💥", "usr", "_", "\x00"]
    nodes = (await owner.data("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=garbage))["nodes"]
    assert nodes == [None] * len(garbage)
    assert await code_of(owner, "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=["x"] * 101) == "BAD_USER_INPUT"


async def test_a_member_sees_of_others_what_the_role_allows(api: Api, process: Process) -> None:
    owner = await api.sign_up()
    viewer = await member(owner, process, "viewer")
    theirs = await owner.data("{ viewer { user { id } sessions { id } } tenant { members(first: 1) { nodes { id role { id } } } } }")
    place = theirs["tenant"]["members"]["nodes"][0]
    ids = [theirs["viewer"]["user"]["id"], theirs["viewer"]["sessions"][0]["id"], place["id"], place["role"]["id"]]
    query = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
    assert (await viewer.data(query, ids=ids))["nodes"] == [None] * 4
    assert (await owner.data(query, ids=ids))["nodes"] == [{"id": text} for text in ids]


async def test_anothers_ids_change_nothing(api: Api) -> None:
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
