"""How much of a conversation a model is given: one function decides, and whoever tells of it tells the same."""

import asyncio
import os
import random
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import hypothesis
import pytest
from hypothesis import strategies as st
from valkey.asyncio import Valkey

from auth.encryption.ciphers import TenantCipher
from chat.assistants import Content, Parameters
from chat.contents import sealed, text_parts
from chat.contexts import given, tokens_of
from inference.candidates import Need, misfit
from inference.continuing import continued
from inference.deployments import Deployment, FallbackRule, Model, Policy
from inference.models import FailureKind, estimated_usage
from inference.selection import Selection
from inference.standings import LocalStandings, Rules
from inference.stickiness import Stickiness
from settings import Settings
from tests.api.people import done
from tests.api.test_assistants import chat_with, released
from tests.chat.houses import House
from tests.chat.talking import hear, new_chat, say

CIPHER = TenantCipher(uuid4(), {1: os.urandom(32)}, active_version=1)
REGIONS = ("eu", "us", None)
TEXTS = st.text(alphabet="aé漢", min_size=1, max_size=400)
CHAT = "query ($id: ID!, $model: ID) { node(id: $id) { ... on Chat { context(model: $model) { limitTokens usedTokens model { id } } } } }"
ESTIMATE = "query ($input: RunEstimateInput!) { estimateRun(input: $input) { inputTokens maxOutputTokens model { id } } }"
EXPLAIN = "query ($input: RunEstimateInput!) { explainRoute(input: $input) { chosen { id } model } }"


@st.composite
def deployments(draw: st.DrawFn) -> Deployment:
    context = draw(st.integers(32, 4000))
    longest = draw(st.integers(1, 2 * context))
    model = Model(id=uuid4(), key="m", name="M", context_tokens=context, max_output_tokens=longest)
    return Deployment(id=uuid4(), model=model, wire="openai", base_url="", remote_name="m", region=draw(st.sampled_from(REGIONS)))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    some = st.lists(deployments(), min_size=1, max_size=4).map(tuple)
    rule = FallbackRule(on=frozenset({draw(st.sampled_from((FailureKind.CONTEXT_WINDOW, FailureKind.TIMEOUT)))}), to=draw(some))
    allowed = frozenset(draw(st.sets(st.sampled_from(("eu", "us")), max_size=2)))
    return Policy(id=None, name="p", candidates=draw(some), fallbacks=draw(st.sampled_from(((), (rule,)))), allowed_regions=allowed)


def said(text: str, role: str = "USER") -> dict[str, Any]:
    message_id = uuid4()
    return {"id": message_id, "role": role, "content": sealed(CIPHER, message_id, text_parts([text]))}


@hypothesis.settings(max_examples=int(os.environ.get("PENNY_EXAMPLES", "200")), deadline=None)
@hypothesis.given(
    policy=policies(), texts=st.lists(TEXTS, min_size=1, max_size=12), told=st.none() | TEXTS, asked=st.none() | st.integers(1, 8000)
)
def test_what_fits_the_room_fits_somebody_whom_the_policy_leads_to(
    settings: Settings, valkey: Valkey, policy: Policy, texts: list[str], told: str | None, asked: int | None
) -> None:
    version = None if told is None else Content(told, Parameters())
    whole = given(list(map(said, texts)), version, CIPHER, readers=policy.readers, asked=asked, settings=settings)
    request = whole.request()
    given_tokens = sum(tokens_of(message.text) for message in request.messages)
    # The last message is given in any case; and where no region allows anybody, nobody is asked.
    if given_tokens > whole.window.limit or not any(map(policy.allows, policy.candidates)):
        return
    selection = Selection(LocalStandings(Rules.of(settings)), Stickiness(valkey, settings), random.Random(1))
    choices = asyncio.run(selection.choices(policy, Need.of(request), None))
    for choice in choices:
        model, sent = choice.deployment.model, continued(request, "", choice.deployment).request_for(choice.deployment)
        assert 1 <= sent.max_output_tokens <= min(request.max_output_tokens, model.max_output_tokens)
        assert estimated_usage(sent, output_bytes=0).input_tokens + sent.max_output_tokens <= model.context_tokens
        assert misfit(choice.deployment, Need.of(sent), policy) is None


@dataclass
class Talk:
    """A chat in which something was said, and who is to answer: a model that is named or the assistant's, under a policy or none."""

    chat_id: str
    model_id: str
    is_named: bool
    policy_id: str | None


async def talk_with(house: House, chance: random.Random) -> Talk:
    """Begin one at random; its first models hold less than what is said in it as often as not."""
    first, second = [await model_of(house, chance) for _ in range(2)]
    assistant = None
    if is_assisted := chance.random() < 0.7:
        parameters = {"maxOutputTokens": chance.randint(1, 2000)} if chance.random() < 0.5 else {}
        version = await released(house.api, uuid4().hex, modelId=first["id"], parameters=parameters, instructions=words(chance))
        assistant = version["assistant"]["id"]
    policy_id = None
    if chance.random() < 0.6:
        policy_id = await house.policy(
            fallbacks=[{"on": ["CONTEXT_WINDOW"], "to": [second["id"]]}], allowedRegions=chance.choice(([], ["eu"])),
            candidates=chance.choice(([], [first["deployments"][0]["id"]])),
        )  # fmt: skip
    chat_id = await chat_with(house.api, assistant) if assistant else await new_chat(house.api)
    is_named = not is_assisted or chance.random() < 0.5
    talk = Talk(chat_id, first["id"], is_named, policy_id)
    for _ in range(chance.randint(0, 4)):
        sent = await say(house.api, chat_id, words(chance), modelIds=[house.models["a"]])
        await hear(house.api, sent["runs"][0]["id"])
    return talk


async def model_of(house: House, chance: random.Random) -> Any:
    # Half of the least is enough for the longest message and instructions.
    key, context = uuid4().hex[:12], chance.randint(800, 2400)
    values: dict[str, Any] = {"contextTokens": context} | ({"maxOutputTokens": chance.randint(1, context)} if chance.random() < 0.5 else {})
    values |= {"providerId": house.provider, "key": key, "name": key, "capabilities": ["TEXT"]}
    values["deployments"] = [{"remoteName": key, "region": region} for region in ("eu", "us")[: chance.randint(1, 2)]]
    return (await done(house.api, "modelUpsert", "model { id key deployments { id } }", **values))["model"]


def words(chance: random.Random) -> str:
    return " ".join(chance.choice(("ship", "été", "漢字", "a")) for _ in range(chance.randint(1, 100)))


@pytest.mark.parametrize("number", range(6))
async def test_an_estimate_a_context_and_a_worker_agree_on_what_is_given(house: House, number: int) -> None:
    """Random models, policies, assistants and conversations: what was told beforehand is what the endpoint is asked."""
    chance = random.Random(seed := f"{number} {os.environ.get('PENNY_SEED', uuid4().hex)}")
    talk = await talk_with(house, chance)
    text = words(chance)
    more: dict[str, Any] = {"maxOutputTokens": chance.randint(1, 3000)} if chance.random() < 0.5 else {}
    more |= {"routingPolicyId": talk.policy_id} if talk.policy_id else {}
    named = talk.model_id if talk.is_named else None
    idea = {"content": [{"text": text}], "chatId": talk.chat_id, "modelId": named, **more}
    estimate = (await house.api.data(ESTIMATE, input=idea))["estimateRun"]
    route = (await house.api.data(EXPLAIN, input=idea))["explainRoute"]
    context = (await house.api.data(CHAT, id=talk.chat_id, model=named))["node"]["context"]
    more |= {"modelIds": [named]} if named else {}
    sent = await say(house.api, talk.chat_id, text, **more)
    assert (await hear(house.api, sent["runs"][0]["id"])).end["status"] == "COMPLETED", seed
    body = house.server.asked[-1].body
    messages = [message["content"] for message in body["messages"]]
    assert estimate["inputTokens"] == -(-sum(len(one.encode()) for one in messages) // 4) + 4 * len(messages), seed
    assert estimate["model"]["id"] == context["model"]["id"] == talk.model_id, seed
    assert route["model"] == f"acme/{body['model']}", seed
    assert body["max_tokens"] <= estimate["maxOutputTokens"], seed
    if not more.keys() - {"modelIds"}:
        # The context said how much there is, and what of it the conversation takes without what was said last.
        given_tokens, everything = sum(map(tokens_of, messages)), context["usedTokens"] + tokens_of(text)
        assert given_tokens == everything if everything <= context["limitTokens"] else given_tokens < everything, seed
        assert given_tokens <= context["limitTokens"], seed
