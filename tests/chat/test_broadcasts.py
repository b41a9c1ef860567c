"""Readers of one run share what is read, opened and told; each of them has all of it, once and in order."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from uuid import UUID, uuid4

import pytest

from auth.encryption.ciphers import TenantCipher
from chat import broadcasts, sights
from chat.broadcasts import Broadcast
from chat.events import Event, TextDelta
from chat.followers import Follower
from chat.sights import Sight
from chat.views import EVERYTHING, Told, View, merged
from errors import NotFound, Unavailable
from events.entries import Entry
from tests.chat.events_of_a_run import REASONING, TEXT, Taking, new_cipher, sealed, spoken, text_of

PATIENCE = 10.0


@pytest.fixture(autouse=True)
async def nobody_left() -> AsyncIterator[None]:
    """Readers here come and do not leave, which would end the asking for them."""
    yield
    for task in asyncio.all_tasks():
        if task.get_name() == "sights":
            task.cancel()


async def allowed() -> None:
    """Whoever asks may see the run."""


ADA = Sight("ada", allowed)


def follower(
    cipher: TenantCipher,
    sink: Taking | None = None,
    *,
    after: int = 0,
    backlog_bytes: int = 1_000_000,
    sight: Sight[None] = ADA,
    view: View = EVERYTHING,
) -> Follower:
    return Follower(after=after, cipher=cipher, sight=sight, sink=sink, backlog_bytes=backlog_bytes, view=view)


async def waiting(one: Follower) -> "asyncio.Task[list[Told] | None]":
    """The reader's coroutine, waiting for what the sink does not take."""
    task = asyncio.create_task(one.wait(PATIENCE))
    await asyncio.sleep(0)
    return task


def events_of(tolds: list[Told] | None) -> list[Event]:
    assert tolds is not None
    return [told.event for told in tolds]


async def test_an_entry_is_opened_once_for_all_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    real = broadcasts.opened

    def noted(entry: Entry, cipher: TenantCipher, run_id: UUID) -> Told:
        opened.append(entry[0])
        return real(entry, cipher, run_id)

    monkeypatch.setattr(broadcasts, "opened", noted)
    cipher, run_id, events = new_cipher(), uuid4(), spoken(5)
    broadcast, sinks = Broadcast(run_id), [Taking() for _ in range(50)]
    followers = [follower(cipher, sink) for sink in sinks]
    tasks = []
    for one in followers:
        broadcast.join(one)
        tasks.append(await waiting(one))
    for entry in sealed(cipher, run_id, events):
        broadcast.heard([entry])
    assert opened == [f"1-{event.seq}" for event in events]
    assert all(sink.taken == events[:-1] for sink in sinks)
    assert {events_of(await task)[0] for task in tasks} == {events[-1]}, "the end is for the coroutine that ends with it"


async def test_readers_with_one_view_share_its_pieces() -> None:
    cipher, run_id, events = new_cipher(), uuid4(), spoken(9, parts=(TEXT, REASONING))
    broadcast, tasks, sinks = Broadcast(run_id), [], {}
    for view in (EVERYTHING, View(reasoning=False), View(gather_seconds=0.02), View(reasoning=False, gather_seconds=0.02)):
        sinks[view] = [Taking() for _ in range(3)]
        for sink in sinks[view]:
            one = follower(cipher, sink, view=view)
            broadcast.join(one)
            tasks.append(await waiting(one))
    for entry in sealed(cipher, run_id, events[:-1]):
        broadcast.heard([entry])
    everybody = [sink for some in sinks.values() for sink in some]
    async with asyncio.timeout(PATIENCE):
        while min(sink.taken[-1].seq for sink in everybody) < len(events) - 2:  # noqa: ASYNC110 - sinks tell nobody what they take
            await asyncio.sleep(0)
    for view, some in sinks.items():
        assert len({tuple(map(id, sink.taken)) for sink in some}) == 1, "the very same objects"
        shown = [event for event in events[:-1] if view.shows(event)]
        assert text_of(some[0].taken) == text_of(shown)
        if not view.gather_seconds:
            assert some[0].taken == shown
        elif not view.reasoning:
            assert len(some[0].taken) == 3, "two at once and the rest as one"
    for task in tasks:
        task.cancel()


@pytest.mark.parametrize("view", [EVERYTHING, View(gather_seconds=0.001)])
async def test_what_comes_again_is_told_once(view: View) -> None:
    cipher, run_id, events = new_cipher(), uuid4(), spoken(5)
    entries = sealed(cipher, run_id, events)
    broadcast, sink = Broadcast(run_id), Taking()
    busy, taking = follower(cipher, view=view), follower(cipher, sink, view=view)
    broadcast.join(busy)
    broadcast.join(taking)
    task = await waiting(taking)
    broadcast.heard(entries[:4])
    broadcast.heard(entries[2:6])
    broadcast.heard(entries[1:])
    told = events_of(await task)
    assert [event.seq for event in [*sink.taken, *told]] == [1, 2, 3, 4, 5, 6, 7, 8] if view is EVERYTHING else told[-1].seq == 8
    assert text_of([*sink.taken, *told]) == text_of(events)
    assert text_of(events_of(await busy.wait(PATIENCE))) == text_of(events)


async def test_a_reader_who_cannot_be_told_holds_up_no_other_and_reads_for_itself() -> None:
    def refuse(_: Sequence[Told]) -> int:
        raise ValueError("it has had enough")

    cipher, run_id, events = new_cipher(), uuid4(), spoken(5)
    broadcast, sinks = Broadcast(run_id), [Taking(), Taking(refuse), Taking()]
    tasks = []
    for sink in sinks:
        one = follower(cipher, sink)
        broadcast.join(one)
        tasks.append(await waiting(one))
    broadcast.heard(sealed(cipher, run_id, events[:-1]))
    assert [len(sink.taken) for sink in sinks] == [len(events) - 1, 0, len(events) - 1]
    assert await tasks[1] is None, "it must read the log"
    for task in (tasks[0], tasks[2]):
        task.cancel()


async def test_what_was_missed_is_not_taken_for_hidden() -> None:
    """A reader without thoughts must not read on over words that were lost between two thoughts."""
    cipher, run_id, events = new_cipher(), uuid4(), spoken(9, parts=(TEXT, REASONING))
    broadcast, sink = Broadcast(run_id), Taking()
    one = follower(cipher, sink, view=View(reasoning=False))
    broadcast.join(one)
    task = await waiting(one)
    entries = sealed(cipher, run_id, events)
    for place in (0, 1, 2, 3, 5, 6):  # the fifth was a word
        broadcast.heard([entries[place]])
    assert [event.seq for event in sink.taken] == [1, 2, 3]
    assert [event.seq for event in events_of(await task)] == [7]
    assert not Told(events[6], since=6).follows(one.last)


async def test_a_fence_tells_nothing() -> None:
    cipher, run_id, events = new_cipher(), uuid4(), spoken(1)
    broadcast, sink = Broadcast(run_id), Taking()
    one = follower(cipher, sink)
    broadcast.join(one)
    task = await waiting(one)
    broadcast.heard([("2-0", {b"e": b""}), *sealed(cipher, run_id, events[:1], epoch=2)])
    assert sink.taken == events[:1]
    task.cancel()


async def test_what_a_sink_does_not_take_holds_up_what_comes_after_it() -> None:
    cipher, run_id, events = new_cipher(), uuid4(), spoken(6)
    broadcast, sink = Broadcast(run_id), Taking(most=lambda tolds: 0 if tolds[0].event.seq == 4 else 1)
    one = follower(cipher, sink)
    broadcast.join(one)
    task = await waiting(one)
    for entry in sealed(cipher, run_id, events[:6]):
        broadcast.heard([entry])
    assert sink.taken == events[:3]
    assert events_of(await task) == events[3:6], "later events wait behind the one that the coroutine must bring"


async def test_a_batch_is_taken_as_far_as_it_goes() -> None:
    cipher, run_id, events = new_cipher(), uuid4(), spoken(6)
    broadcast, sink = Broadcast(run_id), Taking(most=lambda tolds: min(2, len(tolds)))
    one = follower(cipher, sink)
    broadcast.join(one)
    task = await waiting(one)
    broadcast.heard(sealed(cipher, run_id, events))
    assert (sink.taken, events_of(await task)) == (events[:2], events[2:])
    assert one.last == 2


async def test_nothing_reaches_the_sink_while_the_coroutine_is_busy_or_after_a_gap() -> None:
    cipher, run_id, events = new_cipher(), uuid4(), spoken(6)
    broadcast, sink = Broadcast(run_id), Taking()
    one = follower(cipher, sink)
    broadcast.join(one)
    entries = sealed(cipher, run_id, events)
    broadcast.heard(entries[:1])
    assert events_of(await one.wait(PATIENCE)) == events[:1]
    broadcast.heard(entries[1:2])  # the coroutine has not come back: it may still be telling the first
    assert sink.taken == []
    one.last = 1
    assert events_of(await one.wait(PATIENCE)) == events[1:2]
    one.last = 2
    task = await waiting(one)
    broadcast.heard(entries[4:5])
    assert sink.taken == []
    assert events_of(await task) == events[4:5], "the reader sees the gap and reads the log"


async def test_too_much_waiting_is_let_go_and_read_from_the_log_later() -> None:
    cipher, run_id, events = new_cipher(), uuid4(), spoken(200)
    broadcast, sink = Broadcast(run_id), Taking()
    sink.crowded = True
    one = follower(cipher, sink, backlog_bytes=2000)
    broadcast.join(one)
    for entry in sealed(cipher, run_id, events):
        broadcast.heard([entry])
        assert one._bytes <= 2000
        assert len(one._waiting) <= 2000 // 28, "an entry is longer than its nonce and tag"
    assert await one.wait(PATIENCE) is None
    assert one.slow


async def test_a_reader_that_is_cancelled_as_news_comes_ends() -> None:
    cipher, run_id, events = new_cipher(), uuid4(), spoken(1)
    broadcast, one = Broadcast(run_id), follower(cipher)
    broadcast.join(one)

    async def read() -> None:
        while True:
            await one.wait(60)

    task = asyncio.create_task(read())
    await asyncio.sleep(0)
    broadcast.heard(sealed(cipher, run_id, events[:1]))
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=2)
    assert done
    assert task.cancelled()


async def test_an_entry_that_cannot_be_opened_is_left_to_the_readers() -> None:
    run_id = uuid4()
    broadcast, one = Broadcast(run_id), follower(new_cipher())
    broadcast.join(one)
    broadcast.heard(sealed(new_cipher(), run_id, spoken(1)[:1]))  # of a key that this reader does not have
    assert await one.wait(PATIENCE) is None


async def test_silence_counts_from_the_last_event_that_the_sink_took() -> None:
    cipher, run_id, events = new_cipher(), uuid4(), spoken(3)
    broadcast, sink = Broadcast(run_id), Taking()
    one = follower(cipher, sink)
    broadcast.join(one)
    loop = asyncio.get_running_loop()
    began = loop.time()
    task = asyncio.create_task(one.wait(0.3))
    loop.call_later(0.2, broadcast.heard, sealed(cipher, run_id, events[:1]))
    assert await task == []
    assert sink.taken == events[:1]
    assert loop.time() - began >= 0.49


class Asking:
    """The question of a viewer: how often it was asked, and what it fails with."""

    def __init__(self, viewer: str, error: Exception | None = None) -> None:
        self.sight = Sight(viewer, self)
        self.asked = 0
        self._error = error
        self._news = asyncio.Event()

    async def __call__(self) -> None:
        self.asked += 1
        self._news.set()
        if self._error is not None:
            raise self._error

    async def until(self, count: int) -> None:
        while self.asked < count:
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), PATIENCE)


async def test_a_viewer_is_asked_for_once_however_many_sockets_they_have_and_only_who_is_refused_is_woken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sights, "RECHECK_SECONDS", 0.01)
    ada, bob, eve = Asking("ada"), Asking("bob", Unavailable("The database rests.")), Asking("eve", NotFound("It is out of sight."))
    cipher, run_id = new_cipher(), uuid4()
    broadcast, sinks = Broadcast(run_id), [Taking() for _ in range(30)]
    followers = [follower(cipher, sink, sight=(ada, bob, eve)[place % 3].sight) for place, sink in enumerate(sinks)]
    tasks = []
    for one in followers:
        broadcast.join(one)
        tasks.append(await waiting(one))
    await ada.until(3)
    assert bob.asked in {2, 3}
    assert eve.asked in {2, 3}, "once a round, not once a socket"
    assert [task.done() for task in tasks] == [place % 3 == 2 for place in range(30)]
    broadcast.heard(sealed(cipher, run_id, spoken(1)[:1]))
    assert [len(sink.taken) for sink in sinks] == [0 if place % 3 == 2 else 1 for place in range(30)]
    for one, task in zip(followers, tasks, strict=True):
        broadcast.leave(one)
        task.cancel()
    await asyncio.sleep(0)
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "sights"], "who leaves last ends the asking"


def test_only_neighbouring_deltas_of_a_part_are_merged() -> None:
    events = spoken(8, parts=(TEXT,))[2:-1] + spoken(12, parts=(TEXT, REASONING))[10:]
    tolds = [Told(event, f"1-{event.seq}", 10) for event in events]
    told = merged(tolds)
    assert told[0].event == TextDelta(seq=10, at=9.0, part_id=TEXT, offset=0, text="".join(f"wörd{n} " for n in range(8)))
    assert (told[0].entry_id, told[0].size) == ("1-10", 80)
    assert [one.event for one in told[1:]] == events[8:], "words that take turns, and what is no word, stay as they are"


def test_deltas_with_something_missing_between_them_are_not_merged() -> None:
    events = spoken(4)[2:-1]
    tolds = [Told(event) for event in (events[0], events[1], events[3])]
    assert [one.event.seq for one in merged(tolds)] == [4, 6]
    assert text_of([one.event for one in merged(tolds)][:1]) == "wörd0 wörd1 "
