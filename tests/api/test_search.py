"""Search through the endpoint: by words in any language, ranked, with passages, and only what the viewer may read."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from auth.encryption.ciphers import TenantCipher
from chat.contents import plain_texts
from db.scopes import Reading, Row
from knowledge.search import Question, Search
from loaders.pages import Cursors
from schema.ids import local_id
from settings import Settings
from tests.api.people import code_of, done, me, member
from tests.api.test_chats import created
from tests.chat.talking import ask, hear, new_chat, say
from tests.running import Api, running_web
from web.works import Process

SEARCH = """
    query (
      $words: String!, $first: Int = 50, $after: String, $types: [SearchType!], $chatId: ID, $authorId: ID, $span: TimeRange
    ) {
      search(
        query: $words, first: $first, after: $after, types: $types, chatId: $chatId, authorId: $authorId, createdBetween: $span
      ) {
        totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
        nodes { __typename ... on Chat { id title } ... on Message { id } }
        edges {
          cursor score highlights { text ranges { start end } }
          node { __typename ... on Chat { id title } ... on Message { id role chat { id } parts { ... on TextPart { text } } } }
        }
      }
    }"""


async def found(api: Api, query: str, **arguments: Any) -> Any:
    return (await api.data(SEARCH, words=query, **arguments))["search"]


async def texts(api: Api, query: str, **arguments: Any) -> list[str]:
    """The titles and messages that are found, in their order."""
    nodes = [edge["node"] for edge in (await found(api, query, **arguments))["edges"]]
    return [node["title"] if node["__typename"] == "Chat" else node["parts"][0]["text"] for node in nodes]


async def said(api: Api, text: str, title: str | None = None) -> tuple[str, str]:
    """Say something in a new chat and hear the answer, whose one word is `Well,`; the ids of the chat and the message."""
    chat_id = await new_chat(api, title)
    sent = await say(api, chat_id, f"Well, {text}", maxOutputTokens=1)
    await hear(api, sent["runs"][0]["id"])
    return chat_id, sent["message"]["id"]


async def test_a_message_is_found_by_its_words_in_any_order_and_form(api: Api) -> None:
    ada = await api.sign_up()
    _, message_id = await said(ada, "The Größe of our Database-Schema, naïvely put")
    for query in ("database", "DATABASE schema", "schema of größe", "GROSSE", "naively", "Schéma!"):
        assert [node["id"] for node in (await found(ada, query))["nodes"]] == [message_id], query
    for query in ("data", "databases", "", "?!", "unsaid"):
        assert (await found(ada, query))["nodes"] == [], query


@pytest.mark.parametrize(
    ("text", "query"), [("我们的数据库很慢", "数据库"), ("ฉันชอบอ่านหนังสือ", "หนังสือ"), ("학교에서 만나요", "학교"), ("עִבְרִית שפה", "עברית")]
)
async def test_languages_without_spaces_or_with_points_are_searched_too(api: Api, text: str, query: str) -> None:
    ada = await api.sign_up()
    await said(ada, "something else")
    _, message_id = await said(ada, text)
    assert [node["id"] for node in (await found(ada, query))["nodes"]] == [message_id]


@pytest.mark.parametrize(
    ("text", "query", "at"), [("小さな鯨が好き", "鯨", 9), ("我们的数据库很慢", "库", 11), ("새로운 집에서", "집", 10), ("ｶﾞｲﾄﾞ", "ガ", None)]
)
async def test_one_letter_of_a_language_without_spaces_is_found_in_what_was_said_of_late(
    api: Api, process: Process, text: str, query: str, at: int | None
) -> None:
    ada = await api.sign_up()
    bob = await member(ada, process, "creator")
    await said(ada, "something else")
    chat_id, message_id = await said(ada, text)
    (edge,) = (await found(ada, query))["edges"]
    assert (edge["node"]["id"], edge["score"]) == (message_id, 1)
    (highlight,) = edge["highlights"]
    assert highlight["ranges"] == ([] if at is None else [{"start": at, "end": at + 1}])
    assert [node["id"] for node in (await found(ada, query, chatId=chat_id))["nodes"]] == [message_id]
    assert (await found(ada, query, chatId=await new_chat(ada)))["nodes"] == []
    assert (await found(ada, query, types=["CHAT"]))["nodes"] == []
    assert (await found(bob, query))["nodes"] == []


async def test_one_letter_is_weighed_and_paged_beside_words(api: Api) -> None:
    ada = await api.sign_up()
    ids = [(await said(ada, text))[1] for text in ("鯨と海 whale", "whale", "子鯨", "nothing")]
    both, word, letter = ids[:3]
    edges = (await found(ada, "鯨 whale"))["edges"]
    assert {edge["node"]["id"] for edge in edges} == {both, word, letter}
    assert (edges[0]["node"]["id"], edges[0]["score"]) == (both, 1)
    assert all(0 < edge["score"] < 1 for edge in edges[1:])
    paged: list[str] = []
    after = None
    for _ in edges:
        page = await found(ada, "鯨 whale", first=1, after=after)
        paged += [node["id"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
    assert (paged, page["pageInfo"]["hasNextPage"]) == ([edge["node"]["id"] for edge in edges], False)


async def test_only_so_many_of_the_newest_messages_are_read_for_one_letter(api: Api, process: Process, settings: Settings) -> None:
    ada = await api.sign_up()
    viewer = await process.works.sessions.viewer_of(ada.token or "")
    cipher = await process.works.keyring.cipher(viewer.tenant_id)
    await said(ada, "小さな鯨が好き")  # and its answer

    async def look(**limits: Any) -> int:
        search = Search(embedder=None, texts=plain_texts, settings=dataclasses.replace(settings, **limits))
        return len((await search.find(process.works.scopes, viewer, cipher, Question(text="鯨"), place=None, limit=9)).hits)

    assert [await look(search_read_messages=most) for most in (1, 2)] == [0, 1]
    # Both messages are encrypted, with what is around their texts: some 100 bytes each.
    assert [await look(search_read_bytes=most) for most in (150, 1000)] == [0, 1]
    # It says: Well, 小さな鯨が好き
    assert [await look(search_read_characters=most) for most in (9, 10)] == [0, 1]


async def test_an_author_and_a_span_are_looked_for_before_the_newest_are_taken(api: Api, process: Process, settings: Settings) -> None:
    ada = await api.sign_up()
    bob = await member(ada, process, "creator")
    viewer = await process.works.sessions.viewer_of(ada.token or "")
    cipher = await process.works.keyring.cipher(viewer.tenant_id)
    await said(ada, "小さな鯨が好き")  # and its answer
    then = datetime.now(UTC)
    for number in range(4):
        await said(bob, f"whale {number}")
    search = Search(embedder=None, texts=plain_texts, settings=dataclasses.replace(settings, search_read_messages=2))

    async def look(**filters: Any) -> int:
        question = Question(text="鯨", **filters)
        return len((await search.find(process.works.scopes, viewer, cipher, question, place=None, limit=9)).hits)

    assert (await look(), await look(author_id=viewer.user_id), await look(until=then), await look(since=then)) == (0, 1, 1, 0)


async def test_long_messages_are_read_in_shares_with_no_scope_open_and_others_in_between(
    api: Api, process: Process, settings: Settings
) -> None:
    ada = await api.sign_up()
    viewer = await process.works.sessions.viewer_of(ada.token or "")
    cipher = await process.works.keyring.cipher(viewer.tenant_id)
    chat_id, _ = await said(ada, "鯨" + "を見た" * 4000)
    for _ in range(2):
        await hear(ada, (await say(ada, chat_id, "Well, 鯨" + "を見た" * 4000, maxOutputTokens=1))["runs"][0]["id"])
    turns, opened = 0, 0
    reads: list[tuple[int, int]] = []

    class Watched:
        @contextlib.asynccontextmanager
        async def reading(self, tenant_id: UUID) -> AsyncIterator[Reading]:
            nonlocal opened
            async with process.works.scopes.reading(tenant_id) as scope:
                opened += 1
                yield scope
            opened -= 1

    def watched(cipher: TenantCipher, rows: Sequence[Row]) -> Sequence[str]:
        reads.append((turns, opened))
        return plain_texts(cipher, rows)

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    search = Search(embedder=None, texts=watched, settings=settings)
    async with asyncio.TaskGroup() as group:
        other = group.create_task(others())
        found = await search.find(Watched(), viewer, cipher, Question(text="鯨"), place=None, limit=9)
        other.cancel()
    assert (len(found.hits), len(reads), [scopes for _, scopes in reads]) == (3, 3, [0, 0, 0])
    assert len({turn for turn, _ in reads}) == 3


async def test_reading_messages_for_one_letter_is_paid_for(api: Api, environment: dict[str, str]) -> None:
    ada = await api.sign_up()
    little = {"PENNY_SEARCH_READ_POINTS": "1000", "PENNY_RATE_LIMIT_PRINCIPAL_POINTS": "4000", "PENNY_GRAPHQL_MAX_COST": "4000"}
    little |= {"PENNY_RATE_LIMIT_PRINCIPAL_PER_SECOND": "1", "PENNY_VALKEY_PREFIX": f"searching-{uuid4()}"}
    async with running_web({**environment, **little}) as (url, _), Api(url, ada.token) as other:
        assert [await texts(other, query, first=1) for query in ("whale", "小さな鯨") * 3] == [[]] * 6
        assert await texts(other, "鯨", first=1, types=["CHAT"]) == []
        answers = [await other.post(SEARCH, words="鯨", first=1) for _ in range(4)]
    codes = [[error["extensions"]["code"] for error in answer.get("errors", [])] for answer in answers]
    assert codes == [[], [], [], ["THROTTLED"]]


async def test_answers_and_titles_are_found_as_what_they_are(api: Api) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada, "Heliotrope gardens")
    await hear(ada, await ask(ada, chat_id, '!script text="the heliotrope blooms"'))
    edges = (await found(ada, "heliotrope"))["edges"]
    roles = {edge["node"]["__typename"]: edge["node"].get("role") for edge in edges if edge["node"].get("role") != "USER"}
    assert roles == {"Chat": None, "Message": "ASSISTANT"}
    assert [node["__typename"] for node in (await found(ada, "heliotrope", types=["CHAT"]))["nodes"]] == ["Chat"]
    assert {node["__typename"] for node in (await found(ada, "heliotrope", types=["MESSAGE"]))["nodes"]} == {"Message"}
    assert (await found(ada, "heliotrope", types=[]))["nodes"] == []
    answer = next(edge for edge in edges if edge["node"].get("role") == "ASSISTANT")
    assert answer["highlights"] == [{"text": "the heliotrope blooms", "ranges": [{"start": 4, "end": 14}]}]


async def test_a_title_is_found_by_its_new_words_only(api: Api) -> None:
    ada = await api.sign_up()
    chat = await created(ada, title="Marginalia")
    await done(ada, "chatUpdate", chatId=chat["id"], title="Footnotes")
    assert await texts(ada, "footnotes") == ["Footnotes"]
    assert await texts(ada, "marginalia") == []
    await done(ada, "chatUpdate", chatId=chat["id"], title=None)
    assert await texts(ada, "footnotes") == []


async def test_what_is_deleted_is_found_no_more(api: Api) -> None:
    ada = await api.sign_up()
    chat_id, _ = await said(ada, "ephemeral words", "Ephemeral")
    assert len((await found(ada, "ephemeral"))["nodes"]) == 2
    await done(ada, "chatDelete", chatId=chat_id)
    assert (await found(ada, "ephemeral"))["nodes"] == []


async def test_more_and_rarer_words_come_first_and_of_equals_the_newest(api: Api) -> None:
    ada = await api.sign_up()
    await said(ada, "apples and pears")
    await said(ada, "apples again")
    await said(ada, "apples once more")
    await said(ada, "pears")
    ranked = [text.removeprefix("Well, ") for text in await texts(ada, "apples pears")]
    assert ranked[:2] == ["apples and pears", "pears"]
    scores = [edge["score"] for edge in (await found(ada, "apples pears"))["edges"]]
    assert scores[0] == 1
    assert scores == sorted(scores, reverse=True)
    assert [text.removeprefix("Well, ") for text in await texts(ada, "apples")] == ["apples once more", "apples again", "apples and pears"]


async def test_words_that_nobody_wrote_do_not_empty_a_search(api: Api) -> None:
    """A misspelt word weighs most, for nobody has it: the rest is found all the same, and the score says that something is lacking."""
    ada = await api.sign_up()
    for text in ("kubernetes upgrades", "gardening", "kubernetes and terraform", "nothing of the kind"):
        await said(ada, text)
    edges = (await found(ada, "kubernetes misspeldt"))["edges"]
    assert [edge["highlights"][0]["text"].removeprefix("Well, ") for edge in edges] == ["kubernetes and terraform", "kubernetes upgrades"]
    assert all(0 < edge["score"] < 0.5 for edge in edges)
    assert [text.removeprefix("Well, ") for text in await texts(ada, "kubernetes terraform misspeldt wordz")] == [
        "kubernetes and terraform"
    ]
    assert await texts(ada, "misspeldt wordz") == []
    first = await found(ada, "kubernetes misspeldt", first=1)
    rest = await found(ada, "kubernetes misspeldt", first=9, after=first["pageInfo"]["endCursor"])
    assert [edge["node"]["id"] for page in (first, rest) for edge in page["edges"]] == [edge["node"]["id"] for edge in edges]


async def test_results_are_read_page_by_page_while_others_write(api: Api) -> None:
    ada = await api.sign_up()
    ids = [(await said(ada, f"paging number {number}"))[1] for number in range(5)]
    first = await found(ada, "paging", first=2)
    assert first["pageInfo"]["hasNextPage"] is True
    assert first["totalCount"] is None
    await said(ada, "paging comes later")
    second = await found(ada, "paging", first=2, after=first["pageInfo"]["endCursor"])
    third = await found(ada, "paging", first=2, after=second["edges"][1]["cursor"])
    assert [node["id"] for page in (first, second, third) for node in page["nodes"]] == ids[::-1]
    assert third["pageInfo"] | {"startCursor": "", "endCursor": ""} == {
        "hasNextPage": False, "hasPreviousPage": True, "startCursor": "", "endCursor": "",
    }  # fmt: skip
    for other in ("pagings", "paging number"):
        assert await code_of(ada, SEARCH, words=other, first=2, after=first["pageInfo"]["endCursor"]) == "BAD_USER_INPUT"


async def test_a_cursor_of_an_older_shape_is_refused(api: Api, process: Process) -> None:
    """It has a score, an id and the weights, but not yet the lowest score."""
    ada = await api.sign_up()
    viewer = await process.works.sessions.viewer_of(ada.token or "")
    _, message_id = await said(ada, "old cursors")
    cipher = await process.works.keyring.cipher(viewer.tenant_id)
    for query, weights in (("old", [16]), ("old cursors", [16, 16])):
        cursors = Cursors(cipher, "search", viewer.user_id, Question(text=query).fingerprint)
        cursor = cursors.write([99, local_id(message_id, "Message", path=[]), *weights])
        assert await code_of(ada, SEARCH, words=query, after=cursor) == "BAD_USER_INPUT", query


async def test_filters_narrow_what_is_found(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    bob = await member(ada, process, "creator")
    chat_id, message_id = await said(ada, "filtered words")
    other = await created(bob, title="filtered title", visibility="TENANT")
    assert {node["id"] for node in (await found(ada, "filtered"))["nodes"]} == {message_id, other["id"]}
    ids = {name: (await me(one))["viewer"]["user"]["id"] for name, one in (("ada", ada), ("bob", bob))}
    assert [node["id"] for node in (await found(ada, "filtered", authorId=ids["ada"]))["nodes"]] == [message_id]
    assert [node["id"] for node in (await found(ada, "filtered", authorId=ids["bob"]))["nodes"]] == [other["id"]]
    assert [node["id"] for node in (await found(ada, "filtered", chatId=chat_id))["nodes"]] == [message_id]
    past = {"from": "2020-01-01T00:00:00Z", "to": "2020-02-01T00:00:00Z"}
    always = {"from": "2020-01-01T00:00:00Z", "to": "2100-02-01T00:00:00Z"}
    assert (await found(ada, "filtered", span=past))["nodes"] == []
    assert len((await found(ada, "filtered", span=always))["nodes"]) == 2


async def test_only_what_the_viewer_may_read_is_found(api: Api, process: Process) -> None:
    ada, eve = await api.sign_up(), await api.sign_up()
    bob = await member(ada, process, "creator")
    chat_id, message_id = await said(ada, "confidential words", "Confidential")
    assert len((await found(ada, "confidential"))["nodes"]) == 2
    assert (await found(bob, "confidential"))["nodes"] == []
    assert (await found(eve, "confidential"))["nodes"] == []
    assert (await found(bob, "confidential", chatId=chat_id))["nodes"] == []
    await done(ada, "chatUpdate", chatId=chat_id, visibility="TENANT")
    assert {node["id"] for node in (await found(bob, "confidential"))["nodes"]} == {chat_id, message_id}
    assert (await found(eve, "confidential"))["nodes"] == []


async def test_what_cannot_be_searched_for_is_refused(api: Api) -> None:
    ada = await api.sign_up()
    for wrong in ({"words": "x" * 201}, {"words": "x", "first": 0}, {"words": "x", "first": 101}, {"words": "x", "after": "no"}):
        assert await code_of(ada, SEARCH, **wrong) == "BAD_USER_INPUT", wrong
    for name in ("chatId", "authorId"):
        assert await code_of(ada, SEARCH, words="x", **{name: f"run_{uuid4().hex}"}) == "NOT_FOUND"
    assert await code_of(api.as_(None), SEARCH, words="x") == "UNAUTHENTICATED"


async def test_a_participant_finds_what_is_shared_with_them(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    bob = await member(ada, process, "creator")
    chat_id, message_id = await said(ada, "participation matters")
    added = {"userId": (await me(bob))["viewer"]["user"]["id"], "role": "VIEWER"}
    await done(ada, "chatUpdate", chatId=chat_id, visibility="SHARED")
    assert (await found(bob, "participation"))["nodes"] == []
    await done(ada, "chatParticipantSet", chatId=chat_id, **added)
    assert [node["id"] for node in (await found(bob, "participation"))["nodes"]] == [message_id]
    await done(ada, "chatUpdate", chatId=chat_id, visibility="PRIVATE")
    assert (await found(bob, "participation"))["nodes"] == []


async def test_what_is_redacted_is_found_no_more(api: Api) -> None:
    ada = await api.sign_up()
    _, message_id = await said(ada, "regrettable words")
    assert [node["id"] for node in (await found(ada, "regrettable"))["nodes"]] == [message_id]
    await done(ada, "messageRedact", messageId=message_id)
    assert (await found(ada, "regrettable"))["nodes"] == []
