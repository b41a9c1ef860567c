"""A chat as a text to take away: whole, in the described form, and for its readers only."""

import dataclasses
import json
from typing import Any
from uuid import UUID

import pytest

from chat import exports
from chat.exports import Export, Exports, Wish
from errors import Invalid
from loaders.pages import Cursors
from tests.api.people import code_of, done, me, member
from tests.api.test_chats import created
from tests.api.test_participants import put, user_of
from tests.chat.talking import ask, hear, new_chat, say
from tests.running import Api
from web.works import Process

EXPORT = """
    query ($id: ID!, $format: ChatExportFormat!, $leaf: ID) {
      node(id: $id) { ... on Chat { export(format: $format, leaf: $leaf) { fileName mediaType content } } }
    }"""
IN_PARTS = """
    query ($id: ID!, $format: ChatExportFormat!, $after: String) {
      node(id: $id) { ... on Chat { export(format: $format, inParts: true, after: $after) { content next } } }
    }"""
BRANCH = "query ($id: ID!) { node(id: $id) { ... on Chat { head { id } messages(first: 50) { nodes { id } } } } }"


async def export(api: Api, chat_id: str, format: str, leaf: str | None = None) -> Any:
    return (await api.data(EXPORT, id=chat_id, format=format, leaf=leaf))["node"]["export"]


async def branched(api: Api, chat_id: str) -> tuple[list[str], list[str]]:
    """Two branches that part after the first answer; returns their messages, the head's branch last."""
    for text in ("!script text=one", "!script text=two"):
        await hear(api, await ask(api, chat_id, text))
    old = [node["id"] for node in (await api.data(BRANCH, id=chat_id))["node"]["messages"]["nodes"]]
    sent = await say(api, chat_id, "!script text=three", parentMessageId=old[1])
    await hear(api, sent["runs"][0]["id"])
    return old, [node["id"] for node in (await api.data(BRANCH, id=chat_id))["node"]["messages"]["nodes"]]


def id_of(global_id: str) -> str:
    return str(UUID(global_id.partition("_")[2]))


async def test_json_has_the_whole_tree(api: Api) -> None:
    ada = await api.sign_up()
    chat = await created(ada, title="Über 数学", metadata={"colour": [1, None]})
    old, new = await branched(ada, chat["id"])
    found = await export(ada, chat["id"], "JSON")
    assert (found["mediaType"], found["fileName"]) == ("application/json", f"chat-{chat['id'].removeprefix('chat_')}.json")
    whole = json.loads(found["content"])
    assert (whole["format"], whole["version"]) == ("penny.chat", 1)
    assert (whole["chat"]["title"], whole["chat"]["metadata"]) == ("Über 数学", {"colour": [1, None]})
    assert whole["chat"]["id"] == id_of(chat["id"])
    assert whole["chat"]["headMessageId"] == id_of(new[-1])
    messages = whole["messages"]
    assert {one["id"] for one in messages} == {id_of(one) for one in [*old, *new]}
    parents = {one["id"]: one["parentId"] for one in messages}
    for branch in (old, new):
        ids = [id_of(one) for one in branch]
        assert [parents[one] for one in ids] == [None, *ids[:-1]]
    question, answer = messages[:2]
    assert (question["role"], question["author"], question["model"], question["status"]) == ("USER", "Ada", None, "COMPLETE")
    assert question["parts"] == [{"type": "text", "text": "!script text=one"}]
    assert (answer["role"], answer["author"], answer["model"]) == ("ASSISTANT", None, "platform/scripted")
    assert answer["parts"] == [{"type": "text", "text": "one"}]
    one = json.loads((await export(ada, chat["id"], "JSON", leaf=old[-1]))["content"])
    assert [message["id"] for message in one["messages"]] == [id_of(message) for message in old]


async def test_markdown_has_one_branch_for_people(api: Api) -> None:
    ada = await api.sign_up()
    chat = await created(ada, title="Pumps\u2028and # valves")
    old, _ = await branched(ada, chat["id"])
    found = await export(ada, chat["id"], "MARKDOWN")
    assert found["mediaType"] == "text/markdown"
    lines = found["content"].splitlines()
    assert lines[0] == "# Pumps and # valves"
    assert [line.partition(",")[0] for line in lines if line.startswith("## ")] == ["## Ada", "## platform/scripted"] * 2
    assert [line for line in lines if line in ("one", "two", "three")] == ["one", "three"]
    other = (await export(ada, chat["id"], "MARKDOWN", leaf=old[-1]))["content"].splitlines()
    assert [line for line in other if line in ("one", "two", "three")] == ["one", "two"]
    assert (await export(ada, await new_chat(ada), "MARKDOWN"))["content"] == "# Chat\n"


async def test_what_was_redacted_is_a_notice_in_both(api: Api) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    old, new = await branched(ada, chat_id)
    await done(ada, "messageRedact", messageId=new[1])
    for kind in ("JSON", "MARKDOWN"):
        content = (await export(ada, chat_id, kind))["content"]
        assert "This message was redacted." in content
        assert "three" in content
        assert '"one"' not in content
        assert "\none\n" not in content
    assert old[1] == new[1]


async def test_pages_join_without_a_seam(api: Api, process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    old, new = await branched(ada, chat_id)
    assert ada.token
    viewer = await process.works.sessions.viewer_of(ada.token)
    monkeypatch.setattr(exports, "PAGE", 2)
    write, scopes, chat = process.works.exports.write, process.works.scopes, UUID(id_of(chat_id))
    whole = json.loads((await write(scopes, viewer, chat, Wish(as_json=True))).text)
    assert {one["id"] for one in whole["messages"]} == {id_of(one) for one in [*old, *new]}
    assert len(whole["messages"]) == 6
    branch = json.loads((await write(scopes, viewer, chat, Wish(as_json=True, leaf_id=UUID(id_of(new[-1]))))).text)
    assert [one["id"] for one in branch["messages"]] == [id_of(one) for one in new]


@pytest.mark.parametrize(
    ("limits", "constraint"), [({"export_max_messages": 3}, "max_items=3"), ({"export_max_bytes": 400}, "max_bytes=400")]
)
async def test_what_is_too_long_is_refused_or_comes_in_parts(api: Api, process: Process, limits: dict[str, Any], constraint: str) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada, "Pumps")
    old, new = await branched(ada, chat_id)
    assert ada.token
    viewer, works, chat = await process.works.sessions.viewer_of(ada.token), process.works, UUID(id_of(chat_id))
    narrow = Exports(keyring=works.keyring, settings=dataclasses.replace(works.settings, **limits))
    for leaf in (None, UUID(id_of(old[-1]))):
        with pytest.raises(Invalid, match="too long for one export") as refusal:
            await narrow.write(works.scopes, viewer, chat, Wish(as_json=True, leaf_id=leaf))
        assert refusal.value.constraint == constraint
    for asked, ids in ((None, [*old, *new[2:]]), (old[-1], old)):
        parts = await in_parts(
            narrow, process, viewer, chat, Wish(as_json=True, leaf_id=UUID(id_of(asked)) if asked else None, in_parts=True)
        )
        assert len(parts) > 1
        assert [one["id"] for part in parts for one in json.loads(part.text)["messages"]] == [id_of(one) for one in ids]
    whole = (await works.exports.write(works.scopes, viewer, chat, Wish(as_json=False))).text
    parts = await in_parts(narrow, process, viewer, chat, Wish(as_json=False, in_parts=True))
    assert "\n".join(part.text for part in parts) == whole


async def in_parts(works: Exports, process: Process, viewer: Any, chat_id: UUID, wish: Wish | None) -> list[Export]:
    parts: list[Export] = []
    while wish is not None:
        parts.append(await works.write(process.works.scopes, viewer, chat_id, wish))
        wish = parts[-1].rest
    return parts


async def test_a_part_goes_on_from_the_one_before_it(api: Api, process: Process) -> None:
    """Through the resolver, whose cursors are a chat's and a format's own."""
    ada = await api.sign_up()
    chat_id, other = await new_chat(ada), await new_chat(ada)
    await branched(ada, chat_id)
    part = (await ada.data(IN_PARTS, id=chat_id, format="JSON"))["node"]["export"]
    assert part["next"] is None, "all of it fits"
    assert part["content"] == (await export(ada, chat_id, "JSON"))["content"]
    cipher = await process.works.keyring.cipher(UUID(id_of((await me(ada))["tenant"]["id"])))
    after = Cursors(cipher, "export JSON", UUID(id_of(chat_id))).write([None, UUID(json.loads(part["content"])["messages"][3]["id"])])
    rest = (await ada.data(IN_PARTS, id=chat_id, format="JSON", after=after))["node"]["export"]
    assert json.loads(rest["content"])["messages"] == json.loads(part["content"])["messages"][4:]
    for wrong in ({"id": other, "format": "JSON"}, {"id": chat_id, "format": "MARKDOWN"}):
        assert await code_of(ada, IN_PARTS, after=after, **wrong) == "BAD_USER_INPUT"


async def test_readers_export_and_nobody_else(api: Api, process: Process) -> None:
    ada, stranger = await api.sign_up(), await api.sign_up()
    bob, guest = await member(ada, process, "creator"), await member(ada, process, "viewer")
    chat_id, theirs = await new_chat(ada, "Secret"), await new_chat(stranger)
    old, _ = await branched(ada, chat_id)
    for nobody in (bob, stranger):
        assert (await nobody.data(EXPORT, id=chat_id, format="JSON"))["node"] is None
    assert await code_of(stranger, EXPORT, id=theirs, format="JSON", leaf=old[-1]) == "NOT_FOUND"
    assert await code_of(stranger, EXPORT, id=theirs, format="MARKDOWN", leaf=old[-1]) == "NOT_FOUND"
    assert await code_of(ada, EXPORT, id=chat_id, format="JSON", leaf=chat_id) == "NOT_FOUND"
    await put(ada, chat_id, guest, "VIEWER")
    whole = json.loads((await export(guest, chat_id, "JSON"))["content"])
    assert {one["author"] for one in whole["messages"]} == {None}, "who may not see the members reads no names"
    text = (await export(ada, chat_id, "JSON"))["content"]
    assert "@" not in text
    assert id_of(await user_of(ada)) not in text


async def test_exports_are_too_dear_to_be_taken_by_the_hundred(api: Api) -> None:
    ada = await api.sign_up()
    await new_chat(ada)
    assert await code_of(ada, "{ chats(first: 100) { nodes { export(format: JSON) { content } } } }") == "COST_LIMIT"
    assert await code_of(ada, "{ chats(first: 5) { nodes { export(format: JSON) { content } } } }") is None
