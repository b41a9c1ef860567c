"""A chat's tree through the endpoint: said in another way, answered again, forked, preferred, and gone back to; nothing is ever lost."""

from typing import Any
from uuid import uuid4

from tests.api.people import code_of, done, member, mutate, refused
from tests.api.test_messages import conversation, exchange, page
from tests.chat.talking import ask, hear, new_chat
from tests.running import Api
from web.works import Process

CHAT = """
    query ($id: ID!) { node(id: $id) { ... on Chat { id title revision head { id } forkedFrom { id } owner { id }
      messages(first: 100) { nodes { id role status createdAt parts { ... on TextPart { id text } } run { id } } }
    } } }"""
MESSAGE = "query ($id: ID!) { node(id: $id) { ... on Message { revision preferred editedAt siblingIndex siblings { id } model { id } } } }"
BRANCHES = """
    query ($id: ID!, $first: Int!, $after: String) { node(id: $id) { ... on Chat {
      branches(first: $first, after: $after) {
        nodes { id leaf { id } forkPoint { id } messageCount updatedAt name } pageInfo { hasNextPage endCursor }
      } } } }"""
MODELS = "{ models(first: 100) { nodes { id key } } }"


async def chat_of(api: Api, chat_id: str) -> Any:
    return (await api.data(CHAT, id=chat_id))["node"]


async def message_of(api: Api, message_id: str) -> Any:
    return (await api.data(MESSAGE, id=message_id))["node"]


async def branches_of(api: Api, chat_id: str, first: int = 100, after: str | None = None) -> Any:
    return (await api.data(BRANCHES, id=chat_id, first=first, after=after))["node"]["branches"]


async def edit(api: Api, message_id: str, text: str, **more: Any) -> Any:
    given = {"messageId": message_id, "content": [{"text": text}], "idempotencyKey": uuid4().hex, **more}
    payload = await done(api, "messageEdit", "message { id } runs { id }", **given)
    for run in payload["runs"]:
        await hear(api, run["id"])
    return payload


async def regenerate(api: Api, message_id: str, **more: Any) -> list[str]:
    """Have something answered again; returns the ids of the answers."""
    selection = "runs { id input { id } outputs { id } }"
    payload = await done(api, "messageRegenerate", selection, messageId=message_id, idempotencyKey=uuid4().hex, **more)
    for run in payload["runs"]:
        await hear(api, run["id"])
    return [output["id"] for run in payload["runs"] for output in run["outputs"]]


def ids(found: Any) -> list[str]:
    return [node["id"] for node in found["nodes"]]


def words(found: Any) -> list[str]:
    return ["".join(part["text"] for part in node["parts"]) for node in found["nodes"]]


async def test_an_edit_begins_a_branch_and_the_old_one_stays(api: Api) -> None:
    ada = await api.sign_up()
    chat_id, said = await conversation(ada, 2)
    payload = await edit(ada, said[2], "!script text=otherwise")
    branch = await page(ada, chat_id, first=9)
    assert ids(branch)[:3] == [*said[:2], payload["message"]["id"]]
    assert words(branch)[2:] == ["!script text=otherwise", "otherwise"]
    assert ids(await page(ada, chat_id, first=9, leaf=said[3])) == said
    old, new = await message_of(ada, said[2]), await message_of(ada, payload["message"]["id"])
    assert old["siblings"] == new["siblings"] == [{"id": said[2]}, {"id": payload["message"]["id"]}]
    assert (old["editedAt"], new["siblingIndex"]) == (None, 1)
    assert new["editedAt"] is not None


async def test_the_first_message_is_edited_like_any_other(api: Api) -> None:
    ada = await api.sign_up()
    chat_id, said = await conversation(ada, 1)
    payload = await edit(ada, said[0], "!script text=anew")
    assert words(await page(ada, chat_id, first=9)) == ["!script text=anew", "anew"]
    assert ids(await page(ada, chat_id, first=9, leaf=said[1])) == said
    for one, index in ((said[0], 0), (payload["message"]["id"], 1)):
        found = await message_of(ada, one)
        assert (found["siblings"], found["siblingIndex"]) == ([{"id": said[0]}, {"id": payload["message"]["id"]}], index)


async def test_an_edit_need_not_be_answered(api: Api) -> None:
    ada = await api.sign_up()
    chat_id, said = await conversation(ada, 1)
    payload = await edit(ada, said[0], "a note", rerun=False)
    assert payload["runs"] == []
    assert (await chat_of(ada, chat_id))["head"] == payload["message"]
    assert words(await page(ada, chat_id, first=9)) == ["a note"]
    (answer,) = await regenerate(ada, payload["message"]["id"])
    assert ids(await page(ada, chat_id, first=9)) == [payload["message"]["id"], answer]


async def test_of_two_edits_of_one_revision_the_second_is_a_conflict(api: Api) -> None:
    ada = await api.sign_up()
    chat_id, said = await conversation(ada, 1)
    assert (await message_of(ada, said[0]))["revision"] == 1
    await edit(ada, said[0], "!script tokens=1", expectedRevision=1)
    before = await chat_of(ada, chat_id)
    error = await refused(
        ada, "messageEdit", messageId=said[0], content=[{"text": "late"}], expectedRevision=1, idempotencyKey=uuid4().hex
    )  # fmt: skip
    assert (error["__typename"], error["path"]) == ("ConflictError", ["expectedRevision"])
    assert await chat_of(ada, chat_id) == before
    assert (await message_of(ada, said[0]))["revision"] == 2


async def test_a_retried_edit_edits_once(api: Api) -> None:
    ada = await api.sign_up()
    chat_id, said = await conversation(ada, 1)
    key = uuid4().hex
    one, two = [await edit(ada, said[0], "!script tokens=2", idempotencyKey=key) for _ in range(2)]
    assert one == two
    assert len((await branches_of(ada, chat_id))["nodes"]) == 2


async def test_only_what_people_said_is_edited_and_nothing_while_the_chat_is_answered(api: Api) -> None:
    ada = await api.sign_up()
    chat_id, said = await conversation(ada, 1)
    for message_id, constraint in ((said[1], "ValidationError"), ("msg_" + "0" * 32, "NotFoundError")):
        error = await refused(ada, "messageEdit", messageId=message_id, content=[{"text": "x"}], idempotencyKey=uuid4().hex)
        assert (error["__typename"], error["path"]) == (constraint, ["messageId"])
    run_id = await ask(ada, chat_id, "!script tokens=2000 delay_ms=5")
    before = await branches_of(ada, chat_id)
    for field, given in (("messageEdit", {"content": [{"text": "x"}]}), ("messageRegenerate", {})):
        payload = await mutate(
            ada, field, "errors { ... on RunInProgressError { run { id } } }", messageId=said[0], idempotencyKey=uuid4().hex, **given
        )
        assert [(error["code"], error["run"]["id"]) for error in payload["errors"]] == [("RUN_IN_PROGRESS", run_id)]
    assert await branches_of(ada, chat_id) == before
    await done(ada, "runCancel", runId=run_id)


async def test_an_answer_is_made_again_beside_the_old_one(api: Api) -> None:
    ada = await api.sign_up()
    chat_id, said = await conversation(ada, 2)
    (again,) = await regenerate(ada, said[1])
    assert ids(await page(ada, chat_id, first=9)) == [said[0], again]
    assert ids(await page(ada, chat_id, first=9, leaf=said[3])) == said
    assert (await message_of(ada, again))["siblings"] == [{"id": said[1]}, {"id": again}]
    (third,) = await regenerate(ada, said[0])
    assert (await message_of(ada, third))["siblingIndex"] == 2


async def test_an_answer_is_preferred_and_the_head_follows(api: Api) -> None:
    ada = await api.sign_up()
    chat_id, said = await conversation(ada, 2)
    (again,) = await regenerate(ada, said[1])
    payload = await done(ada, "messagePrefer", "message { id preferred } chat { head { id } }", messageId=said[1])
    assert (payload["message"], payload["chat"]["head"]) == ({"id": said[1], "preferred": True}, {"id": said[3]})
    payload = await done(ada, "messagePrefer", "message { id preferred } chat { head { id } }", messageId=again)
    assert (payload["message"]["preferred"], payload["chat"]["head"]) == (True, {"id": again})
    assert (await message_of(ada, said[1]))["preferred"] is False
    # Whoever is behind the answer already stays where they are.
    await done(ada, "chatHeadSet", chatId=chat_id, messageId=said[2])
    payload = await done(ada, "messagePrefer", "chat { head { id } }", messageId=said[1])
    assert payload["chat"]["head"] == {"id": said[2]}
    assert (await refused(ada, "messagePrefer", messageId=said[0]))["__typename"] == "ValidationError"


async def test_a_chat_goes_on_from_wherever_its_head_is_set(api: Api) -> None:
    ada = await api.sign_up()
    chat_id, said = await conversation(ada, 2)
    revision = (await chat_of(ada, chat_id))["revision"]
    payload = await done(
        ada, "chatHeadSet", "chat { head { id } revision }", chatId=chat_id, messageId=said[1], expectedRevision=revision
    )  # fmt: skip
    assert payload["chat"] == {"head": {"id": said[1]}, "revision": revision + 1}
    stale = await refused(ada, "chatHeadSet", chatId=chat_id, messageId=said[3], expectedRevision=revision)
    assert (stale["__typename"], stale["path"]) == ("ConflictError", ["expectedRevision"])
    assert (await chat_of(ada, chat_id))["head"] == {"id": said[1]}
    more = await exchange(ada, chat_id, "!script tokens=1")
    assert ids(await page(ada, chat_id, first=9)) == [*said[:2], *more]
    assert ids(await page(ada, chat_id, first=9, leaf=said[3])) == said
    _, others = await conversation(ada, 1)
    assert (await refused(ada, "chatHeadSet", chatId=chat_id, messageId=others[0]))["code"] == "NOT_FOUND"


async def test_branches_are_listed_with_their_leaves(api: Api) -> None:
    ada = await api.sign_up()
    chat_id, said = await conversation(ada, 2)
    await edit(ada, said[2], "Another question, with rather more words than a name has room for, so that it is cut short somewhere")
    (again,) = await regenerate(ada, said[1])
    nodes = (await branches_of(ada, chat_id))["nodes"]
    assert [(node["leaf"]["id"], node["forkPoint"], node["messageCount"]) for node in nodes[::2]] == [
        (again, {"id": said[0]}, 2),
        (said[3], None, 4),
    ]
    assert (nodes[1]["forkPoint"], nodes[1]["messageCount"]) == ({"id": said[1]}, 4)
    assert [node["name"] for node in nodes[::2]] == ["turn0", "!script text=turn0"]
    assert nodes[1]["name"].startswith("Another question, with rather more words")
    assert (len(nodes[1]["name"]), nodes[1]["name"][-1]) == (80, "…")
    cut = await branches_of(ada, chat_id, first=2)
    rest = await branches_of(ada, chat_id, first=2, after=cut["pageInfo"]["endCursor"])
    assert ids(cut) + ids(rest) == ids({"nodes": nodes})
    assert (cut["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (True, False)
    other = await new_chat(ada)
    assert (await branches_of(ada, other))["nodes"] == []
    assert await code_of(ada, BRANCHES, id=other, first=1, after=cut["pageInfo"]["endCursor"]) == "BAD_USER_INPUT"
    (node,) = (await ada.data("query ($ids: [ID!]!) { nodes(ids: $ids) { id ... on Branch { leaf { id } } } }", ids=[nodes[0]["id"]]))[
        "nodes"
    ]
    assert node == {"id": nodes[0]["id"], "leaf": {"id": again}}


async def test_a_fork_is_a_chat_of_its_own_with_what_was_said(api: Api) -> None:
    ada = await api.sign_up()
    chat_id, said = await conversation(ada, 2)
    await done(ada, "chatUpdate", chatId=chat_id, title="Rivers")
    key = uuid4().hex
    payload = await done(ada, "chatFork", "chat { id }", messageId=said[1], idempotencyKey=key)
    fork, source = await chat_of(ada, payload["chat"]["id"]), await chat_of(ada, chat_id)
    assert (fork["title"], fork["forkedFrom"], source["forkedFrom"]) == ("Rivers", {"id": said[1]}, None)
    copies, originals = fork["messages"]["nodes"], source["messages"]["nodes"][:2]
    assert words(fork["messages"]) == words({"nodes": originals})
    assert [(node["role"], node["status"], node["createdAt"]) for node in copies] == [
        (node["role"], node["status"], node["createdAt"]) for node in originals
    ]
    assert not {node["id"] for node in copies} & set(said)
    assert not {part["id"] for node in copies for part in node["parts"]} & {part["id"] for node in originals for part in node["parts"]}
    assert [node["run"] for node in copies] == [None, None]
    assert fork["head"] == {"id": copies[-1]["id"]}
    # The two go on without each other.
    await exchange(ada, fork["id"], "!script tokens=1")
    assert await chat_of(ada, chat_id) == source
    assert len((await branches_of(ada, fork["id"]))["nodes"]) == 1
    again = await done(ada, "chatFork", "chat { id }", messageId=said[1], idempotencyKey=key)
    assert again["chat"] == payload["chat"]
    named = await done(ada, "chatFork", "chat { title }", messageId=said[3], idempotencyKey=uuid4().hex, title="Lakes")
    assert named["chat"]["title"] == "Lakes"


async def test_whoever_reads_a_chat_may_fork_it_and_nobody_else(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    bob, eve = await member(ada, process, "creator"), await api.sign_up()
    chat_id, said = await conversation(ada, 1)
    for stranger in (bob, eve):
        error = await refused(stranger, "chatFork", messageId=said[1], idempotencyKey=uuid4().hex)
        assert (error["__typename"], error["path"]) == ("NotFoundError", ["messageId"])
        assert (await stranger.data("{ chats(first: 9) { nodes { id } } }"))["chats"]["nodes"] == []
    await done(ada, "chatUpdate", chatId=chat_id, visibility="TENANT")
    payload = await done(bob, "chatFork", "chat { id visibility forkedFrom { id } }", messageId=said[1], idempotencyKey=uuid4().hex)
    assert (payload["chat"]["visibility"], payload["chat"]["forkedFrom"]) == ("PRIVATE", {"id": said[1]})
    assert (await ada.data("query ($id: ID!) { node(id: $id) { id } }", id=payload["chat"]["id"]))["node"] is None
    for field, given in (
        ("messageEdit", {"messageId": said[0], "content": [{"text": "x"}], "idempotencyKey": uuid4().hex}),
        ("messageRegenerate", {"messageId": said[1], "idempotencyKey": uuid4().hex}),
        ("messagePrefer", {"messageId": said[1]}),
        ("chatHeadSet", {"chatId": chat_id, "messageId": said[0]}),
    ):
        assert (await refused(bob, field, **given))["__typename"] == "PermissionDeniedError"
    assert ids(await page(ada, chat_id, first=9)) == said
    # What the fork holds stays readable when the source is hidden again; the source does not.
    await done(ada, "chatUpdate", chatId=chat_id, visibility="PRIVATE")
    fork = await chat_of(bob, payload["chat"]["id"])
    assert (fork["forkedFrom"], len(fork["messages"]["nodes"])) == (None, 2)


async def test_an_answer_that_is_being_made_is_forked_as_far_as_it_came(api: Api) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    run_id = await ask(ada, chat_id, "!script tokens=2000 delay_ms=5")
    await hear(ada, run_id, until=30)
    answer = (await page(ada, chat_id, last=1))["nodes"][0]["id"]
    payload = await done(ada, "chatFork", "chat { id }", messageId=answer, idempotencyKey=uuid4().hex)
    copy = (await chat_of(ada, payload["chat"]["id"]))["messages"]["nodes"][-1]
    assert copy["status"] == "INCOMPLETE"
    await exchange(ada, payload["chat"]["id"], "!script tokens=1")
    await done(ada, "runCancel", runId=run_id)


async def test_models_that_cannot_be_asked_are_refused(api: Api) -> None:
    ada = await api.sign_up()
    chat_id, said = await conversation(ada, 1)
    usable = {node["key"]: node["id"] for node in (await ada.data(MODELS))["models"]["nodes"]}
    known = {
        node["key"]: node["id"]
        for node in (await ada.data(MODELS.replace("first: 100", "first: 100, usableByViewer: false")))["models"]["nodes"]
    }
    scripted, words_only, rented = usable["platform/scripted"], usable["embedded/wordllama"], known["openai/gpt-5"]
    cases = [([scripted, scripted], "ValidationError"), ([rented], "ModelUnavailableError"), ([words_only], "ValidationError"),
             (["mdl_" + "0" * 32], "NotFoundError"), ([said[0]], "NotFoundError")]  # fmt: skip
    for chosen, kind in cases:
        error = await refused(ada, "messageRegenerate", messageId=said[1], modelIds=chosen, idempotencyKey=uuid4().hex)
        assert (error["__typename"], error["path"]) == (kind, ["modelIds"])
    assert len((await branches_of(ada, chat_id))["nodes"]) == 1
    (answer,) = await regenerate(ada, said[1], modelIds=[scripted])
    assert (await message_of(ada, answer))["model"] == {"id": scripted}
    assert (await message_of(ada, said[1]))["model"] == {"id": scripted}, "it answered there because nobody chose another"
