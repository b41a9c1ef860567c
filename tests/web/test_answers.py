"""An answer that goes out in one piece is the one that uvicorn would have written, byte for byte."""

import asyncio
from typing import Any

import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from uvicorn.server import ServerState

from settings import Settings
from web.connections import BoundedProtocol, Watch
from web.whole_answers import EXTENSION, lines_of

NAMES = st.sampled_from([b"etag", b"vary", b"set-cookie", b"x-request-id"])
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20).map(str.encode)
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=4)
STATUSES = st.sampled_from([200, 204, 294, 304, 400, 429, 500])


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


class App:
    """Answers all alike, through the side door or as ASGI has it."""

    def __init__(self, settings: Settings, status: int, known: Any, headers: Any, content: bytes, *, is_whole: bool) -> None:
        self.watch = Watch(settings)
        self._answer = status, known, headers, content
        self._is_whole = is_whole

    def drain(self) -> None: ...

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        status, known, headers, content = self._answer
        if self._is_whole:
            await scope["extensions"][EXTENSION].send(status, lines_of(known), headers, content)
        else:
            await send({"type": "http.response.start", "status": status, "headers": [*known, *headers]})
            await send({"type": "http.response.body", "body": content})


async def said(app: App, *requests: bytes) -> tuple[bytes, bool, int]:
    """Let a server answer these requests on one connection: what it wrote, whether it hung up, and in how many pieces it wrote."""
    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False, server_header=False, proxy_headers=False)
    config.load()
    state = ServerState()
    state.default_headers = [(b"date", b"today")]
    protocol, wire = BoundedProtocol(config, state, {}), Wire()
    protocol.connection_made(wire)
    protocol.data_received(b"".join(requests))
    while state.tasks:
        await asyncio.gather(*state.tasks)
        await asyncio.sleep(0)
    protocol.connection_lost(None)
    return b"".join(wire.written), wire.closed, len(wire.written)


@given(
    STATUSES,
    HEADERS,
    HEADERS,
    st.binary(max_size=20),
    st.sampled_from([b"GET", b"HEAD", b"POST"]),
    st.sampled_from(["", "connection: close\r\n"]),
    st.integers(1, 3),
)
def test_it_is_what_uvicorn_would_have_written(
    settings: Settings, status: int, known: Any, headers: Any, content: bytes, method: bytes, closing: str, times: int
) -> None:
    content = b"" if status in {204, 304} else content
    head = method + b" /graphql HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n"
    requests = [head + b"\r\n"] * (times - 1) + [head + closing.encode() + b"\r\n"]
    more = [*headers, *([] if status in {204, 304} else [(b"content-length", b"%d" % len(content))])]

    async def both() -> None:
        whole, piecemeal = [
            await said(App(settings, status, known, more, content, is_whole=is_whole), *requests) for is_whole in (True, False)
        ]
        assert whole[:2] == piecemeal[:2]
        assert whole[2] == times

    asyncio.run(both())


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b", b"a\nb", b"a\x00"])
def test_a_value_ends_no_header(value: bytes) -> None:
    with pytest.raises(ValueError, match="control characters"):
        lines_of([(b"x-request-id", value)])


async def test_one_that_cannot_be_written_is_an_error_and_nothing_else_is_sent(settings: Settings) -> None:
    app = App(settings, 200, [], [(b"x", b"a\r\nb")], b"secret", is_whole=True)
    told, _, _ = await said(app, b"GET /graphql HTTP/1.1\r\nhost: x\r\n\r\n")
    assert told.startswith(b"HTTP/1.1 500 ")
    assert b"secret" not in told
