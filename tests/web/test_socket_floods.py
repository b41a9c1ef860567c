"""Clients that send too much, too little or what is none: each of them is cut off in time, and costs little until then."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from settings import Settings
from tests.running import Api
from tests.web.test_socket_crowds import left, masked, serving, steps_of
from web import connections
from web.closings import GONE, MALFORMED, TRY_LATER, UNAUTHORIZED, Closing
from web.connections import Watch
from web.frames import framed
from web.protocol import FramesProtocol
from web.sockets import Sockets
from web.works import Process

TEXT, BINARY, CONTINUED, PING, PONG, LAST = 0x1, 0x2, 0x0, 0x9, 0xA, 0x80
INIT = masked({"type": "connection_init"})
FRAMES = 50


def frame(code: int, data: bytes = b"") -> bytes:
    """A frame with a mask of zeros."""
    return bytes((code, 0x80 | len(data))) + bytes(4) + data


@contextlib.asynccontextmanager
async def begun(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A socket on which nobody is signed in."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    try:
        for said, answer in [*steps_of("", "")[:1], (INIT, b"connection_ack")]:
            writer.write(said)
            await reader.readuntil(answer)
        yield reader, writer
    finally:
        writer.transport.abort()


async def close_code(reader: asyncio.StreamReader) -> int:
    """Read until the server hangs up; return the code of its last frame."""
    async with asyncio.timeout(20):
        heard = await reader.read(2**24)
        with contextlib.suppress(OSError):  # what came after the server had hung up breaks the connection off
            while more := await reader.read(2**24):
                heard = heard[-200:] + more
    place = heard.rindex(b"\x88")
    return int.from_bytes(heard[place + 2 : place + 4], "big")


FLOODS = {
    "pings": frame(LAST | PING),
    "pongs": frame(LAST | PONG),
    "pings in JSON": masked({"type": "ping"}),
    "pongs in JSON": masked({"type": "pong"}),
    "completes of what there is not": masked({"type": "complete", "id": "x"}),
    "operations that are completed at once": masked({"type": "subscribe", "id": "x", "payload": {"query": "{ __typename }"}})
    + masked({"type": "complete", "id": "x"}),
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
async def test_who_sends_too_many_frames_is_closed_with_1013(api: Api, settings: Settings, process: Process, flood: bytes) -> None:
    few = dataclasses.replace(settings, socket_frames=FRAMES, socket_frames_per_second=1)
    async with serving(few, process) as (port, sockets), begun(port) as (reader, writer):
        (socket,) = sockets._open
        writer.write(flood * FRAMES)  # and `connection_init`, which was one; what nobody has read would break the connection off
        assert await close_code(reader) == TRY_LATER
        while sockets._open or left():
            await process.valkey.ping()
        assert not socket._streams


async def test_pieces_of_a_message_that_never_ends_are_counted(api: Api, settings: Settings, process: Process) -> None:
    few = dataclasses.replace(settings, socket_frames=FRAMES, socket_frames_per_second=1)
    async with serving(few, process) as (port, _), begun(port) as (reader, writer):
        writer.write(frame(TEXT) + frame(CONTINUED) * FRAMES)
        assert await close_code(reader) == TRY_LATER


async def test_many_frames_before_a_handshake_is_answered_are_not_read(settings: Settings, process: Process) -> None:
    few = dataclasses.replace(settings, socket_frames=FRAMES, socket_frames_per_second=1)
    async with serving(few, process) as (port, sockets):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(steps_of("", "")[0][0] + frame(LAST | PONG) * 100_000)
        async with asyncio.timeout(20):
            with contextlib.suppress(OSError):
                while await reader.read(2**16):
                    pass
            while sockets._open or left():
                await process.valkey.ping()
        writer.transport.abort()


async def test_who_sends_as_many_frames_as_are_allowed_is_served(api: Api, settings: Settings, process: Process) -> None:
    few = dataclasses.replace(settings, socket_frames=FRAMES, socket_frames_per_second=1)
    async with serving(few, process) as (port, _), begun(port) as (reader, writer):
        writer.write(frame(LAST | PONG) * (FRAMES - 2) + masked({"type": "ping"}))  # the first was `connection_init`
        await reader.readuntil(b'"pong"')


def test_frames_come_back_with_time(settings: Settings) -> None:
    class Clock:
        now = 0.0

        def time(self) -> float:
            return self.now

    clock: Any = Clock()
    protocol: Any = object.__new__(FramesProtocol)
    protocol.loop, protocol._counted_at, protocol._frames_left = clock, 0.0, -10.0
    protocol._watch = Watch(dataclasses.replace(settings, socket_frames=FRAMES, socket_frames_per_second=4))
    clock.now = 2.0
    assert (protocol._refilled(), protocol._frames_left) == (False, -2.0)
    clock.now = 3.0
    assert (protocol._refilled(), protocol._frames_left) == (True, 2.0)
    clock.now = 1000.0
    assert (protocol._refilled(), protocol._frames_left) == (True, FRAMES)


@pytest.mark.parametrize("pieces", [frame(TEXT, b"{"), frame(LAST | TEXT, b"x" * 120)[:10]], ids=["fragments", "bytes of a frame"])
async def test_a_message_that_never_ends_is_no_sign_of_life(api: Api, settings: Settings, process: Process, pieces: bytes) -> None:
    impatient = dataclasses.replace(settings, socket_init_seconds=0.1, socket_ping_seconds=0.1, socket_anonymous_seconds=600)
    async with serving(impatient, process) as (port, _), begun(port) as (reader, writer):

        async def trickle() -> None:
            writer.write(pieces)
            for _ in range(100):
                await asyncio.sleep(0.1)
                writer.write(frame(CONTINUED, b" ") if pieces[1] == 0x81 else b"x")

        trickling = asyncio.create_task(trickle())
        assert await close_code(reader) == GONE
        trickling.cancel()


async def test_a_message_in_pieces_may_be_as_large_as_one_that_comes_whole(api: Api, settings: Settings, process: Process) -> None:
    small = dataclasses.replace(settings, socket_max_message_bytes=1024)
    async with serving(small, process) as (port, _):
        async with begun(port) as (reader, writer):
            sent = orjson.dumps({"type": "ping", "payload": {"x": "x" * 900}})
            parts = [sent[start : start + 100] for start in range(0, len(sent), 100)]
            writer.write(frame(TEXT, parts[0]) + b"".join(frame(CONTINUED, part) for part in parts[1:]) + frame(LAST | CONTINUED))
            await reader.readuntil(b'"pong"')
        async with begun(port) as (reader, writer):
            writer.write(frame(TEXT, b"x" * 100) + frame(CONTINUED, b"x" * 100) * 20)
            assert await close_code(reader) == 1009


WRONG = {
    "a ping beyond 125 bytes": b"\x89\xfe\x00\x7e" + bytes(4) + b"x" * 126,
    "a ping in pieces": frame(PING, b"x"),
    "a frame without a mask": b"\x81\x02{}",
    "an opcode that there is not": frame(LAST | 0x3, b"x"),
    "bits that nothing gives a meaning": frame(LAST | 0x40 | TEXT, b"x"),
    "a piece of no message": frame(LAST | CONTINUED, b"x"),
    "a message within another": frame(TEXT, b"x") + frame(LAST | TEXT, b"x"),
}


@pytest.mark.parametrize("sent", WRONG.values(), ids=WRONG)
async def test_frames_that_break_the_protocol_close_with_1002(api: Api, settings: Settings, process: Process, sent: bytes) -> None:
    async with serving(settings, process) as (port, _), begun(port) as (reader, writer):
        writer.write(sent)
        assert await close_code(reader) == 1002


@pytest.mark.parametrize("id", ["", "x" * 129, 5, None, ["x"]])
async def test_ids_are_words_of_a_bounded_length(api: Api, settings: Settings, process: Process, id: Any) -> None:
    async with serving(settings, process) as (port, _), begun(port) as (reader, writer):
        writer.write(masked({"type": "subscribe", "id": id, "payload": {"query": "{ __typename }"}}))
        assert await close_code(reader) == MALFORMED


async def test_who_leaves_a_little_unread_holds_no_connection_that_is_closed(
    api: Api, settings: Settings, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SWEEP_SECONDS", 0.05)
    async with (
        serving(dataclasses.replace(settings, http_request_seconds=0.2, http_slowest_bytes_per_second=10**9), process) as (port, sockets),
        begun(port) as (_, writer),
    ):
        protocol = await unread(sockets, writer)
        protocol.close_timeout = 0.05  # the rest is a matter of sweeps
        (socket,) = sockets._open
        assert not socket._writer.crowded
        socket.end(Closing(UNAUTHORIZED, "SESSION_REVOKED"))
        async with asyncio.timeout(20):
            while not protocol.disconnected:
                await process.valkey.ping()


async def unread(sockets: Sockets, writer: asyncio.StreamWriter) -> Any:
    """Have a client read nothing until something of what it was told waits in the server, less than what makes it crowded."""
    (socket,) = sockets._open
    protocol = socket._writer._protocol
    assert protocol is not None
    writer.transport.pause_reading()  # type: ignore[attr-defined] # asyncio's type of a writer's transport cannot read
    while not protocol.transport.get_write_buffer_size():
        socket._writer.put(framed(b"x" * 8000))
        await asyncio.sleep(0)
    return protocol
