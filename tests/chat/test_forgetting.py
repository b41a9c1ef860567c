"""What two editors found: what is redacted is gone from what was made of it, however it got there; what stays is found; and more."""

import asyncio
import contextvars
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from chat import forks, records
from chat.drafts import ChatChange
from chat.expiries import KIND as EXPIRIES
from chat.expiries import Expiries
from chat.shares import ShareDraft
from db.scopes import Row
from db.statements import chats
from errors import Invalid
from events.facts import record
from events.jobs import JobRun
from tests.chat.editors import do
from tests.chat.readings import read
from tests.chat.worlds import World
from web.works import Process


async def titled(process: Process) -> tuple[World, Row]:
    """A world whose chat was answered, and called by a model what its first question says; and the question."""
    world = await World.begun(process)
    for act in ("claim", "finish", "labour"):
        await acted(world, act)
    question = next(row for row in world.tree.messages.values() if row["parent_id"] is None)
    assert world.title(world.chat(0)) == world.tree.text(question["id"])
    return world, question


async def acted(world: World, *names: str, number: int = 0) -> None:
    for name in names:
        refusal = await do(world, name, 0, number, uuid4().hex)
        assert not isinstance(refusal, Exception), refusal
        await world.look()


async def test_a_title_goes_with_its_question_where_a_fork_took_it_along_without_that(unattended: Process) -> None:
    world, question = await titled(unattended)
    works, ada = world.works, world.editors[0]
    sent = await works.trees.edit(ada, question["id"], ["another"], rerun=False, expected_revision=None, key=uuid4().hex)
    assert sent.message is not None
    fork = await works.forks.fork(ada, sent.message["id"], None, key=uuid4().hex)
    assert world.title(fork.chat) == world.tree.text(question["id"])
    await works.redactions.redact(ada, question["id"])
    await world.look()
    assert [world.title(chat) for chat in world.tree.chats.values()] == [None, None]
    await read(world)


async def test_a_title_goes_from_a_fork_of_a_fork_that_is_made_meanwhile(unattended: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first fork is called what the question says and does not hold it; the redaction waits for it while it is forked again."""
    world, question = await titled(unattended)
    works, ada = world.works, world.editors[0]
    sent = await works.trees.edit(ada, question["id"], ["another"], rerun=False, expected_revision=None, key=uuid4().hex)
    assert sent.message is not None
    first = await works.forks.fork(ada, sent.message["id"], None, key=uuid4().hex)
    made, go = asyncio.Event(), asyncio.Event()

    async def recorded(*arguments: Any, **named: Any) -> None:
        made.set()
        await go.wait()
        await record(*arguments, **named)

    monkeypatch.setattr(forks, "record", recorded)
    forking = asyncio.create_task(works.forks.fork(ada, first.chat["head_message_id"], None, key=uuid4().hex))
    await made.wait()
    redacting = asyncio.create_task(works.redactions.redact(ada, question["id"]))
    await waiting(world, 1)
    go.set()
    await asyncio.gather(forking, redacting)
    await world.look()
    assert [world.title(chat) for chat in world.tree.chats.values()] == [None, None, None]
    await read(world)


async def waiting(world: World, count: int) -> None:
    """Wait until so many transactions wait for others of this database."""
    statement = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(60):
        while True:
            async with world.works.scopes.reading(world.tenant_id) as scope:
                if await scope.value(statement) == count:
                    return
            await asyncio.sleep(0.01)


async def told(world: World, kind: str) -> int:
    """How often something was told."""
    async with world.works.scopes.reading(world.tenant_id) as scope:
        statement = "SELECT count(*) FROM penny.facts WHERE tenant_id = $1 AND type = $2"
        return int(str(await scope.value(statement, world.tenant_id, kind)))


async def test_a_link_that_two_revoke_at_once_is_told_to_be_revoked_once(unattended: Process) -> None:
    world = await World.begun(unattended)
    works, (ada, bob) = world.works, world.editors
    chat_id = world.chat(0)["id"]
    await world.share(chat_id, "OWNER")
    share = await works.shares.create(ada, chat_id, ShareDraft(audience="TENANT", live=True), key=uuid4().hex)
    async with works.scopes.writing(world.tenant_id) as scope:
        await chats.locked(scope, world.tenant_id, chat_id)
        revoking = [
            asyncio.create_task(works.shares.revoke(one, share["id"]), context=contextvars.Context()) for one in (ada, bob)
        ]  # fmt: skip
        await asyncio.create_task(waiting(world, 2), context=contextvars.Context())
    first, second = await asyncio.gather(*revoking)
    assert first["revoked_at"] == second["revoked_at"]
    assert await told(world, "CHAT_SHARE_REVOKED") == 1


async def test_that_a_link_expired_is_told_once_whatever_becomes_of_the_job(unattended: Process) -> None:
    world = await World.begun(unattended)
    works, ada = world.works, world.editors[0]
    ends_at = datetime.now(UTC) + timedelta(hours=1)
    await works.shares.create(ada, world.chat(0)["id"], ShareDraft(audience="TENANT", live=True, expires_at=ends_at), key=uuid4().hex)
    await world.look()
    (row,) = [job for job in world.tree.jobs.values() if job["kind"] == EXPIRIES]
    assert (row["created_by"], row["due_at"]) == (None, ends_at), "no person's, who could cancel it"
    for _ in range(2):  # as after a kill between what it does and its end
        await Expiries(works.scopes).tell(JobRun(row, works.scopes, timedelta(minutes=1)))
    assert await told(world, "CHAT_SHARE_EXPIRED") == 1


async def test_a_title_goes_with_a_copy_of_its_question_from_that_chat_alone(unattended: Process) -> None:
    world, question = await titled(unattended)
    works, ada = world.works, world.editors[0]
    fork = await works.forks.fork(ada, question["id"], None, key=uuid4().hex)
    await works.redactions.redact(ada, fork.chat["head_message_id"])
    await world.look()
    assert world.title(world.tree.chats[fork.chat["id"]]) is None
    assert world.title(world.tree.chats[question["chat_id"]]) == world.tree.text(question["id"])


async def test_a_link_forgets_the_title_of_its_time_though_the_chat_was_renamed(unattended: Process) -> None:
    world, question = await titled(unattended)
    works, ada = world.works, world.editors[0]
    await works.shares.create(ada, question["chat_id"], ShareDraft(audience="ANYONE"), key=uuid4().hex)
    await works.conversations.change(ada, question["chat_id"], ChatChange(title="Swallows"))
    await works.redactions.redact(ada, question["id"])
    await world.look()
    assert [world.title(chat) for chat in world.tree.chats.values()] == ["Swallows"]
    assert [share["title"] for share in world.tree.shares.values()] == [None]
    await read(world)


async def test_a_title_that_is_being_made_of_what_is_redacted_is_not_kept(unattended: Process) -> None:
    world = await World.begun(unattended)
    await acted(world, "claim", "finish", "redact", "labour")
    assert world.title(world.chat(0)) is None
    await acted(world, "send", "claim", "finish", "labour", number=1)
    assert world.title(world.chat(0)), "the next question gives it one"


async def test_an_answer_that_was_cancelled_before_it_went_on_is_found_by_what_it_began_with(unattended: Process) -> None:
    world = await World.begun(unattended)
    await acted(world, "claim")
    await acted(world, "finish", number=1)
    await acted(world, "resume", "cancel")
    assert [run["status"] for run in world.tree.runs.values()] == ["INCOMPLETE", "CANCELLED"]
    await read(world)


async def test_what_is_redacted_while_it_is_copied_is_redacted_in_the_copy(unattended: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    world = await World.begun(unattended)
    await acted(world, "claim", "finish")
    ada, (question, answer) = world.editors[0], list(world.tree.messages.values())
    monkeypatch.setattr(forks, "_AT_ONCE", 1)
    copy = records.copy

    async def copied(*arguments: Any) -> None:
        """Copy one message; somebody redacts the first one between its being read and its being copied, and is not waited for."""
        redaction = world.works.redactions.redact(ada, question["id"])
        await asyncio.create_task(redaction, context=contextvars.Context())
        await copy(*arguments)

    monkeypatch.setattr(records, "copy", copied)
    await world.works.forks.fork(ada, answer["id"], None, key=uuid4().hex)
    await world.look()
    said = [row["status"] for row in world.tree.messages.values() if row["copied_from_id"] is not None]
    assert said == ["REDACTED", "COMPLETE"]
    await read(world)


async def test_a_summary_behind_a_question_is_no_answer_to_it(unattended: Process) -> None:
    world = await World.begun(unattended)
    await acted(world, "claim", "finish", "send", "claim", "finish", "send", "claim", "finish", number=1)
    await acted(world, "send", number=1)
    await acted(world, "cancel")
    works, ada, chat = world.works, world.editors[0], world.chat(0)
    question = next(row for row in world.tree.messages.values() if row["role"] == "USER" and row["depth"] == 4)
    await works.trees.go_to(ada, chat["id"], question["id"], None)
    summary = (await works.compactions.compact(ada, chat["id"])).summary
    await world.look()
    before = world.tree
    assert world.tree.messages[summary["id"]]["parent_id"] == question["id"]
    with pytest.raises(Invalid, match="Only a question can be answered again"):
        await works.trees.regenerate(ada, summary["id"], [], key=uuid4().hex)
    await world.look()
    assert (world.tree.messages, world.tree.runs) == (before.messages, before.runs)
