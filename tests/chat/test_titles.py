"""A model names a chat after its first answer, once, and a person's word stands."""

from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.titles import as_title
from tests.api.people import done, soon
from tests.chat.conftest import Rows
from tests.chat.talking import ask, hear, new_chat
from tests.running import Api, running_server

CHAT = "query ($id: ID!) { node(id: $id) { ... on Chat { title revision updatedAt } } }"


async def chat_of(api: Api, chat_id: str) -> dict[str, Any]:
    chat: dict[str, Any] = (await api.data(CHAT, id=chat_id))["node"]
    return chat


async def title_of(api: Api, chat_id: str) -> str:
    """The chat's title, as soon as it has one."""

    async def look() -> str:
        if (title := (await chat_of(api, chat_id))["title"]) is None:
            raise LookupError("it has no title yet")
        return str(title)

    return await soon(look)


async def answered(api: Api, chat_id: str, text: str) -> None:
    await hear(api, await ask(api, chat_id, text))


@pytest.fixture
async def titling(lonely: dict[str, str]) -> Any:
    """A person where chats are named."""
    async with running_server({**lonely, "PENNY_CHAT_TITLES": "true", "PENNY_JOB_SWEEP_SECONDS": "0.05"}) as server, Api(server.url) as api:
        yield await api.sign_up()


async def jobs(rows: Rows) -> list[str]:
    return [row["status"] for row in await rows("SELECT status FROM penny.jobs WHERE kind = 'chat_title' ORDER BY id")]


async def test_a_chat_is_named_after_its_first_answer_and_only_then(titling: Api, lonely_rows: Rows) -> None:
    chat_id = await new_chat(titling)
    await answered(titling, chat_id, '"Where do swallows spend the winter?"')
    assert await title_of(titling, chat_id) == "Where do swallows spend the winter?"
    before = await chat_of(titling, chat_id)
    await answered(titling, chat_id, "And in summer?")
    found = await titling.data('{ search(query: "swallows", types: [CHAT], first: 5) { nodes { ... on Chat { id } } } }')
    assert found["search"]["nodes"] == [{"id": chat_id}]
    assert await title_of(titling, chat_id) == before["title"]
    assert await jobs(lonely_rows) == ["SUCCEEDED"]


async def test_a_name_that_a_person_gave_or_took_away_stands(titling: Api, lonely_rows: Rows) -> None:
    named, cleared = await new_chat(titling, "Birds"), await new_chat(titling)
    await done(titling, "chatUpdate", "chat { title }", chatId=cleared, title=None)
    for chat_id in (named, cleared):
        await answered(titling, chat_id, "Where do swallows spend the winter?")
    assert await jobs(lonely_rows) == []
    assert (await chat_of(titling, named))["title"] == "Birds"
    assert (await chat_of(titling, cleared))["title"] is None


async def test_a_model_that_gives_no_title_leaves_the_chat_as_it_is(titling: Api, lonely_rows: Rows) -> None:
    chat_id = await new_chat(titling)
    before = await chat_of(titling, chat_id)
    await answered(titling, chat_id, "***")

    async def look() -> None:
        if await jobs(lonely_rows) != ["FAILED"]:
            raise LookupError("the job is not over")

    await soon(look)
    after = await chat_of(titling, chat_id)
    assert (after["title"], after["revision"]) == (None, before["revision"])


@pytest.mark.parametrize(
    ("said", "title"),
    [
        ("Swallows in winter", "Swallows in winter"),
        ('  "Swallows in winter."\n\nIs that fine?', "Swallows in winter."),
        ("**Title: Swallows**", "Swallows"),
        ("# Swallows\n", "Swallows"),
        ("\n\t\n", ""),
        ("word " * 40, "word " * 15 + "word\N{HORIZONTAL ELLIPSIS}"),
    ],
)
def test_a_title_is_taken_out_of_what_a_model_says(said: str, title: str) -> None:
    assert as_title(said) == title


@given(st.text())
def test_whatever_a_model_says_a_title_can_be_shown(said: str) -> None:
    title = as_title(said)
    assert len(title) <= 81
    assert title.isprintable()
    assert title == title.strip()


async def test_a_title_goes_with_the_message_that_it_was_made_of_and_a_person_s_stays(titling: Api) -> None:
    question = "query ($id: ID!) { node(id: $id) { ... on Chat { messages(first: 1) { nodes { id } } shares { url } } } }"
    shared = "query ($token: String!) { sharedChat(token: $token) { title } }"
    for named, left in ((None, None), ("Birds", "Birds")):
        chat_id = await new_chat(titling, named)
        await answered(titling, chat_id, '"Where do swallows spend the winter?"')
        assert await title_of(titling, chat_id) == (named or "Where do swallows spend the winter?")
        await done(titling, "chatShareCreate", idempotencyKey=uuid4().hex, chatId=chat_id, audience="ANYONE")
        node = (await titling.data(question, id=chat_id))["node"]
        await done(titling, "messageRedact", messageId=node["messages"]["nodes"][0]["id"])
        assert (await chat_of(titling, chat_id))["title"] == left
        token = node["shares"][0]["url"].partition("#")[2]
        assert (await titling.data(shared, token=token))["sharedChat"]["title"] == left
    found = await titling.data('{ search(query: "swallows winter", types: [CHAT], first: 5) { nodes { ... on Chat { id } } } }')
    assert found["search"]["nodes"] == []
