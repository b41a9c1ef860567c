"""Two web processes with a replica: nobody reads less than was written before, and no request is lost with the replica."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest

from stack.addresses import Addresses
from tests.api.people import done
from tests.db.standbys import Lines, Standby, lines_to, standing_by
from tests.running import Api, running_web

NODE = "query ($id: ID!) { node(id: $id) { ... on Chat { title } } }"


@pytest.fixture(scope="module")
async def standby(stack: Addresses, database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Standby]:
    async with standing_by(stack, tmp_path_factory.mktemp("standby")) as running:
        yield running


@pytest.fixture(scope="module")
async def lines(standby: Standby) -> AsyncIterator[Lines]:
    async with lines_to(standby) as kept:
        yield kept


@pytest.fixture(scope="module")
async def apis(lines: Lines, database: str, environment: dict[str, str]) -> AsyncIterator[list[Api]]:
    """Clients of the two processes."""
    replica = {**environment, "PENNY_DATABASE_REPLICA_URL": lines.addresses.database_url("penny_app", database)}
    async with AsyncExitStack() as closing:
        urls = [(await closing.enter_async_context(running_web(replica)))[0] for _ in range(2)]
        yield [await closing.enter_async_context(Api(url)) for url in urls]


async def begun(api: Api) -> tuple[Api, str]:
    """Sign somebody up and begin a chat."""
    ada = await api.sign_up()
    return ada, (await done(ada, "chatCreate", "chat { id }", idempotencyKey=uuid4().hex, title="old"))["chat"]["id"]


async def title(api: Api, chat_id: str) -> str:
    return str((await api.data(NODE, id=chat_id))["node"]["title"])


async def until_the_replica_is_read(api: Api, chat_id: str, standby: Standby) -> None:
    before = standby.asked("FROM penny.chats")
    while standby.asked("FROM penny.chats") == before:
        assert await title(api, chat_id)
        await asyncio.sleep(0.02)


async def test_what_one_process_wrote_the_other_reads_at_once(apis: list[Api], standby: Standby) -> None:
    here, chat_id = await begun(apis[0])
    there = apis[1].as_(here.token)
    await until_the_replica_is_read(there, chat_id, standby)
    for number in range(30):
        writer, reader = (here, there) if number % 2 else (there, here)
        await standby.replay(paused=number % 3 == 0)
        await done(writer, "chatUpdate", chatId=chat_id, title=f"title {number}")
        assert await title(reader, chat_id) == f"title {number}"
        assert await title(writer, chat_id) == f"title {number}"
    await standby.replay(paused=False)
    await until_the_replica_is_read(there, chat_id, standby)
    assert await title(there, chat_id) == "title 29"


async def test_a_mutation_reads_what_it_wrote(apis: list[Api], standby: Standby) -> None:
    ada, chat_id = await begun(apis[0])
    await standby.replay(paused=True)
    try:
        payload = await done(ada, "chatUpdate", "chat { title }", chatId=chat_id, title="new")
    finally:
        await standby.replay(paused=False)
    assert payload["chat"] == {"title": "new"}


@pytest.mark.parametrize("trouble", ["dies", "hangs"])
async def test_no_request_is_lost_with_the_replica_and_it_is_read_again_when_it_is_back(
    apis: list[Api], standby: Standby, lines: Lines, trouble: str
) -> None:
    ada, chat_id = await begun(apis[0])
    await until_the_replica_is_read(ada, chat_id, standby)
    answers: list[str] = []
    is_over = asyncio.Event()

    async def ask() -> None:
        while not is_over.is_set():
            answers.append(await title(ada, chat_id))

    asking = [asyncio.create_task(ask()) for _ in range(8)]
    await title(ada, chat_id)
    if trouble == "dies":
        standby.kill()
    else:
        lines.fall_silent()
    for _ in range(20):
        await title(ada, chat_id)
    if trouble == "dies":
        standby.start()
    await until_the_replica_is_read(ada, chat_id, standby)
    is_over.set()
    await asyncio.gather(*asking)
    assert set(answers) == {"old"}
