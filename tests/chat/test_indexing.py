"""What was said before there was an index, or under a key that is no longer the newest, is indexed by a command that may run again."""

from uuid import UUID

from auth.viewers import Viewer
from chat.indexing import BATCH, Indexing
from db.scopes import TenantScopes
from knowledge.search import Question
from tests.api.people import me
from tests.api.test_search import found, said
from tests.cli.test_main import penny
from tests.running import Api
from web.works import Process


async def emptied(api: Api, scopes: TenantScopes) -> UUID:
    """Take the index of somebody's tenant away, and name the tenant."""
    tenant_id = UUID((await me(api))["tenant"]["id"].removeprefix("ten_"))
    async with scopes.writing(tenant_id) as scope:
        await scope.run("DELETE FROM penny.message_terms WHERE tenant_id = $1", tenant_id)
        await scope.run("DELETE FROM penny.chat_terms WHERE tenant_id = $1", tenant_id)
    return tenant_id


async def ids(api: Api, query: str) -> set[str]:
    return {node["id"] for node in (await found(api, query))["nodes"]}


async def test_the_command_indexes_what_the_index_lacks(api: Api, scopes: TenantScopes, environment: dict[str, str]) -> None:
    ada = await api.sign_up()
    chat_id, message_id = await said(ada, "rediscovered words", "Rediscovered")
    await emptied(ada, scopes)
    assert await ids(ada, "rediscovered") == set()
    told = penny("search", "reindex", environment=environment)
    assert told.returncode == 0, told.stderr
    assert await ids(ada, "rediscovered") == {chat_id, message_id}
    assert penny("search", "reindex", environment=environment).stdout == "Indexed 0 messages and titles.\n"
    assert penny("search", "reindex", "--again", environment=environment).stdout != "Indexed 0 messages and titles.\n"
    assert await ids(ada, "rediscovered") == {chat_id, message_id}


async def test_it_goes_on_where_it_was_stopped(api: Api, process: Process, scopes: TenantScopes) -> None:
    ada = await api.sign_up()
    for number in range(3):
        await said(ada, f"number {number}", f"Title {number}")
    tenant_id = await emptied(ada, scopes)
    indexing = Indexing(scopes=scopes, system=process.system, keyring=process.works.keyring)
    assert await indexing.count(tenant_id) == 9  # three titles, questions and answers each
    steps = indexing.index(tenant_id)
    assert await anext(steps) == 6 < BATCH
    await steps.aclose()  # type: ignore[attr-defined] # an async generator
    assert await indexing.count(tenant_id) == 3
    assert [step async for step in indexing.index(tenant_id)] == [0, 3]
    assert await indexing.count(tenant_id) == 0


async def test_words_are_found_under_old_keys_and_brought_to_the_new_one(api: Api, process: Process, scopes: TenantScopes) -> None:
    ada = await api.sign_up()
    _, message_id = await said(ada, "rotated words")
    tenant_id = UUID((await me(ada))["tenant"]["id"].removeprefix("ten_"))
    user_id = UUID((await me(ada))["viewer"]["user"]["id"].removeprefix("usr_"))
    viewer = Viewer(tenant_id=tenant_id, user_id=user_id, role_id=user_id, scopes=frozenset(["chats:read"]))
    keyring = process.works.keyring
    await keyring.rotate(tenant_id)
    indexing = Indexing(scopes=scopes, system=process.system, keyring=keyring)

    async def look() -> list[str]:
        hits = await process.works.search.find(
            scopes, viewer, await keyring.cipher(tenant_id), Question(text="rotated words"), place=None, limit=9
        )  # fmt: skip
        return [f"msg_{hit.id.hex}" for hit in hits.hits]

    assert await indexing.count(tenant_id) == 2
    assert await look() == [message_id]
    assert [step async for step in indexing.index(tenant_id)] == [2, 0]
    assert await look() == [message_id]
    assert await indexing.count(tenant_id) == 0
