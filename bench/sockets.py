"""Sockets that count: a client of graphql-transport-ws that looks no closer at what it hears than it must."""

import asyncio
import base64
import json
import os
import struct
from collections.abc import Callable
from typing import Any, cast

from bench.worlds import Person

EVENTS = "subscription ($runId: ID!) { runEvents(runId: $runId) { seq ... on TextDelta { text offset } } }"
UPGRADE = (
    "GET /graphql HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-version: 13\r\n"
    "sec-websocket-key: {key}\r\nsec-websocket-protocol: graphql-transport-ws\r\n\r\n"
)
TEXT, PING, PONG = 1, 9, 10
PATIENCE = 30.0


class Socket(asyncio.Protocol):
    """One socket with one subscription; calls `heard` with every frame that brings an event, and `follows` from the first on."""

    def __init__(self, port: int, heard: Callable[[bytes], Any], *, query: str = EVENTS) -> None:
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._port = port
        self._heard = heard
        self._query = query
        self._upgraded = False
        self._run_id = ""
        self.follows = False
        self._closed = False
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name
        key = base64.b64encode(os.urandom(16)).decode()
        self._transport.write(UPGRADE.format(port=self._port, key=key).encode())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._upgraded:
            head, ended, rest = self._buffer.partition(b"\r\n\r\n")
            if not ended:
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self._fail(ConnectionError(f"The server did not upgrade: {head!r}"))
                return
            self._upgraded, self._buffer = True, rest
            self.ready.set_result(None)
        self._frames()

    def _frames(self) -> None:
        """Take whole frames off the buffer (RFC 6455, section 5.2); a server does not mask them."""
        buffer, at = self._buffer, 0
        while len(buffer) >= at + 2:
            length, begin = buffer[at + 1], at + 2
            if length > 125:
                begin, form = (at + 4, "!H") if length == 126 else (at + 10, "!Q")
                if len(buffer) < begin:
                    break
                (length,) = struct.unpack_from(form, buffer, at + 2)
            if len(buffer) < begin + length:
                break
            self._frame(buffer[at] & 0x0F, buffer[begin : begin + length])
            at = begin + length
        self._buffer = buffer[at:]

    def _frame(self, kind: int, payload: bytes) -> None:
        if kind == PING:
            self._write(PONG, payload)
        elif kind != TEXT:
            self._fail(ConnectionError(f"The server sent {payload!r}."))
        elif b'"next"' in payload:
            self.follows = True
            self._heard(payload)
        elif b'"ping"' in payload:
            self.send({"type": "pong"})
        elif b'"complete"' in payload:
            pass
        elif b'"connection_ack"' in payload:
            asked = {"query": self._query, "variables": {"runId": self._run_id}}
            self.send({"type": "subscribe", "id": "1", "payload": asked})
        else:
            self._fail(ConnectionError(f"The server said {payload!r}."))

    def send(self, message: dict[str, Any]) -> None:
        self._write(TEXT, json.dumps(message).encode())

    def _write(self, kind: int, payload: bytes) -> None:
        length = bytes([0x80 | len(payload)]) if len(payload) < 126 else bytes([0x80 | 126]) + struct.pack("!H", len(payload))
        # Clients mask; a mask of zeros changes nothing.
        self._transport.write(bytes([0x80 | kind]) + length + b"\0\0\0\0" + payload)

    def subscribe(self, person: Person, run_id: str) -> None:
        """Say who is there; what is wanted is said when the server has agreed."""
        self._run_id = run_id
        self.send({"type": "connection_init", "payload": {"Authorization": f"Bearer {person.token}"}})

    def close(self) -> None:
        self._closed = True
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or ConnectionError("The server closed a socket."))

    def _fail(self, error: Exception) -> None:
        """Whoever waits for the next event hears of it by waiting in vain; before that, at once."""
        if not self.ready.done():
            self.ready.set_exception(error)
        elif not self._closed:
            asyncio.get_running_loop().call_exception_handler({"message": str(error)})
