"""A queued mail is unreadable in the database, sent at least once, tried again later, and given up in the end."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from auth.mail_queue import MailQueue
from auth.mailer import Mail, SmtpMailer
from db.scopes import Row
from tests.auth.people import Watch
from tests.auth.test_mailer import Sink
from web.works import Process


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    sink = Sink()
    async with await asyncio.start_server(sink.serve, "127.0.0.1", 0) as server:
        sink.port = server.sockets[0].getsockname()[1]
        yield sink


class Post:
    """A queue in another century, whose mails no worker of the same database takes, and the server it sends to."""

    def __init__(self, process: Process, sink: Sink, **changes: Any) -> None:
        place: dict[str, Any] = {
            "smtp_host": "127.0.0.1",
            "smtp_port": sink.port,
            "smtp_security": "none",
            "mail_from": "PENNY <penny@example.com>",
        }
        self.settings = dataclasses.replace(process.works.settings, **place, **changes)
        self.system = process.system
        self.sink = sink
        self.watch = Watch()
        self.watch.pass_(days=36500)
        self.queue = MailQueue(process.system, process.works.keyring, SmtpMailer(self.settings), self.settings, now=self.watch)

    async def put(self, to: str = "ada@example.org", text: str = "A secret.\n") -> UUID:
        mail = await self.queue.seal(Mail(to, "Hello", text))
        async with self.system.writing() as scope:
            await self.queue.enqueue(scope, mail)
        return mail.id

    async def row(self, mail_id: UUID) -> Row:
        async with self.system.reading() as scope:
            row = await scope.row("SELECT * FROM directory.mails WHERE id = $1", mail_id)
        assert row is not None
        return row


@pytest.fixture
async def post(process: Process, sink: Sink) -> Post:
    """Nothing else is due: what other tests left is set aside."""
    async with process.system.writing() as scope:
        await scope.run("UPDATE directory.mails SET sent_at = $1 WHERE sent_at IS NULL AND failed_at IS NULL", Watch()())
    return Post(process, sink)


async def test_a_mail_is_stored_unreadable_and_arrives_whole(post: Post) -> None:
    mail_id = await post.put(text="The secret is 42.\n")
    row = await post.row(mail_id)
    for word in (b"secret", b"Hello", b"ada"):
        assert word not in row["content"]
    assert await post.queue.send_due(10) == 1
    (mail,) = post.sink.mails
    assert (mail["To"], mail["Subject"], mail.get_content().strip()) == ("ada@example.org", "Hello", "The secret is 42.")
    assert (await post.row(mail_id))["sent_at"] == post.watch()
    assert await post.queue.send_due(10) == 0
    assert len(post.sink.mails) == 1


async def test_a_mail_goes_with_the_transaction_that_queued_it(post: Post, process: Process) -> None:
    mail = await post.queue.seal(Mail("ada@example.org", "Hello", "Never."))
    with contextlib.suppress(RuntimeError):
        async with post.system.writing() as scope:
            await post.queue.enqueue(scope, mail)
            raise RuntimeError
    assert await post.queue.send_due(10) == 0
    async with process.works.scopes.writing(uuid4()) as scope:
        await post.queue.enqueue(scope, mail)
    assert await post.queue.send_due(10) == 1


async def test_several_workers_send_each_mail_once(post: Post) -> None:
    sent = {await post.put(f"{number}@example.org") for number in range(12)}
    counts = await asyncio.gather(*(post.queue.send_due(12) for _ in range(3)))
    assert sum(counts) == len(sent)
    assert sorted(mail["To"] for mail in post.sink.mails) == sorted(f"{number}@example.org" for number in range(12))


async def test_a_refused_mail_waits_longer_each_time_and_is_given_up_in_the_end(process: Process, post: Post, sink: Sink) -> None:
    patient = Post(process, sink, mail_attempts=3)
    mail_id = await patient.put()
    sink.answers["RCPT"] = "451 try again later"
    for pause in (timedelta(minutes=1), timedelta(minutes=2)):
        assert await patient.queue.send_due(10) == 1
        assert (await patient.row(mail_id))["next_attempt_at"] == patient.watch() + pause
        patient.watch.time += pause - timedelta(microseconds=1)
        assert await patient.queue.send_due(10) == 0
        patient.watch.pass_(microseconds=1)
    assert await patient.queue.send_due(10) == 1
    row = await patient.row(mail_id)
    assert (row["attempts"], row["failed_at"], row["sent_at"]) == (3, patient.watch(), None)
    patient.watch.pass_(days=1)
    assert await patient.queue.send_due(10) == 0


async def test_a_mail_that_is_refused_for_good_is_given_up_at_once_and_holds_up_no_other(post: Post) -> None:
    bad = await post.put("no address")
    good = await post.put()
    assert await post.queue.send_due(10) == 2
    assert (await post.row(bad))["failed_at"] is not None
    assert (await post.row(good))["sent_at"] is not None


async def test_a_mail_whose_worker_died_is_sent_by_another_one(post: Post) -> None:
    mail_id = await post.put()
    post.sink.answers["EHLO"] = None
    dying = asyncio.create_task(post.queue.send_due(1))
    async with asyncio.timeout(10):
        while not post.sink.commands:  # noqa: ASYNC110 - the server of the other tests tells nobody
            await asyncio.sleep(0.01)
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    post.sink.answers.clear()
    assert await post.queue.send_due(10) == 0, "it may still be at work"
    post.watch.pass_(minutes=1)
    assert await post.queue.send_due(10) == 1
    assert (await post.row(mail_id))["attempts"] == 2


async def test_production_keeps_nothing_of_a_mail_that_is_done_with(process: Process, post: Post, sink: Sink) -> None:
    strict = Post(process, sink, environment="production")
    sent, failed = await strict.put(), await strict.put("no address")
    assert await strict.queue.send_due(10) == 2
    assert [(await strict.row(one))["content"] for one in (sent, failed)] == [b"", b""]
    assert not {one.row["id"] for one in await strict.queue.recent(10)} & {sent, failed}


async def test_a_developer_reads_the_newest_mails_first(post: Post) -> None:
    ids = [await post.put(text=f"Number {number}.") for number in range(3)]
    await post.queue.send_due(2)
    recent = await post.queue.recent(2)
    assert [(one.row["id"], one.mail.text) for one in recent] == [(ids[2], "Number 2."), (ids[1], "Number 1.")]


async def test_a_mail_that_was_tampered_with_is_given_up(post: Post) -> None:
    one, other = await post.put("one@example.org"), await post.put("other@example.org")
    async with post.system.writing() as scope:
        await scope.run(
            "UPDATE directory.mails SET content = (SELECT content FROM directory.mails WHERE id = $2) WHERE id = $1", one, other
        )
    await post.queue.send_due(10)
    assert (await post.row(one))["failed_at"] is not None
    assert [mail["To"] for mail in post.sink.mails] == ["other@example.org"]
    assert [mail.row["id"] for mail in await post.queue.recent(2)] == [other]
