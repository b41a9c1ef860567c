"""A reader hears a run whole, once and in order, however old and new events, waiting and gaps fall together."""

import asyncio
import contextlib
import dataclasses
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from valkey.asyncio import Valkey

from chat import logs as chat_logs
from chat import readers, sights
from chat.events import Event, RunFinished, RunSnapshot
from errors import NotFound
from settings import Settings
from tests.chat.events_of_a_run import MESSAGE, REASONING, TEXT, Taking, spoken, text_of
from tests.chat.written_runs import Begin, WrittenRun, beginning

WORDS = 60


class Reading(Taking):
    """A subscriber: what its sink took and what its coroutine brought, as one story."""

    def __init__(self, run: WrittenRun, *, after: int = 0, most: Callable[[Any], int] = len) -> None:
        super().__init__(most)
        self._reader = run.reader(after=after)
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


async def test_a_log_that_is_lost_in_the_middle_is_told_by_one_snapshot(begin: Begin, valkey: Valkey) -> None:
    events = spoken(WORDS)
    run = begin(events)
    await run.write(20)
    reading = Reading(run)
    task = asyncio.create_task(reading.read(until=20))
    assert await asyncio.wait_for(task, 10) == events[:20]
    await run.write(10)
    await valkey.unlink(run.key)
    await run.write(len(events))
    heard = await asyncio.wait_for(Reading(run, after=20).read(), 10)
    assert heard[0] == RunSnapshot(seq=30, at=events[30].at, reason="RESUME_BEFORE_WINDOW", message_ids=[MESSAGE])
    assert heard[1:] == events[30:]
    assert isinstance(heard[-1], RunFinished)


def _followers(run: WrittenRun) -> list[Any]:
    broadcast = run.logs._broadcasts.get(run.key)
    return [] if broadcast is None else list(broadcast._followers)


async def _followed(run: WrittenRun) -> None:
    """Wait until the stream is one of those that are read."""
    await run.until(lambda: run.key in run.logs._tails._last)


async def _heard_all(run: WrittenRun) -> None:
    """Wait until this process has read all that was written."""
    await run.until(lambda: run.logs._tails._last.get(run.key) == f"1-{len(run.events)}")
