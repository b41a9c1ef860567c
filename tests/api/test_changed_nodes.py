"""What else changes reaches every device of those who see it, and nobody else: assistants, links, opinions, models, people, keys."""

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.api.following import CHAT, TENANT, VIEWER, Followed, following, now
from tests.api.people import done, email_of, invited, me, member, membership_id, role_id
from tests.api.test_assistants import written
from tests.api.test_emitted import KEY
from tests.chat.talking import ask, hear, new_chat
from tests.inference.key_server import KeyServer
from tests.running import PASSWORD, Api, running_web
from web.works import Process


@contextlib.asynccontextmanager
async def watching(process: Process, *people: Api) -> AsyncIterator[list[Followed]]:
    """Follow what everybody is told of what they see, from now on."""
    async with contextlib.AsyncExitStack() as open_:
        yield [await open_.enter_async_context(following(one, VIEWER, after=await now(one, process))) for one in people]


async def all_told(people: list[Api], followed: list[Followed]) -> None:
    """Wait until everybody was told all that there is to tell: a chat of their own that is begun after it."""
    for person, told in zip(people, followed, strict=True):
        last = await new_chat(person)
        await told.until(lambda one, last=last: any(event.get("chatId") == last for event in one.told))  # type: ignore[misc] # bound now


async def user_id(api: Api) -> str:
    return str((await me(api))["viewer"]["user"]["id"])


async def test_an_assistant_s_changes_reach_those_who_are_given_it(api: Api, process: Process) -> None:
    ada, stranger = await api.sign_up(), await api.sign_up()
    bob, eve = await member(ada, process, "creator"), await member(ada, process, "creator")
    people = [ada, bob, eve, stranger]
    async with watching(process, *people) as (hers, bobs, eves, strangers):
        version = await written(ada)
        assistant = version["assistant"]["id"]
        given: dict[str, Any] = {"assistantId": assistant, "instructions": "Arr!"}
        await done(ada, "assistantUpsert", **given, grants=[{"userId": await user_id(bob), "role": "USER"}])
        await done(ada, "assistantPublish", versionId=version["id"])
        await bobs.until(lambda one: len(one.changed) == 2)
        await done(ada, "assistantUpsert", **given, grants=[])
        await bobs.until(lambda one: len(one.changed) == 3)
        await done(ada, "assistantPublish", versionId=version["id"], state="WITHDRAWN")
        await all_told(people, [hers, bobs, eves, strangers])
    seen = [(kind, assistant, "Assistant") for kind in (
        "ASSISTANT_CREATED", "ASSISTANT_VERSION_CREATED", "ASSISTANT_UPDATED", "ASSISTANT_VERSION_CREATED", "ASSISTANT_VERSION_RELEASED",
        "ASSISTANT_UPDATED", "ASSISTANT_VERSION_CREATED", "ASSISTANT_VERSION_WITHDRAWN",
    )]  # fmt: skip
    assert hers.changed == seen
    # Drafts are their editors' alone, and what is taken away is gone.
    assert bobs.changed == [seen[2], seen[4], ("ASSISTANT_UPDATED", assistant, None)]
    assert eves.changed == strangers.changed == []


async def linked(api: Api, **given: Any) -> str:
    """Make a link to a chat."""
    return str((await done(api, "chatShareCreate", "share { id }", idempotencyKey=uuid4().hex, **given))["share"]["id"])


async def test_a_chat_s_links_are_its_owners_business_and_ratings_everybody_s(api: Api, process: Process) -> None:
    ada, stranger = await api.sign_up(), await api.sign_up()
    bob, eve = await member(ada, process, "creator"), await member(ada, process, "creator")
    chat_id = await new_chat(ada)
    run_id = await ask(ada, chat_id, "!script tokens=1")
    await hear(ada, run_id)
    await done(ada, "chatParticipantSet", chatId=chat_id, userId=await user_id(bob), role="VIEWER")
    begin = await now(ada, process)
    people = [ada, bob, eve, stranger]
    async with (
        watching(process, *people) as all_of_them,
        following(ada, CHAT, chatId=chat_id, after=begin) as hers,
        following(bob, CHAT, chatId=chat_id, after=begin) as his,
    ):
        share = (await done(ada, "chatShareCreate", "share { id }", idempotencyKey=uuid4().hex, chatId=chat_id, audience="TENANT"))[
            "share"
        ]["id"]
        for _ in range(2):
            await done(ada, "chatShareRevoke", shareId=share)
        outputs = "query ($id: ID!) { node(id: $id) { ... on Run { outputs { id } } } }"
        answer = (await ada.data(outputs, id=run_id))["node"]["outputs"][0]["id"]
        await done(ada, "messageFeedbackSet", messageId=answer, rating=1)
        await hers.hears(3)
        await his.hears(1)
        await all_told(people, all_of_them)
    assert hers.types == ["ChatChanged", "ChatChanged", "MessageChanged"]
    assert (his.types, his.told[0]["message"]["id"]) == (["MessageChanged"], answer)
    assert [sum(event.get("chatId") == chat_id for event in one.told) for one in all_of_them] == [2, 0, 0, 0]


async def chatter(owner: Api, process: Process) -> Api:
    """A member who sees chats, and nothing else."""
    await done(owner, "roleUpsert", name="Chatters", scopes=["chats:read", "chats:write"])
    return await member(owner, process, "Chatters")


async def test_a_link_that_expires_is_told_when_it_does(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    begin = await now(ada, process)
    async with following(ada, CHAT, chatId=chat_id, after=begin) as hers, following(ada, TENANT, after=begin) as all_of_it:
        given: dict[str, Any] = {"chatId": chat_id, "audience": "TENANT", "live": True}
        ends_at = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
        revoked, expired = [
            (await done(ada, "chatShareCreate", "share { id }", **given, idempotencyKey=uuid4().hex, expiresAt=ends_at))["share"]["id"]
            for _ in range(2)
        ]
        await done(ada, "chatShareRevoke", shareId=revoked)
        await all_of_it.until(lambda one: one.told and one.told[-1]["type"] == "CHAT_SHARE_EXPIRED")
        await hers.hears(4)
    assert [(event["type"], event["subjectId"]) for event in all_of_it.told] == [
        ("CHAT_SHARE_CREATED", revoked), ("CHAT_SHARE_CREATED", expired), ("CHAT_SHARE_REVOKED", revoked), ("CHAT_SHARE_EXPIRED", expired),
    ]  # fmt: skip
    assert hers.types == ["ChatChanged"] * 4


@pytest.fixture
async def house(environment: dict[str, str]) -> AsyncIterator[tuple[Api, str]]:
    """A web process whose operator lets tenants name the endpoint on loopback."""
    async with (
        KeyServer(KEY) as endpoint,
        running_web({**environment, "PENNY_MODEL_PRIVATE_ENDPOINTS": endpoint.base_url}) as (url, _),
        Api(url) as client,
    ):
        yield client, endpoint.base_url


async def test_what_can_be_asked_changes_for_all_who_see_models(house: tuple[Api, str], process: Process) -> None:
    api, endpoint = house
    ada, stranger = await api.sign_up(), await api.sign_up()
    bob, eve, carol = await member(ada, process, "creator"), await member(ada, process, "creator"), await chatter(ada, process)
    people = [ada, bob, eve, carol, stranger]
    async with watching(process, *people) as everybody:
        given = {"key": "acme", "name": "Acme", "endpoint": endpoint}
        provider = (await done(ada, "providerUpsert", "provider { id }", **given))["provider"]["id"]
        secret: dict[str, Any] = {"providerId": provider, "secret": KEY}
        key = (await done(ada, "providerCredentialSet", "credential { id }", **secret))["credential"]["id"]
        own = (await done(bob, "providerCredentialSet", "credential { id }", **secret, owner="USER"))["credential"]["id"]
        model = {"providerId": provider, "key": "large", "name": "Large", "contextTokens": 8000, "capabilities": ["TEXT"]}
        made = (await done(ada, "modelUpsert", "model { id }", **model))["model"]["id"]
        await everybody[1].until(lambda one: len(one.changed) == 4)
        await done(bob, "providerCredentialDelete", credentialId=own)
        await all_told(people, everybody)
    new_provider, new_model = ("PROVIDER_CREATED", provider, "Provider"), ("MODEL_CREATED", made, "Model")
    for_all, kind = ("PROVIDER_CREDENTIAL_CREATED", provider, "Provider"), "ProviderCredential"
    told = {name: one.changed for name, one in zip(("ada", "bob", "eve", "carol", "stranger"), everybody, strict=True)}
    assert told == {
        "ada": [new_provider, ("PROVIDER_CREDENTIAL_CREATED", key, kind), new_model],
        "bob": [
            new_provider, for_all, ("PROVIDER_CREDENTIAL_CREATED", own, kind), new_model, ("PROVIDER_CREDENTIAL_DELETED", own, None),
        ],
        "eve": [new_provider, for_all, new_model],
        "carol": [],
        "stranger": [],
    }  # fmt: skip


async def test_a_person_s_own_changes_reach_their_devices_and_those_who_see_members(api: Api, process: Process) -> None:
    ada, other = await api.sign_up(), await api.sign_up()
    bob, carol = await member(ada, process, "creator"), await chatter(ada, process)
    _, invitation = await invited(other, process, "creator", await email_of(bob))
    await done(bob, "invitationAccept", token=invitation)
    bobs, place = await user_id(bob), await membership_id(ada, await email_of(bob))
    # A key, since another session of his would end with the old password.
    device_key = (await done(bob, "apiKeyCreate", "secretOnce", name="device", scopes=[]))["secretOnce"]
    async with (
        watching(process, ada, carol, other) as (adas, carols, others),
        following(api.as_(device_key), VIEWER, after=await now(bob, process)) as device,
    ):
        await done(bob, "profileUpdate", name="Bob the Builder")
        await done(bob, "passwordChange", currentPassword=PASSWORD, newPassword=f"{PASSWORD} too")
        fresh = (await done(bob, "apiKeyCreate", "apiKey { id }", name="another", scopes=[]))["apiKey"]["id"]
        await done(ada, "memberUpdate", membershipId=place, roleId=await role_id(ada, "creator"))
        await device.until(lambda one: len(one.changed) == 4)
        await done(other, "profileUpdate", name="Somebody")
        await all_told([ada, carol, other], [adas, carols, others])
    profile, key, membership = ("PROFILE_UPDATED", bobs, "User"), ("API_KEY_CREATED", fresh, "ApiKey"), "TenantMembership"
    assert device.changed == [profile, ("PASSWORD_CHANGED", bobs, "User"), key, ("MEMBER_UPDATED", place, membership)]
    assert adas.changed == [profile, key, ("MEMBER_UPDATED", place, membership)]
    assert adas.told[0]["node"]["name"] == "Bob the Builder"
    assert others.changed == [profile, ("PROFILE_UPDATED", await user_id(other), "User")]
    assert carols.changed == []
