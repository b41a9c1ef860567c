"""A reader hears a run whole, once and in order, however old and new events, waiting and gaps fall together."""

import asyncio
import contextlib
import dataclasses
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest
from valkey.asyncio import Valkey

from chat import logs as chat_logs
from chat import readers, sights
from chat.events import Event, Heartbeat, PartStarted, ReasoningDelta, RunFinished, RunQueued, RunSnapshot, RunStarted, TextDelta
from chat.views import EVERYTHING, View
from errors import NotFound
from settings import Settings
from tests.chat.events_of_a_run import REASONING, TEXT, Taking, said, spoken, text_of
from tests.chat.written_runs import Begin, WrittenRun, beginning

WORDS = 60


class Reading(Taking):
    """A subscriber: what its sink took and what its coroutine brought, as one story."""

    def __init__(self, run: WrittenRun, *, after: int = 0, most: Callable[[Any], int] = len, view: View = EVERYTHING) -> None:
        super().__init__(most)
        self.view = view
        self._reader = run.reader(after=after, view=view)
        self.brought = 0
        self.pause: Callable[[], Awaitable[None]] = self._no_pause

    async def _no_pause(self) -> None:
        return

    async def read(self, *, until: int | None = None) -> list[Event]:
        async with contextlib.aclosing(self._reader.told(self)) as stream:
            async for told in stream:
                await self.pause()
                self.taken.append(told.event)
                self.brought += 1
                if until is not None and len(self.taken) >= until:
                    break
        return self.taken


@pytest.fixture
async def begin(settings: Settings) -> AsyncIterator[Begin]:
    async with beginning(settings) as begin:
        yield begin


@pytest.mark.parametrize("seed", range(25))
async def test_any_interleaving_tells_all_of_it_once_and_in_order(begin: Begin, seed: int) -> None:
    chance = random.Random(seed)
    events = spoken(WORDS)
    run = begin(events)
    readings: list[tuple[int, Reading, asyncio.Task[list[Event]]]] = []

    def subscribe() -> None:
        after = chance.choice([0, 0, chance.randrange(len(events))]) if run.is_whole else chance.choice([0, 0, 1, 2])
        reading = Reading(run, after=after, most=lambda tolds: chance.randint(0, len(tolds)))
        if chance.random() < 0.5:

            async def pause() -> None:
                for _ in range(chance.randint(0, 20)):
                    await asyncio.sleep(0)

            reading.pause = pause
        readings.append((after, reading, asyncio.create_task(reading.read())))

    await run.write(2)
    while not run.is_whole:
        if len(readings) < 8 and chance.random() < 0.5:
            subscribe()
        await run.write(chance.choice([1, 1, 1, 2, 5]))
        if chance.random() < 0.1:
            run.logs._tails._lag([run.key])
        for _ in range(chance.choice([0, 1, 30])):
            await asyncio.sleep(0)
    subscribe()
    for after, _, task in readings:
        assert await asyncio.wait_for(task, 20) == events[after:]


async def test_a_reader_that_keeps_up_is_told_without_its_task_being_woken(begin: Begin) -> None:
    events = spoken(WORDS)
    run = begin(events)
    await run.write(2)
    reading = Reading(run)
    task = asyncio.create_task(reading.read())
    await run.until(lambda: any(follower._level for follower in _followers(run)))
    brought = reading.brought
    for _ in range(WORDS):
        await run.write(1)
    await run.write(1)
    assert await asyncio.wait_for(task, 10) == events
    # A lag tells a new reader of a new stream to look back once; all else but the end goes straight to the sink.
    assert reading.brought - brought < WORDS // 2


async def test_a_slow_reader_is_told_in_fewer_pieces_and_comes_back_exactly(begin: Begin) -> None:
    events = spoken(WORDS, parts=(TEXT,))
    run = begin(events)
    await run.write(2)
    reading, room = Reading(run), asyncio.Event()
    reading.crowded = True

    async def pause() -> None:
        await room.wait()

    reading.pause = pause
    task = asyncio.create_task(reading.read())
    await _followed(run)
    for _ in range(WORDS + 1):
        await run.write(1)
    await _heard_all(run)
    reading.crowded = False
    room.set()
    heard = await asyncio.wait_for(task, 10)
    assert text_of(heard) == text_of(events)
    assert len(heard) < len(events) // 2
    assert heard[-1] == events[-1]
    merged = next(event for event in heard if event.seq > 3 and event not in events)
    rest = await asyncio.wait_for(Reading(run, after=merged.seq).read(), 10)
    assert rest == events[merged.seq :], "the last seq that it saw is the place to go on from"


async def test_a_reader_that_let_go_of_too_much_reads_it_from_the_log(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_logs, "PAGE", 16)
    events = spoken(WORDS, parts=(TEXT, REASONING))  # words that take turns are not merged
    run = begin(events)
    monkeypatch.setattr(run.logs, "_settings", dataclasses.replace(run.logs._settings, socket_backlog_bytes=1000))
    await run.write(2)
    reading, room = Reading(run), asyncio.Event()
    reading.crowded = True

    async def pause() -> None:
        await room.wait()

    reading.pause = pause
    task = asyncio.create_task(reading.read())
    await _followed(run)
    for _ in range(WORDS + 1):
        await run.write(1)
        assert all(one._bytes <= 1000 for one in _followers(run))
    await _heard_all(run)
    room.set()
    assert await asyncio.wait_for(task, 10) == events


async def test_a_long_log_is_read_page_by_page(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_logs, "PAGE", 7)
    events = spoken(WORDS)
    run = begin(events)
    await run.write(len(events))
    assert [told.event for told in await run.logs.written(run.cipher, run.run_id)] == events
    assert await Reading(run).read() == events
    assert await Reading(run, after=20).read() == events[20:]
    page, more = await run.logs.page(run.cipher, run.run_id, after=30)
    assert ([told.event for told in page], more) == (events[30:35], True)


async def test_a_chat_that_goes_out_of_sight_ends_a_reader_at_the_next_silence(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "QUIET_SECONDS", 0.1)
    run = begin(spoken(WORDS))
    await run.write(2)
    task = asyncio.create_task(Reading(run).read())
    await _followed(run)
    await run.write(1)
    run.visible = False
    with pytest.raises(NotFound):
        await asyncio.wait_for(task, 10)


async def test_a_chat_that_goes_out_of_sight_ends_a_reader_in_the_middle_of_its_words(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sights, "RECHECK_SECONDS", 0.05)
    run = begin(spoken(5000))
    await run.write(2)
    reading = Reading(run)
    task = asyncio.create_task(reading.read())
    await _followed(run)
    run.visible = False
    while not task.done() and not run.is_whole:
        await run.write(1)
    with pytest.raises(NotFound):
        await asyncio.wait_for(task, 10)
    assert not run.is_whole, "it was not told all of it before"


async def test_a_chat_that_goes_out_of_sight_ends_a_reader_who_is_told_old_words(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sights, "RECHECK_SECONDS", 0.01)
    run = begin(spoken(WORDS))
    await run.write(WORDS)
    reading = Reading(run)

    async def pause() -> None:
        run.visible = False
        await run.until(lambda: any(follower.doubted for follower in _followers(run)))

    reading.pause = pause
    with pytest.raises(NotFound):
        await asyncio.wait_for(reading.read(), 10)
    assert reading.brought == 1


async def test_a_silence_does_not_have_the_log_read_from_where_the_sink_began(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "QUIET_SECONDS", 0.05)
    run = begin(spoken(WORDS))
    await run.write(2)
    reading = Reading(run)
    task = asyncio.create_task(reading.read())
    await run.until(lambda: any(follower._level for follower in _followers(run)))
    for _ in range(WORDS):
        await run.write(1)
    await run.until(lambda: len(reading.taken) == WORDS + 2)
    looked: list[str] = []
    page = run.logs.page

    async def noted(*arguments: Any, since: str, **options: Any) -> Any:
        looked.append(since)
        return await page(*arguments, since=since, **options)

    monkeypatch.setattr(run.logs, "page", noted)
    await run.until(lambda: len(looked) > 1)
    assert set(looked) == {f"1-{WORDS + 2}"}
    task.cancel()
    await asyncio.wait({task})


async def test_a_log_that_is_lost_in_the_middle_is_told_by_one_snapshot_and_then_live(begin: Begin, valkey: Valkey) -> None:
    events = spoken(WORDS, parts=(TEXT, REASONING))
    run = begin(events)
    await run.write(30)
    await valkey.unlink(run.key)
    await run.write(5)
    heard = Reading(run, after=20)
    task = asyncio.create_task(heard.read())
    await run.until(lambda: bool(heard.taken))
    await run.write(len(events))
    await asyncio.wait_for(task, 10)
    snapshot, *rest = heard.taken
    assert isinstance(snapshot, RunSnapshot)
    assert (snapshot.seq, snapshot.reason) == (35, "RESUME_BEFORE_WINDOW")
    assert rest == events[35:]
    assert said(heard.taken) == said(events)


async def test_a_log_that_is_lost_while_it_is_followed_is_a_gap(begin: Begin, valkey: Valkey) -> None:
    events = spoken(WORDS)
    run = begin(events)
    await run.write(10)
    heard = Reading(run)
    task = asyncio.create_task(heard.read())
    await run.until(lambda: len(heard.taken) == 10)
    await _followed(run)
    async with _unheard(run):
        await run.write(10)
        await valkey.unlink(run.key)
        await run.write(1)
    await run.write(len(events))
    await asyncio.wait_for(task, 10)
    snapshots = [event for event in heard.taken if isinstance(event, RunSnapshot)]
    assert [one.reason for one in snapshots] == ["GAP"]
    assert said(heard.taken) == said(events)
    seqs = [event.seq for event in heard.taken]
    assert seqs[seqs.index(snapshots[0].seq) :] == list(range(snapshots[0].seq, len(events) + 1))


async def test_a_run_that_is_over_is_told_by_its_messages_where_the_log_is_gone(begin: Begin, valkey: Valkey) -> None:
    events = spoken(WORDS)
    run = begin(events)
    await run.write(len(events))
    await valkey.unlink(run.key)
    snapshot, end = await asyncio.wait_for(Reading(run).read(), 10)
    assert isinstance(snapshot, RunSnapshot)
    assert (snapshot.seq, snapshot.reason, said([snapshot])) == (len(events) - 1, "GAP", said(events))
    assert isinstance(end, RunFinished)
    assert await asyncio.wait_for(Reading(run, after=len(events) - 1).read(), 10) == [end]


async def test_a_reader_who_is_overtaken_by_the_window_is_told_that_it_was_slow(begin: Begin, valkey: Valkey) -> None:
    events = spoken(WORDS)
    run = begin(events, socket_backlog_bytes=1024)
    await run.write(10)
    heard, room = Reading(run, most=lambda _: 0), asyncio.Event()

    async def pause() -> None:
        if len(heard.taken) == 9:
            await room.wait()

    heard.pause = pause
    task = asyncio.create_task(heard.read())
    await _followed(run)
    await run.write(40)
    await run.until(lambda: any(follower.overrun for follower in _followers(run)))
    await valkey.xtrim(run.key, minid="1-45", approximate=False)
    room.set()
    await run.until(lambda: any(isinstance(event, RunSnapshot) for event in heard.taken))
    await run.write(len(events))
    await asyncio.wait_for(task, 10)
    (snapshot,) = [event for event in heard.taken if isinstance(event, RunSnapshot)]
    assert (snapshot.seq, snapshot.reason) == (50, "SLOW_CONSUMER")
    assert said(heard.taken) == said(events)


async def test_a_log_that_grows_too_long_loses_its_beginning(begin: Begin) -> None:
    events = spoken(4000)
    run = begin(events, run_log_max_bytes=65_536)
    while not run.is_whole:
        await run.write(50)
    left = await run.logs.written(run.cipher, run.run_id)
    assert [one.event for one in left] == events[-len(left) :]
    assert 60_000 < sum(one.size for one in left) <= 65_536
    (first,) = await run.logs.first_seqs(run.cipher.tenant_id, [run.run_id])
    assert first == left[0].event.seq > 1
    snapshot, *rest = await asyncio.wait_for(Reading(run).read(), 10)
    assert isinstance(snapshot, RunSnapshot)
    assert snapshot.reason == "RESUME_BEFORE_WINDOW"
    assert said([snapshot, *rest]) == said(events)
    assert await asyncio.wait_for(Reading(run, after=first - 1).read(), 10) == events[first - 1 :]


async def test_a_silent_run_is_shown_to_be_alive(begin: Begin) -> None:
    events = spoken(WORDS)
    run = begin(events, run_heartbeat_seconds=0.1)
    await run.write(4)
    heard = Reading(run)
    task = asyncio.create_task(heard.read())
    await run.until(lambda: sum(isinstance(event, Heartbeat) for event in heard.taken) == 2)
    await run.write(len(events))
    await asyncio.wait_for(task, 10)
    assert {event.seq for event in heard.taken if isinstance(event, Heartbeat)} == {4}
    assert [event for event in heard.taken if not isinstance(event, Heartbeat)] == events
    assert [one.event for one in await run.logs.written(run.cipher, run.run_id)] == events, "none of them is in the log"


@pytest.mark.parametrize("ahead", [0, 1, 10**6])
@pytest.mark.parametrize("view", [EVERYTHING, View(reasoning=False, gather_seconds=0.01)])
async def test_who_waits_ahead_of_a_run_hears_of_its_end_without_a_silence(
    begin: Begin, monkeypatch: pytest.MonkeyPatch, ahead: int, view: View
) -> None:
    monkeypatch.setattr(readers, "QUIET_SECONDS", 600.0)
    events = spoken(WORDS)
    run = begin(events, run_heartbeat_seconds=600)
    await run.write(4)
    heard = Reading(run, after=len(events) + ahead, view=view)
    task = asyncio.create_task(heard.read())
    await _followed(run)
    while not run.is_whole:
        await run.write(1)
    told = await asyncio.wait_for(task, 60)
    if not ahead:
        assert told == []
        return
    snapshot, end = told
    assert isinstance(snapshot, RunSnapshot)
    assert isinstance(end, RunFinished)
    assert (snapshot.reason, snapshot.outputs) == ("RESUME_BEYOND_END", [{"said": said(events)}])
    assert (end.seq, end.status) == (len(events), "COMPLETED")


async def test_thoughts_that_are_not_told_are_a_silence(begin: Begin) -> None:
    run = begin(spoken(WORDS, parts=(REASONING,)), run_heartbeat_seconds=0.1)
    await run.write(4)
    heard = Reading(run, view=View(reasoning=False))
    task = asyncio.create_task(heard.read())
    await run.until(lambda: any(isinstance(event, Heartbeat) for event in heard.taken))
    await run.write(WORDS)
    await asyncio.wait_for(task, 10)
    assert {type(event) for event in heard.taken} == {RunStarted, PartStarted, Heartbeat, RunFinished}


async def test_a_run_that_waits_is_shown_with_its_place_though_its_log_is_lost(begin: Begin) -> None:
    run = begin([RunQueued(seq=1, at=1.0, position=4), RunFinished(seq=2, at=2.0, status="CANCELLED")])
    run.position = 4
    heard = Reading(run)
    task = asyncio.create_task(heard.read())
    await run.until(lambda: bool(heard.taken))
    run.position = None
    await run.write(2)
    await asyncio.wait_for(task, 10)
    assert heard.taken == run.events


@pytest.mark.parametrize("seed", range(25))
async def test_every_view_tells_the_same_in_its_own_pieces(begin: Begin, seed: int) -> None:
    chance = random.Random(seed)
    events = spoken(WORDS, parts=(TEXT, REASONING) if seed % 2 else (TEXT,))
    run = begin(events)
    views = [View(reasoning, gather) for reasoning in (True, False) for gather in (0.0, 0.003, 0.02)]
    readings: list[tuple[int, Reading]] = []
    tasks = []
    while not run.is_whole:
        await run.write(chance.randint(1, 5))
        if chance.random() < 0.4:
            after = chance.randint(0, len(events) // 2)
            readings.append(
                (after, Reading(run, after=after, view=chance.choice(views), most=chance.choice([len, lambda _: 0, lambda _: 1])))
            )
            tasks.append(asyncio.create_task(readings[-1][1].read()))
        if chance.random() < 0.1:
            for broadcast in run.logs._broadcasts.values():
                broadcast.lagged()
        await asyncio.sleep(chance.choice([0, 0, 0.002]))
    await asyncio.wait_for(asyncio.gather(*tasks), 20)
    for after, heard in readings:
        shown = [event for event in events[after:] if heard.view.shows(event)]
        assert _pieces(heard.taken) == _pieces(shown)
        assert heard.view.gather_seconds or heard.taken == shown
        assert [event.seq for event in heard.taken] == sorted({event.seq for event in heard.taken})


def _pieces(events: list[Event]) -> list[tuple[Any, ...]]:
    """Each word of each delta, with where it goes, and all other events: the same however deltas are gathered."""
    return [
        piece
        for event in events
        for piece in (
            ((event.part_id, event.offset + place, letter) for place, letter in enumerate(event.text))
            if isinstance(event, TextDelta | ReasoningDelta)
            else ((event,),)
        )
    ]


@contextlib.asynccontextmanager
async def _unheard(run: WrittenRun) -> AsyncIterator[None]:
    """What is written meanwhile reaches nobody who follows the run."""
    broadcast = run.logs._broadcasts[run.key]
    followers = list(broadcast._followers)
    broadcast._followers.clear()
    yield
    await run.until(lambda: run.logs._tails._last.get(run.key) == f"1-{run._written}")
    broadcast._followers |= dict.fromkeys(followers)


def _followers(run: WrittenRun) -> list[Any]:
    broadcast = run.logs._broadcasts.get(run.key)
    return [] if broadcast is None else list(broadcast._followers)


async def _followed(run: WrittenRun) -> None:
    """Wait until the stream is one of those that are read."""
    await run.until(lambda: run.key in run.logs._tails._last)


async def _heard_all(run: WrittenRun) -> None:
    """Wait until this process has read all that was written."""
    await run.until(lambda: run.logs._tails._last.get(run.key) == f"1-{len(run.events)}")


async def test_who_hears_of_an_end_is_given_nothing_older(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tenant's version is another one before the end is in the log, and the same as long as the answer grows."""
    run = begin(spoken(WORDS))
    before = await run.versions.of(run.cipher.tenant_id)
    await run.write(len(run.events) - 1)
    assert await run.versions.of(run.cipher.tenant_id) == before
    sent: list[bytes] = []
    asked = run.logs._pipe.asked

    async def noting(*commands: Sequence[bytes]) -> list[Any]:
        sent.extend(command[0] for command in commands)
        return await asked(*commands)

    monkeypatch.setattr(run.logs._pipe, "asked", noting)
    await run.write(1)
    assert sent.index(b"SET") < sent.index(b"XADD")
    assert await run.versions.of(run.cipher.tenant_id) != before


async def test_who_hears_of_an_end_without_its_log_is_given_nothing_older(begin: Begin) -> None:
    run = begin(spoken(WORDS))
    await run.write(len(run.events))
    await run.logs._valkey.delete(run.key)
    for is_new in (True, False):
        before = await run.versions.of(run.cipher.tenant_id)
        assert isinstance((await Reading(run).read())[-1], RunFinished)
        assert (await run.versions.of(run.cipher.tenant_id) != before) is is_new
        run._ended_at -= run.logs._settings.graphql_cached_answer_seconds  # nothing is kept that was made before
