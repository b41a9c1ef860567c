"""What people think of answers: each their own, and nobody else reads it."""

from typing import Any
from uuid import uuid4

import pytest

from tests.api.people import done, member, refused
from tests.api.test_participants import put
from tests.chat.talking import ask, hear, new_chat
from tests.running import Api
from web.works import Process

FEEDBACK = """
    query ($id: ID!) {
      node(id: $id) { ... on Message { feedback { rating tags comment } parent { id feedback { rating } } } }
    }"""


async def answered(api: Api, chat_id: str) -> str:
    """Have something answered, and return the answer's id."""
    heard = await hear(api, await ask(api, chat_id, "!script tokens=1"))
    return str(heard.events[1]["outputMessageIds"][0])


async def thought(api: Api, message_id: str) -> Any:
    node = (await api.data(FEEDBACK, id=message_id))["node"]
    return None if node is None else node["feedback"]


async def test_an_opinion_is_kept_replaced_and_taken_back(api: Api) -> None:
    ada = await api.sign_up()
    answer = await answered(ada, await new_chat(ada))
    assert await thought(ada, answer) is None
    given = {"rating": -1, "tags": ["wrong", "zu lang"], "comment": "Nein."}
    shown = await done(ada, "messageFeedbackSet", "message { id feedback { rating tags comment } }", messageId=answer, **given)
    assert shown["message"] == {"id": answer, "feedback": given}
    await done(ada, "messageFeedbackSet", messageId=answer, rating=1)
    assert await thought(ada, answer) == {"rating": 1, "tags": [], "comment": None}
    await done(ada, "messageFeedbackSet", messageId=answer, rating=0, comment="Hm.")
    assert await thought(ada, answer) == {"rating": 0, "tags": [], "comment": "Hm."}
    await done(ada, "messageFeedbackSet", messageId=answer, rating=0)
    assert await thought(ada, answer) is None


async def test_everybody_has_an_opinion_of_their_own(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    bob, eve = await member(ada, process, "creator"), await member(ada, process, "creator")
    chat_id = await new_chat(ada)
    answer = await answered(ada, chat_id)
    await put(ada, chat_id, bob, "COMMENTER")
    await put(ada, chat_id, eve, "VIEWER")
    await done(bob, "messageFeedbackSet", messageId=answer, rating=1, comment="Bob's")
    assert await thought(bob, answer) == {"rating": 1, "tags": [], "comment": "Bob's"}
    assert await thought(ada, answer) is None
    assert await thought(eve, answer) is None
    assert (await refused(eve, "messageFeedbackSet", messageId=answer, rating=1))["code"] == "PERMISSION_DENIED"
    assert await thought(eve, answer) is None


async def test_somebody_else_s_message_is_no_message(api: Api, process: Process) -> None:
    ada, stranger = await api.sign_up(), await api.sign_up()
    bob = await member(ada, process, "creator")
    answer = await answered(ada, await new_chat(ada))
    for nobody in (bob, stranger):
        errors = [await refused(nobody, "messageFeedbackSet", messageId=id_, rating=1) for id_ in (answer, "msg_" + uuid4().hex)]
        assert errors[0] == errors[1]
        assert errors[0]["code"] == "NOT_FOUND"
    assert await thought(ada, answer) is None


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"rating": 2}, ["rating"]),
        ({"rating": -2}, ["rating"]),
        ({"rating": 1, "tags": [""]}, ["tags"]),
        ({"rating": 1, "tags": ["x" * 51]}, ["tags"]),
        ({"rating": 1, "tags": ["a", "a"]}, ["tags"]),
        ({"rating": 1, "tags": [str(number) for number in range(11)]}, ["tags"]),
        ({"rating": 1, "comment": ""}, ["comment"]),
        ({"rating": 1, "comment": "é" * 2001}, ["comment"]),
    ],
)
async def test_an_opinion_that_breaks_a_rule_is_not_kept(api: Api, given: dict[str, Any], path: list[str]) -> None:
    ada = await api.sign_up()
    answer = await answered(ada, await new_chat(ada))
    error = await refused(ada, "messageFeedbackSet", messageId=answer, **given)
    assert (error["code"], error["path"]) == ("VALIDATION", path)
    assert await thought(ada, answer) is None


async def test_only_answers_are_rated(api: Api) -> None:
    ada = await api.sign_up()
    answer = await answered(ada, await new_chat(ada))
    question = (await ada.data(FEEDBACK, id=answer))["node"]["parent"]["id"]
    assert (await refused(ada, "messageFeedbackSet", messageId=question, rating=1))["code"] == "CONFLICT"
    assert (await ada.data(FEEDBACK, id=answer))["node"]["parent"]["feedback"] is None
