"""What members can ask, as workers and mutations learn of it: remembered, forgotten on changes, and with keys in hand only for a run."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from uuid_utils.compat import uuid7

from auth.encryption.ciphers import ContentIsUnreadable
from auth.encryption.keyring import Keyring
from auth.viewers import Viewer
from db.scopes import TenantScopes
from db.statements import models as statements
from db.tables.models import Model, ModelDeployment, ModelProvider, ProviderCredential, RoutingPolicy
from errors import Invalid, NotFound
from events.revocations import Revocations, Revoked
from inference.catalogue import Catalogue, id_of
from inference.deployments import CredentialOwner, MidStream, Strategy
from inference.models import FailureKind
from inference.offerings import SECRET_PLACE
from inference.offers import ModelIsUnavailable, Models, readers_of
from inference.platform import platform_offering
from settings import Settings
from tests.auth.people import House, open_house
from web.works import Process

EMBEDDING = id_of("model", "embedded/wordllama")
GPT = id_of("model", "openai/gpt-5")
OPENAI = id_of("provider", "openai")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def offers(process: Process, settings: Settings, clock: Clock) -> Models:
    return Models(
        platform_offering(Catalogue.read(), settings),
        scopes=process.works.scopes,
        keyring=process.works.keyring,
        revocations=process.revocations,
        settings=settings,
        clock=clock,
    )


@pytest.fixture
async def house(process: Process) -> AsyncIterator[House]:
    async with open_house(process) as opened:
        yield opened


@pytest.fixture
async def viewer(house: House) -> Viewer:
    return (await house.signed_up()).viewer


async def with_key(
    scopes: TenantScopes, keyring: Keyring, viewer: Viewer, secret: str, *, provider_id: UUID = OPENAI, own: bool = False,
    origin: str = "https://api.openai.com",
) -> UUID:  # fmt: skip
    credential_id, cipher = uuid7(), await keyring.cipher(viewer.tenant_id)
    credential = ProviderCredential(
        tenant_id=viewer.tenant_id, id=credential_id, provider_id=provider_id, user_id=viewer.user_id if own else None, label="Key",
        secret=cipher.encrypt(*SECRET_PLACE, credential_id, secret.encode()), origin=origin, last4=secret[-4:], created_by=viewer.user_id,
    )  # fmt: skip
    async with scopes.writing(viewer.tenant_id) as scope:
        await statements.add_credential(scope, credential)
    return credential_id


async def with_model(scopes: TenantScopes, viewer: Viewer, *deployments: dict[str, Any]) -> tuple[UUID, list[UUID]]:
    tenant_id, provider_id, model_id = viewer.tenant_id, uuid7(), uuid7()
    rows = [
        ModelDeployment(tenant_id=tenant_id, id=uuid7(), model_id=model_id, provider_id=provider_id, remote_name="m", **given)
        for given in deployments
    ]
    provider = ModelProvider(
        tenant_id=tenant_id, id=provider_id, key="acme", name="Acme", wire="anthropic", base_url="https://m.example.com/v1", needs_key=False
    )
    model = Model(
        tenant_id=tenant_id, id=model_id, provider_id=provider_id, key="m", name="M", context_tokens=9, capabilities=["TEXT"]
    )  # fmt: skip
    async with scopes.writing(tenant_id) as scope:
        await statements.put(scope, provider)
        await statements.put(scope, model)
        for row in rows:
            await statements.put(scope, row)
    return model_id, [row.id for row in rows]


async def with_policy(scopes: TenantScopes, viewer: Viewer, **given: Any) -> UUID:
    values: Any = {"name": uuid4().hex, "strategy": "PRIORITY", "max_retries": 1, "mid_stream": "RESTART"} | given
    policy = RoutingPolicy(tenant_id=viewer.tenant_id, id=uuid7(), **values)
    async with scopes.writing(viewer.tenant_id) as scope:
        await statements.put(scope, policy)
    found: UUID = policy.id
    return found


async def test_without_anything_of_ones_own_the_platforms_model_answers(offers: Models, viewer: Viewer) -> None:
    who = (viewer.tenant_id, viewer.user_id)
    model_id = await offers.usable(*who)
    assert model_id == offers.platform.default_model_id
    policy = await offers.policy_for(*who)
    assert (policy.id, policy.strategy, [one.wire for one in policy.candidates]) == (None, Strategy.PRIORITY, ["scripted"])
    assert await offers.offering(*who) is offers.platform
    found = await offers.find(*who, GPT)
    assert found is not None
    assert found.price is not None
    assert await offers.find(*who, uuid4()) is None


async def test_what_cannot_be_asked_is_refused_and_says_why(offers: Models, viewer: Viewer) -> None:
    who = (viewer.tenant_id, viewer.user_id)
    with pytest.raises(NotFound):
        await offers.usable(*who, uuid4())
    with pytest.raises(NotFound):
        await offers.usable(*who, None, uuid4())
    with pytest.raises(ModelIsUnavailable):
        await offers.usable(*who, GPT)
    with pytest.raises(ModelIsUnavailable):
        await offers.policy_for(*who, GPT)
    with pytest.raises(Invalid):
        await offers.usable(*who, EMBEDDING)


async def test_a_key_opens_the_catalogues_models_and_a_members_own_goes_first(
    offers: Models, viewer: Viewer, scopes: TenantScopes, keyring: Keyring
) -> None:
    who = (viewer.tenant_id, viewer.user_id)
    await with_key(scopes, keyring, viewer, "sk-of-the-tenant")
    assert await offers.usable(*who, GPT) == GPT
    (asked,) = (await offers.policy_for(*who, GPT)).candidates
    assert (asked.api_key == "sk-of-the-tenant", asked.owner, asked.base_url, asked.remote_name) == (
        True, CredentialOwner.TENANT, "https://api.openai.com/v1", "gpt-5",
    )  # fmt: skip
    await with_key(scopes, keyring, viewer, "sk-of-a-member", own=True)
    offers.forget(None)
    (own,) = (await offers.policy_for(*who, GPT)).candidates
    assert (own.api_key == "sk-of-a-member", own.owner, own.id == asked.id) == (True, CredentialOwner.USER, True)
    (others,) = (await offers.policy_for(viewer.tenant_id, uuid4(), GPT)).candidates
    assert others.api_key == "sk-of-the-tenant"


async def test_a_key_for_another_origin_is_none(offers: Models, viewer: Viewer, scopes: TenantScopes, keyring: Keyring) -> None:
    await with_key(scopes, keyring, viewer, "sk-for-elsewhere", origin="https://elsewhere.example.com")
    with pytest.raises(ModelIsUnavailable):
        await offers.usable(viewer.tenant_id, viewer.user_id, GPT)


async def test_keys_lie_encrypted_in_memory(offers: Models, viewer: Viewer, scopes: TenantScopes, keyring: Keyring) -> None:
    await with_key(scopes, keyring, viewer, "sk-nobody-reads-this")
    offering = await offers.offering(viewer.tenant_id, viewer.user_id)
    assert "sk-nobody" not in repr(offering)
    assert b"sk-nobody" not in b"".join(place.secret for place in offering.places.values() if isinstance(place.secret, bytes))
    assert "sk-nobody" not in repr(await offers.policy_for(viewer.tenant_id, viewer.user_id, GPT))


async def test_who_may_read_a_question_is_known_without_a_key(
    offers: Models, viewer: Viewer, scopes: TenantScopes, keyring: Keyring
) -> None:
    who = (viewer.tenant_id, viewer.user_id)
    first, _ = await with_model(scopes, viewer, {"region": "us"}, {"region": "eu"}, {})
    rules = [f'[{{"on": ["{kind}"], "to": ["{GPT}", "{offers.platform.default_model_id}"]}}]' for kind in ("CONTEXT_WINDOW", "TIMEOUT")]
    allowed: tuple[list[str], ...] = ([], ["eu"], ["x"])
    policies = [await with_policy(scopes, viewer, fallbacks=one, allowed_regions=regions) for one in rules for regions in allowed]
    await with_key(scopes, keyring, viewer, "sk-of-the-tenant")
    offering = await offers.offering_now(*who)
    for model_id in (None, first, GPT):
        for policy_id in (None, *policies):
            stored = None if policy_id is None else offering.policies[policy_id]
            assert readers_of(offering, model_id, stored) == (await offers.policy_for(*who, model_id, policy_id)).readers
    # Where the tenant's key cannot be opened any more, who could be asked is known all the same.
    async with scopes.writing(viewer.tenant_id) as scope:
        await scope.run("UPDATE penny.provider_credentials SET secret = reverse(secret) WHERE tenant_id = $1", viewer.tenant_id)
    offers.forget(None)
    with pytest.raises(ContentIsUnreadable):
        await offers.policy_for(*who, GPT)
    (reader,) = readers_of(await offers.offering(*who), GPT, None)
    assert reader.id == GPT


async def test_a_policy_orders_what_it_names_and_falls_back(offers: Models, viewer: Viewer, scopes: TenantScopes) -> None:
    who = (viewer.tenant_id, viewer.user_id)
    model_id, (first, second) = await with_model(scopes, viewer, {"turn": 0, "region": "us"}, {"turn": 5, "region": "eu"})
    rules = f'[{{"on": ["TIMEOUT"], "to": ["{offers.platform.default_model_id}"]}}]'
    policy_id = await with_policy(
        scopes, viewer, candidates=[uuid4(), second, first], fallbacks=rules, allowed_regions=["eu"], sticky_prompt_cache=False
    )
    assert await offers.usable(*who, policy_id=policy_id) == model_id
    policy = await offers.policy_for(*who, model_id, policy_id)
    assert [(one.id, one.order) for one in policy.candidates] == [(second, 0), (first, 1)]
    assert (policy.max_retries, policy.sticky, policy.mid_stream, policy.allowed_regions) == (
        1,
        False,
        MidStream.RESTART,
        frozenset({"eu"}),
    )
    assert [one.wire for one in policy.fallbacks_on(FailureKind.TIMEOUT)] == ["scripted"]
    of_another_model = await offers.policy_for(*who, offers.platform.default_model_id, policy_id)
    assert [one.wire for one in of_another_model.candidates] == ["scripted"]
    with pytest.raises(ModelIsUnavailable):
        await offers.policy_for(*who, model_id, uuid4())
    newer = await with_policy(scopes, viewer, candidates=[first])
    assert (await offers.policy_for(*who, model_id, newer)).id == newer, "also where others made it just now"


async def test_equals_share_a_turn_where_nobody_ranks_them(offers: Models, viewer: Viewer, scopes: TenantScopes) -> None:
    model_id, _ = await with_model(scopes, viewer, {"turn": 7, "weight": 1}, {"turn": 7, "weight": 9}, {"turn": 9})
    policy = await offers.policy_for(viewer.tenant_id, viewer.user_id, model_id)
    assert [one.order for one in policy.candidates] == [0, 0, 1]
    weighted = await with_policy(scopes, viewer, strategy="WEIGHTED")
    offers.forget(None)
    policy = await offers.policy_for(viewer.tenant_id, viewer.user_id, model_id, weighted)
    assert [(one.order, one.weight) for one in policy.candidates] == [(7, 1), (7, 9), (9, 1)]


async def test_what_was_read_is_remembered_for_a_while(
    offers: Models, viewer: Viewer, scopes: TenantScopes, clock: Clock, settings: Settings
) -> None:
    before = await offers.offering(viewer.tenant_id, viewer.user_id)
    model_id, _ = await with_model(scopes, viewer, {})
    assert await offers.offering(viewer.tenant_id, viewer.user_id) is before
    assert model_id in (await offers.offering_now(viewer.tenant_id, viewer.user_id)).models
    clock.now += settings.model_cache_seconds
    assert model_id in (await offers.offering(viewer.tenant_id, viewer.user_id)).models


async def test_a_change_is_heard_by_every_process(
    offers: Models, viewer: Viewer, scopes: TenantScopes, process: Process, settings: Settings
) -> None:
    await offers.offering(viewer.tenant_id, viewer.user_id)
    heard, ready = asyncio.Event(), asyncio.Event()

    async def listen() -> None:
        async for revoked in Revocations(process.valkey, settings).listen():
            offers.forget(revoked)
            (ready if revoked is None else heard).set()

    listening = asyncio.create_task(listen())
    await asyncio.wait_for(ready.wait(), 10)
    await offers.offering(viewer.tenant_id, viewer.user_id)
    async with process.works.models.changing(viewer) as (scope, _):
        await statements.put(
            scope,
            ModelProvider(tenant_id=viewer.tenant_id, id=(new := uuid7()), key="new", name="New", wire="openai", base_url="https://e.com"),
        )
    await asyncio.wait_for(heard.wait(), 10)
    listening.cancel()
    assert new in (await offers.offering(viewer.tenant_id, viewer.user_id)).providers


async def test_a_change_that_fails_tells_nobody(offers: Models, viewer: Viewer) -> None:
    before = await offers.offering(viewer.tenant_id, viewer.user_id)
    with pytest.raises(ZeroDivisionError):
        async with offers.changing(viewer):
            raise ZeroDivisionError
    assert await offers.offering(viewer.tenant_id, viewer.user_id) is before


async def test_only_its_own_tenant_is_forgotten_and_memory_is_bounded(process: Process, settings: Settings, house: House) -> None:
    few = dataclasses.replace(settings, model_cache_members=2)
    offers = Models(
        platform_offering(Catalogue.read(), few), scopes=process.works.scopes, keyring=process.works.keyring,
        revocations=process.revocations, settings=few,
    )  # fmt: skip
    people = [(await house.signed_up()).viewer for _ in range(3)]
    for viewer in people:
        await offers.offering(viewer.tenant_id, viewer.user_id)
    assert list(offers._kept) == [(viewer.tenant_id, viewer.user_id) for viewer in people[1:]]
    tenant_id = people[1].tenant_id
    offers.forget(Revoked(kind="role", tenant_id=tenant_id, id=tenant_id, reason="ROLE_CHANGED"))
    assert len(offers._kept) == 2
    offers.forget(Revoked(kind="models", tenant_id=tenant_id, id=tenant_id, reason="MODELS_CHANGED"))
    assert list(offers._kept) == [(people[2].tenant_id, people[2].user_id)]
