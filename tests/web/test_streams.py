"""What a subscription's socket is told of a run: the same as graphql-core would say, shared where it is the same for all."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import orjson
import pytest
from graphql import ExecutionResult, Executor, parse

from chat.contents import TextPart
from chat.events import Event, PartCompleted, PartStarted, UsageTick
from chat.followers import Sink
from chat.views import Told
from execution import Compiler
from inference.models import Usage
from resolvers.operations import Caller
from schema.run_events import Telling
from schema.schema import build_schema
from settings import Settings
from tests.chat.events_of_a_run import MESSAGE, REASONING, TEXT, spoken, text_of
from tests.chat.talking import EVENTS
from tests.chat.written_runs import Begin, WrittenRun, beginning
from tests.web.wires import Asgi, Wire
from web.frames import Payload
from web.streams import Stream
from web.subscriptions import Subscription, payload_of

SCHEMA = build_schema()
CALLER = Caller(address="127.0.0.1", user_agent=None, request_id="r")


class Source:
    """A run's events as they are in the log."""

    def __init__(self, run: WrittenRun, *, after: int = 0) -> None:
        self._reader = run.reader(after=after)

    def told(self, sink: Sink | None = None) -> AsyncGenerator[Told, None]:
        return self._reader.told(sink)

    def dressed(self, told: Told) -> Event:
        return told.event

    async def __aiter__(self) -> AsyncGenerator[Event, None]:
        async for told in self.told():
            yield told.event


class Selecting:
    """A tail that tells some fields of an event, and asks elsewhere for events of some classes."""

    def __init__(self, *fields: str, asks: tuple[type[Event], ...] = ()) -> None:
        self.key = object()
        self.encoded = 0
        self.asked: list[int] = []
        self._fields = fields
        self._asks = asks

    def shared(self, event: Any) -> bytes | None:
        if isinstance(event, self._asks):
            return None
        self.encoded += 1
        return orjson.dumps({"data": self._selected(event)})

    async def execute(self, context: Any, event: Any) -> ExecutionResult:
        self.asked.append(event.seq)
        for _ in range(5):
            await asyncio.sleep(0)
        return ExecutionResult(data=self._selected(event))

    def _selected(self, event: Any) -> dict[str, Any]:
        return {name: str(getattr(event, name, None)) for name in self._fields}


def selecting(*fields: str) -> Any:
    """A tail where the compiler's is asked for."""
    return Selecting(*fields)


@pytest.fixture
async def begin(settings: Settings) -> AsyncIterator[Begin]:
    async with beginning(settings) as begin:
        yield begin


def told_through(wire: Wire | Asgi, run: WrittenRun, tail: Any, *, after: int = 0, id: str = "1") -> "asyncio.Task[None]":
    """Subscribe a socket to a run."""
    source: Any = Source(run, after=after)
    door: Any = None
    executor: Any = None  # the tail does its work
    stream = Stream(door, wire.writer, CALLER, id)
    subscription = Subscription(source=source, executor=executor, context=None, tail=tail)
    return asyncio.create_task(stream._tell_live(subscription, source))


def payloads(messages: list[bytes]) -> list[Any]:
    return [orjson.loads(message)["payload"] for message in messages]


def messages_of(wire: Wire) -> list[bytes]:
    """Take the messages out of the frames that were written."""
    data, found = b"".join(wire.transport.writes), []
    while data:
        assert data[0] == 0x81
        size, begins = (data[1], 2) if data[1] < 126 else (int.from_bytes(data[2:4], "big"), 4)
        found.append(data[begins : begins + size])
        data = data[begins + size :]
    return found


async def test_two_selections_are_each_encoded_once_for_all_their_sockets(begin: Begin) -> None:
    events = spoken(20)
    run = begin(events)
    await run.write(2)
    tails = (Selecting("seq"), Selecting("seq", "text"))
    wires = [(Wire(), tail) for tail in tails for _ in range(10)]
    tasks = [told_through(wire, run, tail) for wire, tail in wires]
    for _ in events:
        await run.write(1)
    await asyncio.wait_for(asyncio.gather(*tasks), 20)
    for wire, tail in wires:
        assert payloads(messages_of(wire)) == [{"data": tail._selected(event)} for event in events]
    assert [tail.encoded for tail in tails] == [len(events), len(events)]


async def test_an_event_that_must_be_asked_for_comes_in_its_place(begin: Begin) -> None:
    events: list[Event] = spoken(30, parts=(TEXT, REASONING))
    events[15] = PartStarted(seq=16, at=1.0, message_id=MESSAGE, part_id=TEXT, kind="text")
    run = begin(events)
    tail = Selecting("seq", asks=(PartStarted,))
    wires = [Wire() for _ in range(3)]
    await run.write(5)
    tasks = [told_through(wire, run, tail) for wire in wires]
    for _ in events:
        await run.write(1)
    await asyncio.wait_for(asyncio.gather(*tasks), 20)
    for wire in wires:
        assert [payload["data"]["seq"] for payload in payloads(messages_of(wire))] == [str(event.seq) for event in events]
    assert sorted(tail.asked) == [2, 2, 2, 16, 16, 16], "each viewer is answered by itself"


async def test_a_server_without_the_side_door_says_the_same_bytes(begin: Begin) -> None:
    events = spoken(30)
    run = begin(events)
    await run.write(2)
    wire, asgi, tail = Wire(), Asgi(), Selecting("seq", "text", "offset")
    tasks = [told_through(wire, run, tail), told_through(asgi, run, tail)]
    for _ in events:
        await run.write(1)
    await asyncio.wait_for(asyncio.gather(*tasks), 20)
    assert messages_of(wire) == [message["text"].encode() for message in asgi.said]
    assert len(asgi.said) == len(events)


@pytest.mark.parametrize("plain", [False, True])
async def test_a_client_that_does_not_read_is_told_less_often_and_nothing_is_lost(begin: Begin, plain: bool) -> None:  # noqa: FBT001 - a parameter of the test
    events = spoken(200)
    run = begin(events)
    await run.write(2)
    tail = Selecting("seq", "text", "offset")
    wire, asgi, quick = Wire(), Asgi(), Wire()
    tasks = [told_through(asgi if plain else wire, run, tail), told_through(quick, run, tail)]
    await run.until(lambda: len(messages_of(quick)) >= 2)
    wire.protocol.pause_writing()
    asgi.room.clear()
    for _ in range(200):
        await run.write(1)
    await run.until(lambda: len(messages_of(quick)) >= 202)
    assert len(wire.transport.writes) + len(asgi.said) < 20
    wire.protocol.resume_writing()
    asgi.room.set()
    await run.write(1)
    await asyncio.wait_for(asyncio.gather(*tasks), 20)
    slow = [message["text"].encode() for message in asgi.said] if plain else messages_of(wire)
    told = [payload["data"] for payload in payloads(slow)]
    assert len(told) < 100
    assert "".join(one["text"] for one in told if one["text"] != "None") == text_of(events)
    assert told[-1]["seq"] == "203"
    assert len(messages_of(quick)) == len(events), "who reads is told each event as it was written"


async def test_a_stream_that_is_stopped_says_nothing_more(begin: Begin) -> None:
    run = begin(spoken(20))
    await run.write(2)
    source: Any = Source(run)
    door: Any = None
    wire = Wire()
    stream = Stream(door, wire.writer, CALLER, "1")
    executor: Any = None
    subscription = Subscription(source=source, executor=executor, context=None, tail=selecting("seq"))
    stream._task = asyncio.create_task(stream._tell_live(subscription, source))
    await run.until(lambda: len(messages_of(wire)) >= 2)
    await run.until(lambda: any(one._level for one in run.logs._broadcasts[run.key]._followers))
    (follower,) = run.logs._broadcasts[run.key]._followers
    stream.stop()
    follower.hear([Told(run.events[2])], 10_000.0)  # before the cancelled task has run at all
    await asyncio.wait({stream._task})
    assert len(messages_of(wire)) == 2


class Undressable(Source):
    """A run with events that the schema has no dress for."""

    def dressed(self, told: Told) -> Event:
        if told.event.seq == 10:
            raise KeyError(type(told.event))
        return super().dressed(told)


async def test_an_event_that_cannot_be_dressed_ends_who_asked_for_it_and_no_other(begin: Begin) -> None:
    events = spoken(20)
    run = begin(events)
    await run.write(2)
    broken: Any = Undressable(run)
    nothing: Any = None
    wire, other, tail = Wire(), Wire(), Selecting("seq")
    stream = Stream(nothing, wire.writer, CALLER, "1")
    subscription = Subscription(source=broken, executor=nothing, context=None, tail=selecting("seq"))
    task = asyncio.create_task(stream._tell_live(subscription, broken))
    await run.until(lambda: bool(wire.transport.writes))
    tasks = [task, told_through(other, run, tail)]
    await run.until(lambda: [one._level for one in run.logs._broadcasts[run.key]._followers] == [True, True])
    for _ in events:
        await run.write(1)
    outcomes = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)
    assert [type(outcome) for outcome in outcomes] == [KeyError, type(None)]
    assert len(messages_of(wire)) == 9
    assert tail.encoded == len(events)


async def test_a_source_that_nobody_shares_is_told_event_by_event_and_closed() -> None:
    closed: list[bool] = []

    async def counting() -> AsyncGenerator[Event, None]:
        try:
            for event in spoken(3):
                yield event
        finally:
            closed.append(True)

    door: Any = None
    executor: Any = None
    wire, tail = Wire(), selecting("seq")
    stream = Stream(door, wire.writer, CALLER, "1")
    await stream._tell(Subscription(source=counting(), executor=executor, context=None, tail=tail))
    assert [payload["data"]["seq"] for payload in payloads(messages_of(wire))] == ["1", "2", "3", "4", "5", "6"]
    assert closed == [True]


async def test_a_run_is_dressed_as_the_schema_has_it_and_read_anew_for_each_event(begin: Begin) -> None:
    events = spoken(3)
    run = begin(events)
    await run.write(len(events))
    operation: Any = SimpleNamespace(loaders="of the event before")
    seen = []
    async for event in Telling(operation, run.run_id, run.reader()):
        seen.append((type(event).__name__, event.row["seq"], event.row["run_id"], operation.loaders))
        operation.loaders = "of the event before"
    assert seen == [(type(event).__name__, event.seq, run.run_id, None) for event in events]


@pytest.mark.parametrize(
    "event",
    [
        *spoken(3, parts=(TEXT, REASONING))[:-1],
        PartCompleted(seq=8, at=3.5, part=TextPart(TEXT, "wörd")),
        UsageTick(seq=9, at=4.5, usage=Usage(input_tokens=1, output_tokens=2)),
    ],
    ids=lambda event: type(event).__name__,
)
async def test_shared_bytes_are_what_graphql_core_says(event: Event) -> None:
    document, run_id = parse(EVENTS), UUID(int=7)
    (definition,) = document.definitions
    tail = Compiler(SCHEMA).compile(document, definition).tail({"runId": "x"})  # type: ignore[arg-type] # the one operation
    executor = Executor.build(SCHEMA._schema, document, raw_variable_values={"runId": "x"})
    assert not isinstance(executor, list)
    operation: Any = None
    reader: Any = None
    telling = Telling(operation, run_id, reader)
    told = Told(event)
    compiled = Subscription(source=telling, executor=executor, context=None, tail=tail).shared(telling, told)
    reference = payload_of(await Subscription(source=telling, executor=executor, context=None).result(telling.dressed(told)), "")
    assert isinstance(compiled, Payload)
    assert compiled.text('"1"') == reference.text('"1"')
