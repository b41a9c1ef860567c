"""API keys through the endpoint."""

from tests.api.people import code_of, done, member, refused
from tests.running import PASSWORD, Api
from web.works import Process


async def test_a_key_speaks_for_its_owner_within_its_scopes(api: Api) -> None:
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


async def test_a_rotated_key_overlaps_and_a_revoked_one_ends_at_once(api: Api) -> None:
    owner = await api.sign_up()
    made = await done(owner, "apiKeyCreate", "secretOnce apiKey { id }", name="CI", scopes=["chats:read"])
    old = api.as_(made["secretOnce"])
    rotated = await done(owner, "apiKeyRotate", "secretOnce apiKey { id previousValidUntil }", apiKeyId=made["apiKey"]["id"])
    new = api.as_(rotated["secretOnce"])
    assert rotated["apiKey"]["previousValidUntil"]
    assert [await code_of(old), await code_of(new)] == [None, None]
    assert (await done(owner, "apiKeyRevoke", "apiKey { revokedAt }", apiKeyId=made["apiKey"]["id"]))["apiKey"]["revokedAt"]
    assert [await code_of(old), await code_of(new)] == ["SESSION_TERMINATED", "SESSION_TERMINATED"]


async def test_nobody_makes_a_key_that_may_do_more(api: Api, process: Process) -> None:
    owner = await api.sign_up()
    creator = await member(owner, process, "creator")
    assert (await refused(creator, "apiKeyCreate", name="More", scopes=["members:admin"]))["code"] == "PERMISSION_DENIED"
    assert (await refused(creator, "apiKeyCreate", name="Odd", scopes=["no:such"]))["code"] == "VALIDATION"
    await done(creator, "apiKeyCreate", name="Fine", scopes=["chats:read"])


async def test_ones_own_keys_are_listed_and_everybodys_for_administrators(api: Api, process: Process) -> None:
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
