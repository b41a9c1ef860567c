"""Messages through the endpoint: said, read page by page, and branching."""

from typing import Any
from uuid import uuid4

import pytest

from tests.api.people import code_of, done, me, refused
from tests.api.test_assistants import released
from tests.api.test_models import house_model
from tests.chat.talking import ask, hear, new_chat, say
from tests.running import Api

MESSAGES = """
    query ($id: ID!, $first: Int, $last: Int, $after: String, $before: String, $leaf: ID, $roles: [MessageRole!]) {
      node(id: $id) { ... on Chat {
        head { id }
        messages(first: $first, last: $last, after: $after, before: $before, leaf: $leaf, roles: $roles) {
          nodes { id role status parts { __typename ... on TextPart { id text } } }
          edges { cursor }
          pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
        }
      } }
    }"""
TREE = """
    query ($id: ID!) {
      node(id: $id) { ... on Message {
        parent { id } siblingIndex siblings { id } children(first: 10) { totalCount nodes { id } } run { id } chat { id }
        author { ... on User { id } } createdAt editedAt
      } }
    }"""


async def page(api: Api, chat_id: str, **arguments: Any) -> Any:
    return (await api.data(MESSAGES, id=chat_id, **arguments))["node"]["messages"]


async def exchange(api: Api, chat_id: str, text: str, **more: Any) -> tuple[str, str]:
    """Say something and hear it answered; returns the ids of question and answer."""
    payload = await say(api, chat_id, text, **more)
    assert payload["errors"] == [], payload["errors"]
    heard = await hear(api, payload["runs"][0]["id"])
    return payload["message"]["id"], heard.events[1]["outputMessageIds"][0]


async def conversation(api: Api, turns: int) -> tuple[str, list[str]]:
    chat_id = await new_chat(api)
    ids: list[str] = []
    for turn in range(turns):
        ids += await exchange(api, chat_id, f"!script text=turn{turn}")
    return chat_id, ids


async def test_what_is_said_is_read_again(api: Api) -> None:
    ada = await api.sign_up()
    chat_id, (question, answer) = await conversation(ada, 1)
    nodes = (await page(ada, chat_id, first=10))["nodes"]
    assert [(node["id"], node["role"], node["status"]) for node in nodes] == [
        (question, "USER", "COMPLETE"),
        (answer, "ASSISTANT", "COMPLETE"),
    ]
    assert [part["text"] for node in nodes for part in node["parts"]] == ["!script text=turn0", "turn0"]
    assert all(part["id"].startswith("prt_") for node in nodes for part in node["parts"])
    said, made = [(await ada.data(TREE, id=one))["node"] for one in (question, answer)]
    assert said["author"] == {"id": (await me(ada))["viewer"]["user"]["id"]}
    assert (said["parent"], said["run"], said["chat"]) == (None, None, {"id": chat_id})
    assert (made["author"], made["parent"], made["editedAt"]) == (None, {"id": question}, None)
    assert made["run"]["id"].startswith("run_")


async def test_a_message_may_have_several_parts(api: Api) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    payload = await done(
        ada,
        "messageSend",
        "message { parts { ... on TextPart { text } } } runs { id background }",
        chatId=chat_id,
        content=[{"text": "Look at this:"}, {"text": "😀 𐍈\n"}],
        idempotencyKey=uuid4().hex,
        background=False,
    )
    assert payload["message"]["parts"] == [{"text": "Look at this:"}, {"text": "😀 𐍈\n"}]
    assert payload["runs"][0]["background"] is False
    assert (await hear(ada, payload["runs"][0]["id"])).text == "Look at this:\n\n😀 𐍈\n"


async def test_an_answer_is_no_longer_than_was_asked_for(api: Api) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    payload = await say(ada, chat_id, "!script tokens=50", maxOutputTokens=7)
    heard = await hear(ada, payload["runs"][0]["id"])
    assert len(heard.text.split()) == 7
    assert (heard.end["status"], heard.end["stopReason"]) == ("INCOMPLETE", "MAX_TOKENS")


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"content": []}, ["content"]),
        ({"content": [{"text": " \n"}]}, ["content"]),
        ({"content": [{"text": "x"}] * 33}, ["content"]),
        ({"content": [{"text": "x" * 131_073}]}, ["content"]),
        ({"content": [{"text": "a\x00b"}]}, ["content"]),
        ({"maxOutputTokens": 0}, ["maxOutputTokens"]),
        ({"maxOutputTokens": -5}, ["maxOutputTokens"]),
        ({"idempotencyKey": ""}, ["idempotencyKey"]),
    ],
)
async def test_a_message_that_breaks_a_rule_is_not_sent(api: Api, given: dict[str, Any], path: list[str]) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    good: dict[str, Any] = {
        "chatId": chat_id,
        "content": [{"text": "!script tokens=1"}],
        "idempotencyKey": uuid4().hex,
        "maxOutputTokens": 1,
    }
    error = await refused(ada, "messageSend", **good | given)
    assert (error["__typename"], error["path"]) == ("ValidationError", path)
    assert (await page(ada, chat_id, first=1))["nodes"] == []
    await done(ada, "messageSend", **good)


async def test_a_part_has_exactly_one_field(api: Api) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    send = "mutation ($input: MessageSendInput!) { messageSend(input: $input) { errors { code } } }"
    for part in ({}, {"text": None}, {"text": "a", "fileId": "b"}):
        given = {"chatId": chat_id, "content": [part], "idempotencyKey": uuid4().hex}
        assert "errors" in await ada.post(send, input=given), part
    assert (await page(ada, chat_id, first=1))["nodes"] == []


async def test_nothing_is_said_in_an_archived_chat(api: Api) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    await done(ada, "chatUpdate", chatId=chat_id, archived=True)
    payload = await say(ada, chat_id, "hello?")
    assert [(error["code"], error["path"]) for error in payload["errors"]] == [("CONFLICT", ["chatId"])]
    await done(ada, "chatUpdate", chatId=chat_id, archived=False)
    await exchange(ada, chat_id, "!script tokens=1")


async def test_a_branch_is_read_page_by_page_from_both_ends(api: Api) -> None:
    ada = await api.sign_up()
    chat_id, ids = await conversation(ada, 3)

    async def read(**arguments: Any) -> tuple[list[str], Any]:
        found = await page(ada, chat_id, **arguments)
        return [node["id"] for node in found["nodes"]], found["pageInfo"]

    first, info = await read(first=4)
    assert (first, info["hasNextPage"], info["hasPreviousPage"]) == (ids[:4], True, False)
    rest, info = await read(first=4, after=info["endCursor"])
    assert (rest, info["hasNextPage"], info["hasPreviousPage"]) == (ids[4:], False, True)
    last, info = await read(last=2)
    assert (last, info["hasNextPage"], info["hasPreviousPage"]) == (ids[4:], False, True)
    older, info = await read(last=3, before=info["startCursor"])
    assert (older, info["hasNextPage"], info["hasPreviousPage"]) == (ids[1:4], True, True)
    assert (await read(first=10, roles=["USER"]))[0] == ids[::2]
    assert (await read(last=1, roles=["ASSISTANT"]))[0] == ids[-1:]
    assert (await read(first=10, leaf=ids[2]))[0] == ids[:3]


async def test_a_reader_who_scrolls_back_is_not_disturbed_by_new_messages(api: Api) -> None:
    ada = await api.sign_up()
    chat_id, ids = await conversation(ada, 2)
    cursor = (await page(ada, chat_id, last=1))["pageInfo"]["startCursor"]
    await exchange(ada, chat_id, "!script tokens=1")
    assert [node["id"] for node in (await page(ada, chat_id, last=10, before=cursor))["nodes"]] == ids[:-1]


async def test_a_cursor_is_good_for_its_own_list(api: Api) -> None:
    ada = await api.sign_up()
    (chat_id, ids), (other, _) = await conversation(ada, 1), await conversation(ada, 1)
    cursor = (await page(ada, chat_id, first=1))["pageInfo"]["endCursor"]
    assert await code_of(ada, MESSAGES, id=chat_id, first=1, after=cursor) is None
    assert await code_of(ada, MESSAGES, id=other, first=1, after=cursor) == "BAD_USER_INPUT"
    assert await code_of(ada, MESSAGES, id=chat_id, leaf=ids[1], first=1, after=cursor) == "BAD_USER_INPUT"
    branch = (await page(ada, chat_id, leaf=ids[1], first=1))["pageInfo"]["endCursor"]
    assert await code_of(ada, MESSAGES, id=chat_id, leaf=ids[0], first=1, after=branch) == "BAD_USER_INPUT"
    assert await code_of(ada, MESSAGES, id=chat_id, leaf=ids[1], first=1, after=branch) is None


async def test_saying_something_again_begins_a_branch_and_loses_none(api: Api) -> None:
    ada = await api.sign_up()
    chat_id, ids = await conversation(ada, 2)
    again = await exchange(ada, chat_id, "!script text=other", parentMessageId=ids[1])
    assert [node["id"] for node in (await page(ada, chat_id, first=9))["nodes"]] == [*ids[:2], *again]
    assert [node["id"] for node in (await page(ada, chat_id, first=9, leaf=ids[3]))["nodes"]] == ids
    before, after = [(await ada.data(TREE, id=one))["node"] for one in (ids[2], again[0])]
    assert before["siblings"] == after["siblings"] == [{"id": ids[2]}, {"id": again[0]}]
    assert (before["siblingIndex"], after["siblingIndex"]) == (0, 1)
    trunk = (await ada.data(TREE, id=ids[1]))["node"]
    assert trunk["children"] == {"totalCount": 2, "nodes": [{"id": ids[2]}, {"id": again[0]}]}
    root = (await ada.data(TREE, id=ids[0]))["node"]
    assert (root["siblings"], root["siblingIndex"]) == ([{"id": ids[0]}], 0)


async def test_children_are_read_page_by_page(api: Api) -> None:
    ada = await api.sign_up()
    chat_id, ids = await conversation(ada, 1)
    made = [(await exchange(ada, chat_id, f"!script text=fork{number}", parentMessageId=ids[1]))[0] for number in range(3)]
    query = (
        "query ($id: ID!, $first: Int!, $after: String) { node(id: $id) { ... on Message {"
        " children(first: $first, after: $after) { nodes { id } pageInfo { hasNextPage endCursor } } } } }"
    )
    first = (await ada.data(query, id=ids[1], first=2))["node"]["children"]
    assert [node["id"] for node in first["nodes"]] == made[:2]
    assert first["pageInfo"]["hasNextPage"] is True
    rest = (await ada.data(query, id=ids[1], first=2, after=first["pageInfo"]["endCursor"]))["node"]["children"]
    assert [node["id"] for node in rest["nodes"]] == made[2:]
    assert await code_of(ada, query, id=ids[0], first=2, after=first["pageInfo"]["endCursor"]) == "BAD_USER_INPUT"


async def test_a_message_of_another_chat_is_no_parent_and_no_leaf(api: Api) -> None:
    ada = await api.sign_up()
    (chat_id, ids), (other, others) = await conversation(ada, 1), await conversation(ada, 1)
    for parent in (others[1], "msg_" + "0" * 32):
        payload = await say(ada, chat_id, "hello", parentMessageId=parent)
        assert [(error["code"], error["path"]) for error in payload["errors"]] == [("NOT_FOUND", ["parentMessageId"])]
    assert (await page(ada, chat_id, first=9, leaf=others[1]))["nodes"] == []
    assert [node["id"] for node in (await page(ada, chat_id, first=9))["nodes"]] == ids
    assert [node["id"] for node in (await page(ada, other, first=9, leaf=others[1]))["nodes"]] == others


async def test_a_growing_answer_shows_what_was_said_so_far(api: Api) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    run_id = await ask(ada, chat_id, "!script tokens=400 delay_ms=10")
    await hear(ada, run_id, until=25)
    (node,) = (await page(ada, chat_id, last=1))["nodes"]
    assert node["status"] == "STREAMING"
    assert node["parts"][0]["text"].startswith("word0 word1 ")
    await done(ada, "runCancel", runId=run_id)
    await hear(ada, run_id)
    (node,) = (await page(ada, chat_id, last=1))["nodes"]
    assert node["status"] == "INCOMPLETE"


async def test_a_message_that_nobody_could_read_is_refused_before_it_is_said(api: Api) -> None:
    ada = await api.sign_up()
    model, chat_id = await house_model(ada), await new_chat(ada)
    query = """mutation ($input: MessageSendInput!) { messageSend(input: $input) { message { id } errors {
        __typename code path ... on ContextOverflowError { limitTokens requestedTokens } } } }"""
    given = {"idempotencyKey": "k", "chatId": chat_id, "content": [{"text": "x" * 28_004}], "modelIds": [model["id"]]}
    payload = (await ada.data(query, input=given))["messageSend"]
    assert payload["message"] is None
    assert payload["errors"] == [
        {
            "__typename": "ContextOverflowError",
            "code": "CONTEXT_OVERFLOW",
            "path": ["content"],
            "limitTokens": 7000,
            "requestedTokens": 7005,
        }
    ]
    assert (await ada.data("query ($id: ID!) { node(id: $id) { ... on Chat { head { id } } } }", id=chat_id))["node"]["head"] is None
    estimate = "query ($input: RunEstimateInput!) { estimateRun(input: $input) { inputTokens } }"
    idea = {"chatId": chat_id, "content": given["content"], "modelId": model["id"]}
    assert await code_of(ada, estimate, input=idea) == "CONTEXT_OVERFLOW"
    # With a shorter answer there is room; an assistant's instructions take some of it again.
    shorter = given | {"maxOutputTokens": 500}
    assert (await ada.data(query, input=shorter))["messageSend"]["errors"] == []
    version = await released(ada, instructions="y" * 2000, modelId=model["id"], parameters={"maxOutputTokens": 500})
    assisted = given | {"idempotencyKey": "l", "chatId": await new_chat(ada), "modelIds": None, "assistantVersionId": version["id"]}
    (error,) = (await ada.data(query, input=assisted))["messageSend"]["errors"]
    assert (error["limitTokens"], error["requestedTokens"]) == (7500, 7509)


async def test_a_message_says_how_much_of_a_context_it_takes_and_what_its_run_used(api: Api) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    await hear(ada, await ask(ada, chat_id, "!script tokens=3"))
    query = """query ($id: ID!) { node(id: $id) { ... on Chat { messages(first: 9) { nodes {
        tokenCount usage { outputTokens } run { usage { outputTokens } } } } } } }"""
    question, answer = (await ada.data(query, id=chat_id))["node"]["messages"]["nodes"]
    assert question == {"tokenCount": 4 + 4, "usage": None, "run": None}
    assert answer["usage"] == answer["run"]["usage"] == {"outputTokens": 3}
    assert answer["tokenCount"] > 4
