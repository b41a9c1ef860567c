"""A chat of ten thousand messages and hundreds of branches opens as a short one does: one statement, and no more of the database read.

What is counted are the buffers that PostgreSQL touches, as `penny_app`, for the page that a client opens a chat with.
"""

import dataclasses
import json
from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
from uuid_utils.compat import uuid7

from chat import records
from chat.acts import Act, Acts
from chat.branches import Joint, Place, place_after, places_after
from chat.drafts import ChatDraft
from chat.records import Said
from db.scopes import Row, Writing
from db.statements import messages
from resolvers.operations import Works
from settings import Secret, Settings
from stack.addresses import Addresses
from tests.conftest import TEMPLATE
from tests.db.databases import connected, made_database, undone
from tests.db.test_plans import EXECUTIONS, literal
from tests.running import PASSWORD
from web.works import open_works

PAGE: Final = 20
SHORT, TRUNK, FORKS, TWIGS = 20, 6_000, 400, 10  # the long chat has 6,000 messages in a row, and 400 branches of 10
# In a chat where every message was edited, each turn is a branch that left the one before it.
EDITS: Final = 1_000
# A look at a branch by its key, and at messages of it by theirs: index pages, and the rows' own.
A_PIECE: Final = 8

pytestmark = pytest.mark.timeout(300)  # ten thousand messages are written first


class Explained(Writing):
    """A scope that counts the buffers that its statements touch."""

    def __init__(self, connection: Any) -> None:
        super().__init__(connection)
        self.touched: list[int] = []

    async def rows(self, query: Any, *arguments: object) -> list[Row]:
        await self._connection.execute(f"PREPARE explained AS {query}")
        execute = f"EXECUTE explained({', '.join(map(literal, arguments))})"
        for _ in range(EXECUTIONS):  # as often as makes PostgreSQL choose a plan for good
            await self._connection.execute(execute)
        plan = json.loads(await self._connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {execute}"))[0]["Plan"]
        await self._connection.execute("DEALLOCATE explained")
        self.touched.append(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
        return await super().rows(query, *arguments)


class Chats:
    """Chats of many shapes, and the leaves to open them at."""

    def __init__(self, connection: Any, tenant_id: UUID) -> None:
        self._connection = connection
        self._tenant_id = tenant_id
        self.leaves: dict[str, tuple[UUID, UUID]] = {}

    async def buffers(self, name: str, *, newest_first: bool = True, above: int = -1, below: int = 2**31 - 1) -> int:
        """Read a page, with one statement, and return how many buffers it touched."""
        scope, leaf = Explained(self._connection), self.leaves[name]
        async with undone(self._connection, self._tenant_id):
            pages = await messages.pages_of_branches(
                scope, self._tenant_id, [leaf], newest_first=newest_first, above=above, below=below, roles=None, limit=PAGE
            )
        assert len(pages[leaf]) == PAGE
        (touched,) = scope.touched
        return touched


async def row_of(act: Act, chat_id: UUID, place: Place, count: int) -> list[UUID]:
    """Write messages in a row, and return their ids."""
    ids: list[UUID] = []
    said: list[Said] = []
    for number in range(count):
        here = place if number == 0 else Place(place.branch_id, place.depth + number, ids[-1])
        ids.append(uuid7())
        said.append(Said(id=ids[-1], place=here, role="USER" if here.depth % 2 == 0 else "ASSISTANT", status="COMPLETE"))
    for begin in range(0, count, 500):
        await records.write(act.scope, act.cipher, chat_id, *said[begin : begin + 500], by=None)
    return ids


async def behind(act: Act, chat_id: UUID, parent_id: UUID | None, count: int) -> list[UUID]:
    return await row_of(act, chat_id, await place_after(act.scope, act.tenant_id, chat_id, parent_id), count)


async def edited(act: Act, chat_id: UUID) -> list[UUID]:
    """A question that is asked, edited before anybody answered, and answered, over and over; returns the answer of each turn."""
    begun = await place_after(act.scope, act.tenant_id, chat_id, None)
    (parent_id,) = await row_of(act, chat_id, begun, 1)
    joint, answers = Joint(parent_id, begun.branch_id, 0), [parent_id]
    for _ in range(EDITS):
        straight, fork = await places_after(act.scope, act.tenant_id, chat_id, joint, 2, is_new=True)
        answer = Said(id=uuid7(), place=Place(fork.branch_id, fork.depth + 1, edit := uuid7()), role="ASSISTANT", status="COMPLETE")
        asked = [Said(id=one, place=place, role="USER", status="COMPLETE") for one, place in ((uuid7(), straight), (edit, fork))]
        await records.write(act.scope, act.cipher, chat_id, *asked, answer, by=None)
        joint = Joint(answer.id, fork.branch_id, answer.place.depth)
        answers.append(answer.id)
    return answers


@pytest.fixture(scope="module")
async def works(settings: Settings, stack: Addresses, worker_id: str) -> AsyncIterator[tuple[Works, str]]:
    async with made_database(stack, f"long_chats_{worker_id}", TEMPLATE) as name:
        app, system = (Secret(stack.database_url(role, name)) for role in ("penny_app", "penny_system"))
        own = dataclasses.replace(settings, database_url=app, database_system_url=system, valkey_prefix=name)
        async with open_works(own, application="penny long chats") as process:
            yield process.works, name


@pytest.fixture(scope="module")
async def chats(works: tuple[Works, str], settings: Settings, stack: Addresses) -> AsyncIterator[Chats]:
    made, database = works
    opened = await made.accounts.sign_up(
        email=f"{uuid4().hex}@example.com", password=PASSWORD, name="Ada", tenant_name="Long", invitation_token=None,
        transport="BEARER", address="127.0.0.1", user_agent=None,
    )  # fmt: skip
    viewer = opened.viewer
    short, long, nested = [(await made.conversations.begin(viewer, ChatDraft(), key=uuid4().hex)).chat["id"] for _ in range(3)]
    leaves: dict[str, tuple[UUID, UUID]] = {}
    async with Acts(scopes=made.scopes, keyring=made.keyring, settings=settings).begun(viewer) as act:
        leaves["short"] = (short, (await behind(act, short, None, SHORT))[-1])
        trunk = await behind(act, long, None, TRUNK)
        leaves["long"] = (long, trunk[-1])
        for number in range(FORKS):
            twig = await behind(act, long, trunk[(number + 1) * TRUNK // (FORKS + 2)], TWIGS)
            leaves["a branch of the long one"] = (long, twig[-1])
    async with Acts(scopes=made.scopes, keyring=made.keyring, settings=settings).begun(viewer) as act:
        answers = await edited(act, nested)
        leaves["edited a little"], leaves["edited"] = (nested, answers[PAGE]), (nested, answers[-1])
    async with connected(stack, "postgres", database) as admin:
        await admin.execute("VACUUM (ANALYZE)")
    async with connected(stack, "penny_app", database) as connection:
        found = Chats(connection, viewer.tenant_id)
        found.leaves = leaves
        yield found


async def test_a_long_branched_chat_opens_as_a_short_one_does(chats: Chats) -> None:
    short = await chats.buffers("short")
    assert await chats.buffers("long") <= short + A_PIECE
    assert await chats.buffers("a branch of the long one") <= short + 2 * A_PIECE
    assert await chats.buffers("long", below=TRUNK // 2) <= short + A_PIECE
    assert await chats.buffers("long", newest_first=False, above=TRUNK // 2) <= short + A_PIECE


async def test_a_chat_whose_every_message_was_edited_opens_the_same_after_twenty_edits_and_after_a_thousand(chats: Chats) -> None:
    few, many = await chats.buffers("edited a little"), await chats.buffers("edited")
    assert many <= few + 2 * A_PIECE
    # Two messages a piece: a page lies on as many pieces, and not on all thousand.
    assert many <= await chats.buffers("short") + A_PIECE * PAGE


async def test_any_page_of_such_a_chat_is_a_few_jumps_away(chats: Chats) -> None:
    end = await chats.buffers("edited")
    jumps = A_PIECE * 2 * EDITS.bit_length()
    assert await chats.buffers("edited", below=EDITS) <= end + jumps
    assert await chats.buffers("edited", newest_first=False) <= end + jumps
    assert await chats.buffers("edited", newest_first=False, above=EDITS) <= end + jumps
