"""A fork is made in many short transactions: others hear what happens meanwhile, nobody sees half of one, and none stays."""

import asyncio
import contextvars
import dataclasses
from typing import Any
from uuid import UUID, uuid4

import pytest

from auth.policies.chats import can_read_chat
from chat import forks, records
from chat.forks import Forks, ForkTakesTooLong
from chat.unfinished import KIND, Unfinished
from db.scopes import Row, TenantScopes
from db.statements import chats, facts, messages
from events.facts import RoleCreated, record
from events.feeds import NIL
from events.labour import Labour
from tests.chat.readings import read
from tests.chat.test_forgetting import acted
from tests.chat.worlds import World
from tests.events.tenants import new_tenant
from web.works import Process

PATIENCE = 60.0


async def answered(process: Process, monkeypatch: pytest.MonkeyPatch) -> tuple[World, Row]:
    """A world with a question and its answer, which is returned, and forks that copy one message at a time."""
    world = await World.begun(process)
    await acted(world, "claim", "finish")
    monkeypatch.setattr(forks, "_AT_ONCE", 1)
    return world, list(world.tree.messages.values())[-1]


async def is_told(scopes: TenantScopes, tenant_id: UUID) -> None:
    """Do something, and wait until it could be told."""
    async with scopes.writing(tenant_id) as scope:
        await record(scope, tenant_id, RoleCreated(role_id=uuid4()))
    async with asyncio.timeout(PATIENCE):
        while True:
            async with scopes.reading(tenant_id) as reading:
                if all(row["settled"] for row in await facts.after(reading, tenant_id, (0, 0, NIL), 10)):
                    return
            await asyncio.sleep(0.01)


async def test_what_others_do_is_told_while_a_chat_is_copied(unattended: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    world, answer = await answered(unattended, monkeypatch)
    stranger, told = await new_tenant(unattended), 0
    pages = messages.pages_of_branches

    async def later(*arguments: Any, **named: Any) -> Any:
        nonlocal told
        await asyncio.create_task(is_told(world.works.scopes, stranger), context=contextvars.Context())
        told += 1
        return await pages(*arguments, **named)

    monkeypatch.setattr(messages, "pages_of_branches", later)
    await world.works.forks.fork(world.editors[0], answer["id"], None, key=uuid4().hex)
    assert told == 2


def broken_off(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let every fork end with its second message."""
    copy, calls = records.copy, 0

    async def copied(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise error
        await copy(*arguments)

    monkeypatch.setattr(records, "copy", copied)


async def test_what_a_lost_process_copied_is_nobody_s_and_is_taken_away(unattended: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    world, answer = await answered(unattended, monkeypatch)
    ada, works, before, key = world.editors[0], world.works, world.tree, uuid4().hex
    with monkeypatch.context() as patch:
        broken_off(patch, asyncio.CancelledError())
        with pytest.raises(asyncio.CancelledError):
            await works.forks.fork(ada, answer["id"], None, key=key)
    async with works.scopes.writing(world.tenant_id) as scope:
        (left,) = await scope.rows("SELECT * FROM penny.chats WHERE tenant_id = $1 AND forked_from_id = $2", world.tenant_id, answer["id"])
        assert [can_read_chat(one, left) for one in world.editors] == [False, False]
        assert len(await messages.page_of_chat(scope, world.tenant_id, left["id"], beyond=None, limit=10)) == 1
        job = await scope.row("UPDATE penny.jobs SET due_at = now() WHERE tenant_id = $1 AND kind = $2 RETURNING *", world.tenant_id, KIND)
    assert job is not None
    assert job["created_by"] is None, "no person's, who could cancel it"
    functions = {KIND: Unfinished(works.scopes).find}
    await Labour(name="w", scopes=works.scopes, system=unattended.system, functions=functions, settings=works.settings)._attempt(
        world.tenant_id, job["id"]
    )
    await world.look()
    assert (world.tree.chats, world.tree.messages, world.tree.branches) == (before.chats, before.messages, before.branches)
    sent = await works.forks.fork(ada, answer["id"], None, key=key)
    assert not sent.reused
    await Unfinished(works.scopes).take_away(world.tenant_id, sent.chat["id"])  # as when the job comes after all
    await world.look()
    assert len(world.tree.messages) == 2 * len(before.messages)
    assert [row["status"] for row in world.tree.jobs.values() if row["kind"] == KIND] == ["SUCCEEDED", "CANCELLED"]
    await read(world)


async def test_a_fork_that_fails_leaves_nothing(unattended: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    world, answer = await answered(unattended, monkeypatch)
    ada, before = world.editors[0], world.tree
    broken_off(monkeypatch, LookupError())
    with pytest.raises(LookupError):
        await world.works.forks.fork(ada, answer["id"], None, key=uuid4().hex)
    await world.look()
    assert (world.tree.chats, world.tree.messages, world.tree.branches) == (before.chats, before.messages, before.branches)


async def test_a_fork_that_takes_too_long_is_given_up(unattended: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    world, answer = await answered(unattended, monkeypatch)
    works, before = world.works, world.tree
    hasty = dataclasses.replace(works.settings, chat_fork_seconds=0.0)
    slow = Forks(acts=works.forks._acts, jobs=works.jobs, unfinished=Unfinished(works.scopes), settings=hasty)
    with pytest.raises(ForkTakesTooLong):
        await slow.fork(world.editors[0], answer["id"], None, key=uuid4().hex)
    await world.look()
    assert (world.tree.chats, world.tree.messages) == (before.chats, before.messages)


async def test_what_was_taken_away_meanwhile_is_no_fork(unattended: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a process slept so long that the job came before it went on."""
    world, answer = await answered(unattended, monkeypatch)
    before, kept = world.tree, chats.kept

    async def slept(scope: Any, tenant_id: UUID, chat_id: UUID) -> Row | None:
        await scope.run("DELETE FROM penny.messages WHERE tenant_id = $1 AND depth = 0 AND copied_from_id IS NOT NULL", tenant_id)
        return await kept(scope, tenant_id, chat_id)

    monkeypatch.setattr(chats, "kept", slept)
    with pytest.raises(ForkTakesTooLong):
        await world.works.forks.fork(world.editors[0], answer["id"], None, key=uuid4().hex)
    await world.look()
    assert (world.tree.chats, world.tree.messages) == (before.chats, before.messages)


@pytest.mark.parametrize(("most", "sizes"), [(10, [[4, 4], [8], [20], [1]]), (100, [[4, 4, 8, 20, 1]])])
def test_few_bytes_are_copied_at_once_or_one_message(monkeypatch: pytest.MonkeyPatch, most: int, sizes: list[list[int]]) -> None:
    monkeypatch.setattr(forks, "_MOST_BYTES", most)
    rows = [{"content": bytes(size)} for size in (4, 4, 8, 20, 1)]
    assert [[len(row["content"]) for row in portion] for portion in forks._portions(rows)] == sizes
