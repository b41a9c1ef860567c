"""Every mutation tells of what it changes, in the transaction of the change, exactly what it declares; and a second device hears it."""

import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import uuid4

import pytest

from schema.event_types import EventType
from schema.fields import Emits
from settings import Settings
from stack.addresses import Addresses
from tests.api.following import TENANT, following, now
from tests.api.manifests import flat
from tests.api.people import address, done, link_token, me, membership_id, role_id, soon
from tests.architecture.test_schema import ROOT_FIELDS
from tests.chat.talking import hear
from tests.conftest import TEMPLATE
from tests.db.databases import connected, made_database
from tests.inference.key_server import KeyServer
from tests.running import PASSWORD, Api, running, running_web
from web.works import Process, open_works

KEY: Final = "sk-right-0123456789"
# What nobody is told of, and why.
SILENT: Final = {
    "passwordResetRequest": "Nobody may learn whether there is such an account, and nothing changes before the mailed link is used.",
    "jobCancel": "`jobEvents` tells those whose job it is; the chat is told of what a job does there.",
}

LAST: Final = {"SESSION_REVOKED", "EMAIL_VERIFIED"}
"""What the other device does not hear: its own end, and what is told to those whom it concerns alone."""


def declared() -> dict[str, set[str]]:
    """What each mutation says that it emits."""
    return {
        name.removeprefix("Mutation."): {str(kind.value) for one in field.directives if isinstance(one, Emits) for kind in one.events}
        for name, field in ROOT_FIELDS.items()
        if name.startswith("Mutation.")
    }


class House:
    """A PENNY of its own, without a worker unless one is started; `seen` is what each mutation has recorded."""

    def __init__(self, api: Api, process: Process, environment: dict[str, str], database: Any, endpoint: str) -> None:
        self.api = api
        self.process = process
        self.endpoint = endpoint
        self.seen: defaultdict[str, set[str]] = defaultdict(set)
        self._environment = environment
        self._database = database
        self._known: set[Any] = set()

    async def do(self, api: Api, field: str, selection: str = "__typename", **given: Any) -> Any:
        """Run a mutation, and note what people did by it."""
        payload = await done(api, field, selection, **given)
        await self.note(field)
        return payload

    async def note(self, field: str) -> None:
        # What workers did, nobody did.
        rows = await self._database.fetch("SELECT id, type FROM penny.facts WHERE actor_id IS NOT NULL")
        self.seen[field] |= {row["type"] for row in rows if row["id"] not in self._known} - {"JOB_UPDATED"}
        self._known |= {row["id"] for row in rows}

    async def job(self) -> str:
        """The id of the newest job."""
        return f"job_{(await self._database.fetchval('SELECT id FROM penny.jobs ORDER BY id DESC LIMIT 1')).hex}"

    @contextlib.asynccontextmanager
    async def worker(self) -> AsyncIterator[None]:
        async with running(self._environment, "worker"):
            yield


@pytest.fixture
async def house(environment: dict[str, str], stack: Addresses, worker_id: str) -> AsyncIterator[House]:
    async with made_database(stack, f"emitted_{worker_id}", TEMPLATE) as name, KeyServer(KEY) as endpoint:
        roles = {"DATABASE_URL": "penny_app", "DATABASE_SYSTEM_URL": "penny_system", "DATABASE_OWNER_URL": "penny_owner"}
        own = {
            **environment,
            **{f"PENNY_{key}": stack.database_url(role, name) for key, role in roles.items()},
            "PENNY_VALKEY_PREFIX": f"emitted-{worker_id}",
            "PENNY_MODEL_PRIVATE_ENDPOINTS": endpoint.base_url,
            "PENNY_CONTEXT_KEEP_MESSAGES": "0",
            "PENNY_CHAT_TITLES": "true",
        }
        async with (
            running_web(own) as (url, _),
            Api(url) as api,
            open_works(Settings.from_environment({**own, "PENNY_PUBLIC_URL": url}), application="penny tests") as process,
            connected(stack, "postgres", name) as database,
        ):
            yield House(api, process, own, database, endpoint.base_url)


def key() -> dict[str, str]:
    return {"idempotencyKey": uuid4().hex}


def text(words: str) -> list[dict[str, str]]:
    return [{"text": words}]


async def signed_up(house: House, email: str, tenant: str) -> Api:
    given = {"email": email, "password": PASSWORD, "name": tenant, "tenantName": tenant, "transport": "BEARER"}
    return house.api.as_((await house.do(house.api, "signUp", "tokenOnce", **given))["tokenOnce"])


async def signed_in(house: House, email: str, password: str = PASSWORD) -> tuple[Api, str]:
    given = {"email": email, "password": password, "transport": "BEARER"}
    opened = await house.do(house.api, "signIn", "tokenOnce session { id }", **given)
    return house.api.as_(opened["tokenOnce"]), str(opened["session"]["id"])


async def accounts(house: House, ada: Api, ada_email: str) -> Api:
    """What people do with their accounts and a tenant with its members; returns somebody who has joined."""
    await house.do(house.api, "emailVerify", token=await link_token(house.process, ada_email, "verify"))
    await house.do(ada, "profileUpdate", name="Ada L.")
    _, session_id = await signed_in(house, ada_email)
    await house.do(ada, "sessionRevoke", sessionIds=[session_id])
    await signed_in(house, ada_email)
    await house.do(ada, "passwordChange", currentPassword=PASSWORD, newPassword=f"{PASSWORD} too")
    bob_email = address()
    await signed_up(house, bob_email, "Bob")
    await house.do(house.api, "passwordResetRequest", email=bob_email)
    reset = await soon(lambda: link_token(house.process, bob_email, "reset"))
    await house.do(house.api, "passwordReset", token=reset, newPassword=PASSWORD)
    bob, _ = await signed_in(house, bob_email)
    invitation: dict[str, Any] = {"email": bob_email, "roleId": await role_id(ada, "creator")}
    await house.do(ada, "memberInvite", **invitation)
    again = (await house.do(ada, "memberInvite", "invitation { id }", **invitation))["invitation"]["id"]
    await house.do(ada, "invitationRevoke", invitationId=again)
    await house.do(ada, "memberInvite", **invitation)
    await house.do(bob, "invitationAccept", token=await link_token(house.process, bob_email, "invitation"))
    acme = (await me(ada))["tenant"]["id"]
    switched = await house.do(bob, "tenantSwitch", "tokenOnce", tenantId=acme, transport="BEARER")
    role = (await house.do(ada, "roleUpsert", "role { id }", name="Readers", scopes=["chats:read"]))["role"]["id"]
    await house.do(ada, "roleUpsert", id=role, name="Writers", scopes=["chats:read", "chats:write"])
    await house.do(ada, "memberUpdate", membershipId=await membership_id(ada, bob_email), roleId=role)
    made = (await house.do(ada, "apiKeyCreate", "apiKey { id }", name="key", scopes=[]))["apiKey"]["id"]
    await house.do(ada, "apiKeyRotate", apiKeyId=made)
    await house.do(ada, "apiKeyRevoke", apiKeyId=made)
    return house.api.as_(switched["tokenOnce"])


async def models(house: House, ada: Api) -> None:
    """What a tenant brings of its own to ask."""
    given = {"key": "acme", "name": "Acme", "endpoint": house.endpoint}
    provider = (await house.do(ada, "providerUpsert", "provider { id }", **given))["provider"]["id"]
    await house.do(ada, "providerUpsert", id=provider, **given)
    for owner in ("TENANT", "USER"):
        credential = await house.do(ada, "providerCredentialSet", "credential { id }", providerId=provider, secret=KEY, owner=owner)
        await house.do(ada, "providerCredentialSet", id=credential["credential"]["id"], secret=KEY)
    await house.do(ada, "providerCredentialDelete", credentialId=credential["credential"]["id"])
    model = {"providerId": provider, "key": "large", "name": "Large", "contextTokens": 8000, "capabilities": ["TEXT"]}
    made = (await house.do(ada, "modelUpsert", "model { id deployments { id } }", **model))["model"]
    await house.do(ada, "modelUpsert", id=made["id"], **model)
    await house.do(ada, "modelPriceSet", modelId=made["id"], inputPerMTok="1", outputPerMTok="2")
    for draining in (True, False):
        await house.do(ada, "deploymentDrain", deploymentId=made["deployments"][0]["id"], draining=draining)
    policy = (await house.do(ada, "routingPolicyUpsert", "policy { id }", name="Cheap"))["policy"]["id"]
    await house.do(ada, "routingPolicyUpsert", id=policy, name="Dear")


async def clients(house: House, ada: Api) -> None:
    """What is decided of clients."""
    given: dict[str, Any] = {"client": "mobile", "version": "1.0", "manifest": flat("{ __typename }")}
    published = await house.do(ada, "documentManifestPublish", "manifest { id }", **given)
    await house.do(ada, "documentManifestPublish", **given)
    await house.do(ada, "documentManifestDelete", manifestId=published["manifest"]["id"])
    await house.do(ada, "tenantUpdate", settings={"automaticDocuments": True})


async def assistants(house: House, ada: Api) -> None:
    version = "version { id assistant { id } }"
    made = (await house.do(ada, "assistantUpsert", version, slug="pirate", name="Pirate", instructions="Arr."))["version"]
    grants = [{"everyone": True, "role": "USER"}]
    await house.do(ada, "assistantUpsert", assistantId=made["assistant"]["id"], instructions="Arr!", grants=grants)
    for state in ("RELEASED", "WITHDRAWN"):
        await house.do(ada, "assistantPublish", versionId=made["id"], state=state)


async def titled(api: Api, chat_id: str) -> None:
    """By a model, since no person has done it."""
    if (await api.data("query ($id: ID!) { node(id: $id) { ... on Chat { title } } }", id=chat_id))["node"]["title"] is None:
        raise LookupError("it has no title yet")


async def chats(house: House, ada: Api, bob: Api) -> None:
    """What is done in chats; a worker is there only as long as answers are needed."""
    async with house.worker():
        begun = await house.do(ada, "chatCreate", "chat { id } run { id }", **key(), firstMessage={"content": text("!script tokens=1")})
        chat_id = begun["chat"]["id"]
        await hear(ada, begun["run"]["id"])
        cut = await house.do(ada, "messageSend", "runs { id }", **key(), chatId=chat_id, content=text("!script tokens=9 stop=length"))
        await hear(ada, cut["runs"][0]["id"])
        await soon(lambda: titled(ada, chat_id))
    outputs = "query ($id: ID!) { node(id: $id) { ... on Run { input { id } outputs { id } } } }"
    node = (await ada.data(outputs, id=cut["runs"][0]["id"]))["node"]
    question, answer = node["input"]["id"], node["outputs"][0]["id"]
    await house.do(ada, "messageFeedbackSet", messageId=answer, rating=1)
    await house.do(ada, "messagePrefer", messageId=answer)
    await house.do(ada, "chatFork", **key(), messageId=answer)
    await house.do(ada, "chatUpdate", chatId=chat_id, pinned=True)
    await house.do(ada, "chatHeadSet", chatId=chat_id, messageId=answer)
    await house.do(ada, "contextCompact", chatId=chat_id)
    await house.do(ada, "jobCancel", jobId=await house.job())
    await house.do(ada, "contextCompact", chatId=chat_id)
    bobs = (await me(bob))["viewer"]["user"]
    await house.do(ada, "chatParticipantSet", chatId=chat_id, userId=bobs["id"], role="VIEWER")
    bobs_own = {"userId": bobs["id"], "role": "USER"}
    await house.do(ada, "assistantUpsert", slug="parrot", name="Parrot", instructions="Kraa.", grants=[bobs_own])
    await house.do(ada, "memberRemove", membershipId=await membership_id(ada, bobs["email"]))
    share = (await house.do(ada, "chatShareCreate", "share { id }", **key(), chatId=chat_id, audience="TENANT"))["share"]["id"]
    await house.do(ada, "chatShareRevoke", shareId=share)
    await house.do(ada, "messageRegenerate", **key(), messageId=question)
    said: dict[str, Any] = {"chatId": chat_id, "content": text("More")}
    await house.do(ada, "messageSend", **key(), **said, ifBusy="CANCEL_CURRENT")
    last = await house.do(ada, "messageSend", "runs { id }", **key(), **said, ifBusy="CANCEL_CURRENT")
    steered = (await house.do(ada, "runSteer", "run { id }", **key(), runId=last["runs"][0]["id"], content=text("Less")))["run"]["id"]
    await house.do(ada, "runCancel", runId=steered)
    continued = (await house.do(ada, "runContinue", "run { id }", **key(), runId=cut["runs"][0]["id"]))["run"]["id"]
    await house.do(ada, "runCancel", runId=continued)
    edited = await house.do(ada, "messageEdit", "runs { id }", **key(), messageId=question, content=text("Other"))
    await house.do(ada, "runCancel", runId=edited["runs"][0]["id"])
    await house.do(ada, "messageEdit", **key(), messageId=question, content=text("Another"), rerun=False)
    first = "query ($id: ID!) { node(id: $id) { ... on Run { input { id } } } }"
    await house.do(ada, "messageRedact", messageId=(await ada.data(first, id=begun["run"]["id"]))["node"]["input"]["id"])
    await house.do(ada, "chatDelete", chatId=chat_id)


async def test_every_mutation_tells_exactly_what_it_declares(house: House) -> None:
    email = address()
    ada = await signed_up(house, email, "Acme")
    async with following(house.api.as_(ada.token), TENANT, after=await now(ada, house.process)) as device:
        bob = await accounts(house, ada, email)
        await models(house, ada)
        await clients(house, ada)
        await assistants(house, ada)
        await chats(house, ada, bob)
        says = declared()

        async def all_told() -> None:
            if missing := set().union(*says.values()) - LAST - {event["type"] for event in device.told}:
                raise LookupError(missing)

        await soon(all_told, seconds=30)  # whoever signs out hears nothing more
        await ada.data("mutation { signOut { signedOut errors { code } } }")
        await house.note("signOut")
        with pytest.raises(ConnectionError, match="4401"):
            await device.task
    assert set(house.seen) == set(says), "do every mutation here"
    assert {name: house.seen[name] for name in says} == says
    assert {name for name, types in says.items() if not types} == set(SILENT)
    assert {event["type"] for event in device.told} <= {str(kind.value) for kind in EventType}
