"""What a socket says leaves in order, at once, and never after a close."""

import asyncio

import pytest

from tests.web.wires import MOST_HELD, Asgi, Wire
from web import writers
from web.closings import GONE, TRY_LATER, UNAUTHORIZED, Closing
from web.frames import Payload, framed


async def test_everything_is_written_at_once_and_in_order() -> None:
    wire, other = Wire(), Wire()
    for text in (b"a", b"b", b"c"):
        wire.writer.put(text)
    other.writer.put(b"d")
    await wire.writer.tell('"1"', Payload(b"{}"))
    await wire.writer.say({"type": "complete", "id": "1"})
    next_ = framed(b'{"id":"1","type":"next","payload":{}}')
    assert wire.transport.writes == [b"a", b"b", b"c", next_, b'{"type":"complete","id":"1"}']
    assert other.transport.writes == [b"d"]


async def test_the_plain_way_says_the_same() -> None:
    wire, asgi = Wire(), Asgi()
    payload = Payload('{"data":{"text":"wörd"}}'.encode())
    for writer in (wire.writer, asgi.writer):
        await writer.tell('"a-b"', payload)
    assert wire.transport.writes == [framed(message["text"].encode()) for message in asgi.said]
    assert (wire.writer.is_direct, asgi.writer.is_direct) == (True, False)


async def test_a_client_that_does_not_read_is_waited_for() -> None:
    wire = Wire()
    wire.protocol.pause_writing()
    crowded = [wire.writer.crowded]
    task = asyncio.create_task(wire.writer.tell('"1"', Payload(b"{}")))
    await asyncio.sleep(0)
    assert wire.transport.writes == []
    wire.protocol.resume_writing()
    await asyncio.wait_for(task, 5)
    assert [*crowded, wire.writer.crowded] == [True, False]
    assert len(wire.transport.writes) == 1


async def test_the_plain_way_is_crowded_until_the_server_has_taken_what_was_told() -> None:
    asgi = Asgi()
    asgi.room.clear()
    tasks = [asyncio.create_task(asgi.writer.tell('"1"', Payload(b"{}"))) for _ in range(2)]
    await asyncio.sleep(0)
    crowded = [asgi.writer.crowded]
    asgi.room.set()
    await asyncio.wait_for(asyncio.gather(*tasks), 5)
    assert [*crowded, asgi.writer.crowded] == [True, False]
    assert len(asgi.said) == 2


@pytest.mark.parametrize("way", [Wire, Asgi])
async def test_results_that_nobody_reads_are_held_up_to_a_limit_and_then_the_socket_is_given_up(way: type[Wire] | type[Asgi]) -> None:
    end = way()
    if isinstance(end, Wire):
        end.protocol.pause_writing()
    else:
        end.room.clear()
    large, largest = Payload(b"x" * (MOST_HELD // 2)), Payload(b"x" * (2 * MOST_HELD))
    held = asyncio.create_task(end.writer.tell('"1"', largest))  # one alone may be as large as it is
    await asyncio.sleep(0)
    with pytest.raises(Closing) as closing:
        await end.writer.tell('"2"', large)
    assert closing.value.code == TRY_LATER
    held.cancel()
    await asyncio.gather(held, return_exceptions=True)
    held = asyncio.create_task(end.writer.tell('"3"', large))
    await asyncio.sleep(0)
    assert not held.done()
    if isinstance(end, Wire):
        end.protocol.resume_writing()
    else:
        end.room.set()
    await asyncio.wait_for(held, 5)
    assert end.writer._held_bytes == 0


async def test_nothing_follows_a_close() -> None:
    wire, asgi, gone = Wire(), Asgi(), Wire()
    wire.writer.put(b"a")
    wire.writer.put(b"b")
    for writer in (wire.writer, asgi.writer):
        await writer.close(Closing(GONE, "over"))
        await writer.tell('"1"', Payload(b"{}"))
        await writer.say({"type": "ping"})
    assert [message["type"] for message in wire.said] == [message["type"] for message in asgi.said] == ["websocket.close"]
    assert wire.transport.writes == [b"a", b"b", b""]
    gone.transport.closing = True  # uvicorn closes by itself when its pings are not answered
    gone.writer.put(b"a")
    assert gone.transport.writes == []


async def test_a_server_that_has_closed_by_itself_is_told_nothing_more() -> None:
    asgi = Asgi()
    asgi.gone = True
    await asgi.writer.say({"type": "ping"})
    asgi.gone = False
    await asgi.writer.say({"type": "ping"})
    assert asgi.said == []


async def test_a_client_that_does_not_read_is_cut_off_when_its_socket_must_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writers, "CLOSE_SECONDS", 0.02)
    wire, asgi, reading = Wire(), Asgi(), Wire()
    wire.protocol.pause_writing()
    asgi.room.clear()
    for one in (wire, asgi, reading):
        await asyncio.wait_for(one.writer.close(Closing(UNAUTHORIZED, "SESSION_REVOKED")), 5)
    assert [wire.transport.aborted, reading.transport.aborted] == [True, False]
    assert [len(wire.said), len(asgi.said), len(reading.said)] == [0, 0, 1]
