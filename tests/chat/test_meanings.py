"""Search by meaning through the endpoint: vectors follow messages behind their backs, and go with them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from auth.viewers import Viewer
from chat import records
from chat.drafts import ChatDraft, Draft
from chat.meanings import Meanings
from settings import Settings
from tests.api.people import code_of, done, me, soon
from tests.api.test_chats import created
from tests.api.test_search import SEARCH, found, said
from tests.chat.talking import new_chat
from tests.running import Api, running_server
from web.works import Process, open_works

SEMANTIC = SEARCH.replace("$span: TimeRange", "$span: TimeRange, $semantic: Boolean = true").replace(
    "first: $first,", "first: $first, semantic: $semantic,"
)


@pytest.fixture
async def meaning(lonely: dict[str, str]) -> AsyncIterator[Api]:
    """A client of a server that embeds messages."""
    async with running_server({**lonely, "PENNY_SEARCH_EMBEDDINGS": "embedded"}) as server, Api(server.url) as client:
        yield client


async def near(api: Api, query: str, **arguments: Any) -> Any:
    return (await api.data(SEMANTIC, words=query, **arguments))["search"]


async def near_ids(api: Api, query: str, **arguments: Any) -> list[str]:
    return [node["id"] for node in (await near(api, query, **arguments))["nodes"]]


async def embedded(api: Api, query: str, message_id: str) -> None:
    """Wait until a message is found by its meaning."""
    await soon(lambda: _look(api, query, message_id), seconds=30)


async def _look(api: Api, query: str, message_id: str) -> None:
    if message_id not in await near_ids(api, query):
        raise LookupError("it has no vectors yet")


async def test_messages_are_found_by_what_they_mean(meaning: Api) -> None:
    ada, eve = await meaning.sign_up(), await meaning.sign_up()
    _, locks = await said(ada, "the database deadlocked when two transactions locked rows in opposite order")
    _, bread = await said(ada, "how do I bake sourdough bread at home?")
    chat = await created(ada, title="SQL concurrency")
    await embedded(ada, "database locking problem", locks)
    await embedded(ada, "baking", bread)
    assert locks not in [node["id"] for node in (await found(ada, "locking trouble of SQL systems"))["nodes"]]
    assert locks in await near_ids(ada, "locking trouble of SQL systems")
    assert bread not in await near_ids(ada, "database locking problem")
    both = await near(ada, "SQL concurrency database transactions deadlocked", first=1)
    assert both["nodes"][0]["id"] in {locks, chat["id"]}
    rest = await near(ada, "SQL concurrency database transactions deadlocked", after=both["pageInfo"]["endCursor"])
    assert both["nodes"][0]["id"] not in [node["id"] for node in rest["nodes"]]
    assert all(0 < edge["score"] <= 1 for edge in [*both["edges"], *rest["edges"]])
    assert await near_ids(eve, "database locking problem") == []
    assert await near_ids(ada, "database locking problem", types=["CHAT"]) == []
    assert await near_ids(ada, "database locking problem", chatId=await new_chat(ada)) == []
    await done(ada, "messageRedact", messageId=locks)
    assert locks not in await near_ids(ada, "database locking problem")


async def test_where_messages_have_no_vectors_it_is_said(api: Api) -> None:
    ada = await api.sign_up()
    assert await code_of(ada, SEMANTIC, words="anything") == "BAD_USER_INPUT"
    assert (await ada.data(SEMANTIC, words="anything", semantic=False))["search"]["nodes"] == []


@dataclass
class Slow:
    """An embedder during whose work something happens."""

    meanwhile: Callable[[], Awaitable[object]] | None = None
    texts: list[str] = field(default_factory=list)

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.texts += texts
        if self.meanwhile is not None:
            await self.meanwhile()
        return [[1.0, *[0.0] * 255] for _ in texts]


@dataclass
class Speaker:
    """Somebody whose messages wait for vectors, in processes that no worker belongs to."""

    process: Process
    viewer: Viewer

    async def say(self, text: str) -> UUID:
        draft = ChatDraft(first_message=Draft(texts=[text]))
        sent = await self.process.works.conversations.begin(self.viewer, draft, key=uuid4().hex)
        assert sent.message is not None
        message_id: UUID = sent.message["id"]
        return message_id

    def meanings(self, embedder: Slow) -> Meanings:
        works = self.process.works
        return Meanings(
            scopes=works.scopes, system=self.process.system, keyring=works.keyring, embedder=embedder, settings=works.settings
        )  # fmt: skip

    async def count(self, table: str) -> object:
        async with self.process.works.scopes.reading(self.viewer.tenant_id) as scope:
            return await scope.value(f"SELECT count(*) FROM penny.{table} WHERE tenant_id = $1", self.viewer.tenant_id)

    async def change(self, sql: str, message_id: UUID) -> None:
        async with self.process.works.scopes.writing(self.viewer.tenant_id) as scope:
            await scope.run(sql, self.viewer.tenant_id, message_id)


@pytest.fixture
async def speaker(api: Api, settings: Settings) -> AsyncIterator[Speaker]:
    ada = await me(await api.sign_up())
    tenant_id, user_id = (UUID(text[4:]) for text in (ada["tenant"]["id"], ada["viewer"]["user"]["id"]))
    viewer = Viewer(tenant_id=tenant_id, user_id=user_id, role_id=user_id, scopes=frozenset(["chats:read", "chats:write"]))
    async with open_works(replace(settings, search_embeddings="embedded"), application="penny tests") as process:
        yield Speaker(process, viewer)


async def test_each_message_that_is_due_gets_its_vectors_once(speaker: Speaker) -> None:
    await speaker.say("a first message")
    await speaker.say("another one " + "with very many words " * 100)
    assert await speaker.count("vectors_due") == 2
    embedder = Slow()
    first, second = await asyncio.gather(*(speaker.meanings(embedder).make_of(speaker.viewer.tenant_id) for _ in range(2)))
    assert first + second == 2
    assert "a first message" in embedder.texts
    assert await speaker.count("vectors_due") == 0
    assert await speaker.count("message_vectors") == len(embedder.texts) == 4
    assert await speaker.meanings(embedder).make_of(speaker.viewer.tenant_id) == 0


async def test_what_is_redacted_meanwhile_gets_no_vector(speaker: Speaker) -> None:
    message_id = await speaker.say("soon gone")

    async def redact() -> None:
        cipher = await speaker.process.works.keyring.cipher(speaker.viewer.tenant_id)
        async with speaker.process.works.scopes.writing(speaker.viewer.tenant_id) as scope:
            await records.redact(scope, cipher, message_id, by=speaker.viewer.user_id)

    assert await speaker.meanings(Slow(redact)).make_of(speaker.viewer.tenant_id) == 1
    assert await speaker.count("message_vectors") == 0
    embedder = Slow()
    assert await speaker.meanings(embedder).make_of(speaker.viewer.tenant_id) == 1
    assert embedder.texts == []
    assert await speaker.count("vectors_due") == 0


async def test_what_cannot_be_read_waits_no_longer(speaker: Speaker) -> None:
    message_id = await speaker.say("unreadable")
    await speaker.say("readable")
    await speaker.change("UPDATE penny.messages SET content = '' WHERE tenant_id = $1 AND id = $2", message_id)
    embedder = Slow()
    assert await speaker.meanings(embedder).make_of(speaker.viewer.tenant_id) == 2
    assert embedder.texts == ["readable"]
    assert await speaker.count("vectors_due") == 0


async def test_a_lost_worker_s_messages_are_due_again(speaker: Speaker) -> None:
    message_id = await speaker.say("taken and lost")

    async def fail() -> None:
        raise OSError("the machine is gone")

    with pytest.raises(OSError, match="gone"):
        await speaker.meanings(Slow(fail)).make_of(speaker.viewer.tenant_id)
    assert await speaker.meanings(Slow()).make_of(speaker.viewer.tenant_id) == 0
    await speaker.change("UPDATE penny.vectors_due SET due_at = now() WHERE tenant_id = $1 AND message_id = $2", message_id)
    assert await speaker.meanings(Slow()).make_of(speaker.viewer.tenant_id) == 1
    assert await speaker.count("message_vectors") == 1


async def test_nothing_is_due_where_vectors_are_off(api: Api, process: Process) -> None:
    ada = await api.sign_up()
    await said(ada, "no vectors, please")
    tenant_id = UUID((await me(ada))["tenant"]["id"][4:])
    async with process.works.scopes.reading(tenant_id) as scope:
        assert await scope.value("SELECT count(*) FROM penny.vectors_due WHERE tenant_id = $1", tenant_id) == 0
