"""What an answer would cost, through the endpoint, before anybody says anything."""

from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from chat.estimates import highest_cost
from inference.deployments import LongRates, Price
from tests.api.people import code_of, member
from tests.api.test_assistants import chat_with, released
from tests.api.test_models import house_model, model_named
from tests.chat.talking import hear, new_chat, say
from tests.running import Api
from web.works import Process

ESTIMATE = """
    query ($input: RunEstimateInput!) { estimateRun(input: $input) {
      inputTokens expectedOutputTokens maxOutputTokens maxCost { amount currency } expectedCost { amount currency } price { version }
      model { key } unavailable } }"""


async def estimated(api: Api, text: str = "Hello there", **given: Any) -> Any:
    return (await api.data(ESTIMATE, input={"content": [{"text": text}], **given}))["estimateRun"]


async def test_an_answer_is_estimated_by_the_price_of_its_model(api: Api) -> None:
    owner = await api.sign_up()
    model = await house_model(owner)
    estimate = await estimated(owner, "x" * 400, modelId=model["id"], maxOutputTokens=500)
    assert (estimate["inputTokens"], estimate["maxOutputTokens"], estimate["model"]["key"]) == (104, 500, "house/m")
    assert estimate["expectedCost"] == {
        "amount": str(Decimal(104 * 2 + estimate["expectedOutputTokens"] * 20).scaleb(-6).normalize()), "currency": "EUR",
    }  # fmt: skip
    # A token for each byte, and the longest answer.
    assert estimate["maxCost"] == {"amount": "0.010808", "currency": "EUR"}
    assert estimate["price"]["version"].startswith("tenant/")


async def test_a_model_that_nobody_has_a_key_for_is_estimated_and_said_to_lack_one(api: Api) -> None:
    owner = await api.sign_up()
    model = await model_named(owner, "openai/gpt-5")
    estimate = await estimated(owner, "x" * 400, modelId=model["id"], maxOutputTokens=500)
    assert estimate["unavailable"] == "GPT-5 cannot be asked: nobody's key is there for it."
    assert (estimate["model"], estimate["inputTokens"], estimate["price"]) == (
        {"key": "openai/gpt-5"}, 104, {"version": model["price"]["version"]},
    )  # fmt: skip
    assert Decimal(estimate["expectedCost"]["amount"]) > 0
    assert (await estimated(owner))["unavailable"] is None


async def test_what_was_said_before_is_read_again(api: Api) -> None:
    owner = await api.sign_up()
    chat = await new_chat(owner)
    alone = await estimated(owner, chatId=chat)
    sent = await say(owner, chat, "y" * 800)
    heard = await hear(owner, sent["runs"][0]["id"])
    assert heard.end["status"] == "COMPLETED"
    after = await estimated(owner, chatId=chat)
    # What was asked, and the scripted model's answer, which repeats it.
    assert after["inputTokens"] - alone["inputTokens"] == 2 * (800 // 4 + 4)
    at_question = await estimated(owner, chatId=chat, parentMessageId=sent["message"]["id"])
    assert at_question["inputTokens"] - alone["inputTokens"] == 800 // 4 + 4
    # As long as the one answer so far, which is what its model had counted.
    used = await owner.data("query ($id: ID!) { node(id: $id) { ... on Run { usage { outputTokens } } } }", id=sent["runs"][0]["id"])
    assert after["expectedOutputTokens"] == used["node"]["usage"]["outputTokens"]
    assert (after["maxCost"], after["expectedCost"], after["price"]) == (None, None, None)


async def test_an_assistant_s_instructions_are_read_as_well(api: Api) -> None:
    owner = await api.sign_up()
    plain = await estimated(owner, chatId=await new_chat(owner))
    version = await released(owner, "pirate", instructions="z" * 400)
    with_it = await estimated(owner, chatId=await chat_with(owner, version["assistant"]["id"]))
    assert with_it["inputTokens"] - plain["inputTokens"] == 400 // 4 + 4


async def test_only_who_reads_a_chat_has_it_estimated(api: Api, process: Process) -> None:
    owner = await api.sign_up()
    chat, other_chat = await new_chat(owner), await new_chat(owner)
    stranger, colleague = await api.sign_up(), await member(owner, process, "creator")
    for reader in (stranger, colleague):
        assert await code_of(reader, ESTIMATE, input={"content": [{"text": "Hi"}], "chatId": chat}) == "NOT_FOUND"
    elsewhere = (await say(owner, other_chat, "Hi"))["message"]["id"]
    given = {"content": [{"text": "Hi"}], "chatId": chat, "parentMessageId": elsewhere}
    assert await code_of(owner, ESTIMATE, input=given) == "NOT_FOUND"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"content": [{"text": " "}]}, "BAD_USER_INPUT"),
        ({"maxOutputTokens": 0}, "BAD_USER_INPUT"),
        ({"modelId": f"mdl_{uuid4().hex}"}, "NOT_FOUND"),
        ({"routingPolicyId": f"pol_{uuid4().hex}"}, "NOT_FOUND"),
    ],
)
async def test_what_could_not_be_said_is_not_estimated(api: Api, given: dict[str, Any], code: str) -> None:
    owner = await api.sign_up()
    assert await code_of(owner, ESTIMATE, input={"content": [{"text": "Hi"}]} | given) == code


def test_the_highest_cost_is_the_dearest_class_at_the_dearest_place() -> None:
    cheap = Price(version="a", input=Decimal(1), output=Decimal(2))
    dear = Price(version="b", input=Decimal(1), output=Decimal(2), cache_write=Decimal(3), reasoning=Decimal(5))
    tiered = Price(version="c", input=Decimal(1), output=Decimal(1), long=LongRates(above=999_999, input=Decimal(9), output=Decimal(9)))
    million = 1_000_000
    assert highest_cost([cheap], million, million) == 3
    assert highest_cost([cheap, dear], million, million) == 8
    assert highest_cost([cheap, tiered], million, million) == 18
    assert highest_cost([cheap, None], million, million) is None
    assert highest_cost([cheap, Price(version="d", input=Decimal(1), output=Decimal(1), currency="EUR")], 1, 1) is None
    assert highest_cost([], 1, 1) is None
