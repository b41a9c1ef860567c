"""Following streams: one connection for all of them, and nothing between two answers is lost without a word."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from uuid import uuid4

import pytest
from valkey.asyncio import Valkey
from valkey.exceptions import ResponseError

from events.entries import Entry, _entries, _value
from events.tails import Tails
from events.valkey import open_valkey
from settings import Settings


class Listening:
    """What a listener was told, and how often it was told to look for itself."""

    def __init__(self) -> None:
        self.heard_ids: list[str] = []
        self.lags = 0
        self._told = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def heard(self, entries: Sequence[Entry]) -> None:
        self.heard_ids += [entry_id for entry_id, _ in entries]
        self._wake()

    def lagged(self) -> None:
        self.lags += 1
        self._wake()

    def _wake(self) -> None:
        async def notify() -> None:
            async with self._told:
                self._told.notify_all()

        task = asyncio.create_task(notify())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(10), self._told:
            await self._told.wait_for(true)


class Failing(Listening):
    """A listener with a mistake."""

    def heard(self, entries: Sequence[Entry]) -> None:
        super().heard(entries)
        raise ValueError("a listener's own mistake")


@pytest.fixture
async def tails(settings: Settings) -> AsyncIterator[Tails]:
    commands, blocking = open_valkey(settings), open_valkey(settings, waits_seconds=10)
    opened = Tails(blocking, commands, settings.valkey_prefix)
    yield opened
    await opened.close()
    await blocking.aclose()
    await commands.aclose()


async def test_a_listener_is_told_once_that_it_must_look_back_and_then_of_each_entry(
    tails: Tails, valkey: Valkey, settings: Settings
) -> None:
    key, listening = f"{settings.valkey_prefix}:{uuid4().hex}", Listening()
    await valkey.xadd(key, {"e": b"before"}, id="1-1")
    tails.follow(key, listening)
    await listening.until(lambda: listening.lags == 1)
    for seq in range(2, 30):
        await valkey.xadd(key, {"e": b"after"}, id=f"1-{seq}")
    await listening.until(lambda: len(listening.heard_ids) >= 28)
    assert listening.heard_ids == [f"1-{seq}" for seq in range(2, 30)]
    tails.leave(key, listening)


async def test_streams_do_not_hear_each_other_and_a_second_listener_hears_the_same(
    tails: Tails, valkey: Valkey, settings: Settings
) -> None:
    keys = [f"{settings.valkey_prefix}:{uuid4().hex}" for _ in range(2)]
    listening = [Listening(), Listening(), Listening()]
    for key, one in zip((keys[0], keys[0], keys[1]), listening, strict=True):
        tails.follow(key, one)
    await listening[0].until(lambda: listening[0].lags == 1)
    await listening[2].until(lambda: listening[2].lags == 1)
    for seq in range(1, 4):
        for key in keys:
            await valkey.xadd(key, {"e": key}, id=f"{1 + keys.index(key)}-{seq}")
    for one in listening:
        await one.until(lambda one=one: len(one.heard_ids) >= 3)  # type: ignore[misc] # a default binds the loop's variable
    assert [one.heard_ids for one in listening] == [["1-1", "1-2", "1-3"], ["1-1", "1-2", "1-3"], ["2-1", "2-2", "2-3"]]


async def test_a_listener_that_fails_does_not_silence_the_others(tails: Tails, valkey: Valkey, settings: Settings) -> None:
    key, other = (f"{settings.valkey_prefix}:{uuid4().hex}" for _ in range(2))
    failing, listening = Failing(), Listening()
    tails.follow(key, failing)
    tails.follow(other, listening)
    await failing.until(lambda: failing.lags == 1)
    await listening.until(lambda: listening.lags == 1)
    await valkey.xadd(key, {"e": b"x"}, id="1-1")
    await failing.until(lambda: failing.lags == 2)
    await valkey.xadd(other, {"e": b"x"}, id="1-1")
    await listening.until(lambda: listening.heard_ids == ["1-1"])


async def test_a_lost_connection_is_told_and_opened_again(tails: Tails, valkey: Valkey, settings: Settings) -> None:
    key, listening = f"{settings.valkey_prefix}:{uuid4().hex}", Listening()
    tails.follow(key, listening)
    await listening.until(lambda: listening.lags == 1)
    await valkey.xadd(key, {"e": b"x"}, id="1-1")
    await listening.until(lambda: listening.heard_ids == ["1-1"])
    tails._entries._connection._writer.transport.abort()
    await listening.until(lambda: listening.lags == 2)
    await valkey.xadd(key, {"e": b"x"}, id="1-2")
    await listening.until(lambda: listening.heard_ids == ["1-1", "1-2"])


def test_an_answer_is_read_whole_wherever_it_is_cut() -> None:
    entries = (
        b"*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\ne\r\n$4\r\n\r\n\x00$\r\n",
        b"*2\r\n$3\r\n1-2\r\n*2\r\n$1\r\ne\r\n$0\r\n\r\n",
    )
    answer = b"*1\r\n*2\r\n$3\r\nkey\r\n*2\r\n" + b"".join(entries)
    for cut in range(len(answer)):
        with pytest.raises(IndexError):
            _value(answer[:cut], 0)
    value, end = _value(answer, 0)
    assert end == len(answer)
    assert _entries(value) == [("key", [("1-1", {b"e": b"\r\n\x00$"}), ("1-2", {b"e": b""})])]


def test_silence_is_an_answer_without_entries_and_a_refusal_is_raised() -> None:
    assert _entries(_value(b"*-1\r\n", 0)[0]) == []
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        _value(b"-WRONGTYPE no stream\r\n", 0)
