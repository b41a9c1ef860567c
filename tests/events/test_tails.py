"""Following streams: one connection for all of them, and nothing between two answers is lost without a word."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, cast
from uuid import uuid4

import pytest
from valkey.asyncio import Valkey
from valkey.exceptions import ResponseError

from events import wires
from events.entries import MOST_ENTRIES, Entry, entries_of
from events.tails import Tails
from events.valkey import open_valkey
from events.wires import Answer
from settings import Settings

CHUNK = 65_536  # what a transport reads at once, or more
REST_SECONDS = 0.0125  # like no other pause


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


class Stepping(Listening):
    """A listener that notes how much comes at once."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[int] = []

    def heard(self, entries: Sequence[Entry]) -> None:
        self.steps.append(len(entries))
        super().heard(entries)


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


class Resting(Listening):
    """A listener that takes its time over all that it hears, and notes how much comes at once."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[int] = []

    def heard(self, entries: Sequence[Entry]) -> None:
        self.steps.append(len(entries))
        until = time.thread_time() + 0.02  # what it costs to tell it to many
        while time.thread_time() < until:
            pass
        super().heard(entries)


async def test_what_comes_while_a_process_rests_from_telling_is_told_in_one_piece(
    valkey: Valkey, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest ends only when all is written, however slow the machine is."""
    rests: list[float] = []
    written, sleep = asyncio.Event(), asyncio.sleep

    async def resting(seconds: float) -> None:
        if seconds == REST_SECONDS:
            rests.append(seconds)
            await written.wait()
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", resting)
    commands, blocking = open_valkey(settings), open_valkey(settings, waits_seconds=10)
    tails = Tails(blocking, commands, settings.valkey_prefix, rest_seconds=REST_SECONDS)
    key, listening = f"{settings.valkey_prefix}:{uuid4().hex}", Resting()
    tails.follow(key, listening)
    await listening.until(lambda: listening.lags == 1)
    await valkey.xadd(key, {"e": b"x"}, id="1-1")
    await listening.until(lambda: listening.steps == [1])
    for seq in range(2, 6):
        await valkey.xadd(key, {"e": b"x"}, id=f"1-{seq}")
    written.set()
    await listening.until(lambda: len(listening.heard_ids) == 5)
    assert listening.steps == [1, 4]
    assert len(rests) >= 1
    await tails.close()
    await blocking.aclose()
    await commands.aclose()


async def test_a_lost_connection_is_told_and_opened_again(tails: Tails, valkey: Valkey, settings: Settings) -> None:
    key, listening = f"{settings.valkey_prefix}:{uuid4().hex}", Listening()
    tails.follow(key, listening)
    await listening.until(lambda: listening.lags == 1)
    await valkey.xadd(key, {"e": b"x"}, id="1-1")
    await listening.until(lambda: listening.heard_ids == ["1-1"])
    tails._entries._wire._connection._writer.transport.abort()
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
        reading = Answer()
        assert not reading.read(answer[:cut])
        assert reading.read(answer[cut:])
        assert entries_of(reading.value) == [("key", [("1-1", {b"e": b"\r\n\x00$"}), ("1-2", {b"e": b""})])]
    reading = Answer()
    assert [reading.read(answer[at : at + 1]) for at in range(len(answer))] == [False] * (len(answer) - 1) + [True]


def test_silence_is_an_answer_without_entries_and_a_refusal_is_one_too() -> None:
    silence, refusal = Answer(), Answer()
    assert silence.read(b"*-1\r\n")
    assert entries_of(silence.value) == []
    assert refusal.read(b"-WRONGTYPE no stream\r\n")
    assert isinstance(refusal.value, ResponseError)


def test_an_answer_of_megabytes_is_read_once_however_many_pieces_it_comes_in(monkeypatch: pytest.MonkeyPatch) -> None:
    count, looks, item = 50_000, 0, wires._item

    def counting(data: bytes | bytearray, at: int) -> tuple[Any, int, int]:
        nonlocal looks
        looks += 1
        return item(data, at)

    monkeypatch.setattr(wires, "_item", counting)
    sealed = b"*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\ne\r\n$100\r\n" + b"x" * 100 + b"\r\n"
    answer = b"*1\r\n*2\r\n$3\r\nkey\r\n*%d\r\n" % count + sealed * count
    pieces = [answer[at : at + CHUNK] for at in range(0, len(answer), CHUNK)]
    assert len(pieces) > 100
    reading = Answer()
    assert [reading.read(piece) for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert len(reading.value[0][1]) == count
    assert looks <= 5 * count + 4 + len(pieces), "each item once, and once more where a piece cuts it"


async def test_who_is_far_behind_is_told_in_steps_and_misses_nothing(tails: Tails, valkey: Valkey, settings: Settings) -> None:
    key, listening = f"{settings.valkey_prefix}:{uuid4().hex}", Stepping()
    tails.follow(key, listening)
    await listening.until(lambda: listening.lags == 1)
    pipe = valkey.pipeline(transaction=True)
    for seq in range(1, 2 * MOST_ENTRIES + 50):
        pipe.xadd(key, {"e": b"x"}, id=f"1-{seq}")
    await pipe.execute()
    await listening.until(lambda: len(listening.heard_ids) >= 2 * MOST_ENTRIES + 49)
    assert listening.heard_ids == [f"1-{seq}" for seq in range(1, 2 * MOST_ENTRIES + 50)]
    assert max(listening.steps) == MOST_ENTRIES


class Halting:
    """Valkey's commands, of which the wake-up halts until it may go on, or fails."""

    def __init__(self, commands: Valkey) -> None:
        self._commands = commands
        self.halted, self.may_go_on = asyncio.Event(), asyncio.Event()
        self.fails = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._commands, name)

    async def xadd(self, *arguments: Any, **options: Any) -> Any:
        self.halted.set()
        await self.may_go_on.wait()
        if self.fails:
            self.fails = False
            raise ConnectionError
        return await self._commands.xadd(*arguments, **options)


@pytest.mark.parametrize("fails", [False, True])
async def test_a_stream_whose_only_listener_changes_as_it_is_let_in_is_followed(
    tails: Tails, valkey: Valkey, settings: Settings, *, fails: bool
) -> None:
    key, first, second = f"{settings.valkey_prefix}:{uuid4().hex}", Listening(), Listening()
    tails._commands = halting = cast("Any", Halting(tails._commands))
    tails.follow(key, first)
    await halting.halted.wait()
    tails.leave(key, first)
    tails.follow(key, second)
    halting.fails = fails
    halting.may_go_on.set()
    await second.until(lambda: key in tails._last and not tails._joining and second.lags > 0)
    await valkey.xadd(key, {"e": b"x"}, id="1-1")
    await second.until(lambda: second.heard_ids == ["1-1"])


async def test_who_left_while_letting_in_failed_is_not_let_in(tails: Tails, settings: Settings) -> None:
    key, other = (f"{settings.valkey_prefix}:{uuid4().hex}" for _ in range(2))
    first, second = Listening(), Listening()
    tails._commands = halting = cast("Any", Halting(tails._commands))
    tails.follow(key, first)
    tails.follow(other, second)
    await halting.halted.wait()
    tails.leave(key, first)
    halting.fails = True
    halting.may_go_on.set()
    await second.until(lambda: second.lags == 1)
    assert (key in tails._last, other in tails._last, tails._joining) == (False, True, set())
