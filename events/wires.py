"""A connection to Valkey for one asker: the general client costs several times what a short command does."""

import asyncio
from typing import Any, Final

from valkey.asyncio import Valkey
from valkey.exceptions import ConnectionError as ValkeyConnectionError
from valkey.exceptions import ResponseError

_CLOSED: Final = "Connection closed by server."


class Wire:
    """Sends one command at a time. The client opens the connection, with all that its settings say, and anew after a failure."""

    def __init__(self, valkey: Valkey) -> None:
        self._pool: Any = valkey.connection_pool  # whose methods the client leaves untyped
        self._connection: Any = None
        self._line: _Line | None = None

    @property
    def is_open(self) -> bool:
        """Whether the next command goes where the last one went."""
        return self._line is not None

    async def asked(self, *words: bytes, seconds: float) -> Any:
        """Return the answer to a command; raises what the client raises, after which the connection is another one."""
        try:
            if self._line is None:
                async with asyncio.timeout(seconds):
                    self._connection = await self._pool.get_connection(words[0].decode())
                self._line = _Line(self._connection._writer.transport)  # noqa: SLF001 - the client has no cheaper way to its transport
            return await self._line.asked(
                b"*%d\r\n" % len(words) + b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words]), seconds
            )
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Give the connection up: whatever it would still answer is not read."""
        self._line = None
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.disconnect(nowait=True)
            await self._pool.release(connection)


class _Line(asyncio.Protocol):
    """Reads answers where they arrive: by way of the client's streams each would be copied more often, and wake its asker later."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._streams: asyncio.BaseProtocol = transport.get_protocol()
        self._loop = asyncio.get_running_loop()
        self._answer = Answer()
        self._waiter: asyncio.Future[Any] | None = None
        transport.set_protocol(self)

    async def asked(self, command: bytes, seconds: float) -> Any:
        """Return the answer to a command."""
        if self._transport.is_closing():
            raise ValkeyConnectionError(_CLOSED)
        waiter = self._waiter = self._loop.create_future()
        self._answer = Answer()
        timer = self._loop.call_later(seconds, self._fail, TimeoutError())
        try:
            self._transport.write(command)
            return await waiter
        finally:
            timer.cancel()

    def data_received(self, data: bytes) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            return  # whoever asked has given the connection up
        try:
            if self._answer.read(data):
                waiter.set_result(self._answer.value)
        except Exception as error:  # noqa: BLE001 - whoever asked meets it
            waiter.set_exception(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or ValkeyConnectionError(_CLOSED))
        self._streams.connection_lost(exc)

    def _fail(self, error: Exception) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)


class Answer:
    """One answer in RESP2, read on with each piece of it that arrives, so that a long one costs no more for its length."""

    def __init__(self) -> None:
        self.value: Any = None
        self._data: bytes | bytearray = b""
        self._at = 0
        self._open: list[tuple[list[Any], int]] = []  # the arrays around this place, with how many values each will have

    def read(self, piece: bytes) -> bool:
        """Take the next piece, and say whether the answer is whole; raises `ResponseError` when it is a refusal."""
        if not self._data:
            self._data = piece  # mostly the whole answer
        elif isinstance(self._data, bytearray):
            self._data += piece
        else:
            self._data = bytearray(self._data + piece)
        data, at, around = self._data, self._at, self._open
        while True:
            try:
                value, at, follow = _item(data, at)
            except IndexError:
                self._at = at
                return False
            if follow:
                around.append((value, follow))
                continue
            # Put it into its array, and that into its own when it is whole.
            while around:
                values, count = around[-1]
                values.append(value)
                if len(values) < count:
                    break
                value, _ = around.pop()
            else:
                self.value = value
                return True


def _item(data: bytes | bytearray, at: int) -> tuple[Any, int, int]:
    """Read a string or the head of an array, where it ends, and how many values follow; `IndexError` where the data ends too early."""
    end = data.find(b"\r\n", at)
    if end < 0:
        raise IndexError
    kind, number = data[at], data[at + 1 : end]
    at = end + 2
    if kind == 36:  # $, a string
        length = int(number)
        if length < 0:
            return None, at, 0
        if at + length + 2 > len(data):
            raise IndexError
        return bytes(data[at : at + length]), at + length + 2, 0
    if kind == 42:  # *, an array; -1 is one that is not there
        return [], at, max(int(number), 0)
    if kind == 45:  # -, an error
        raise ResponseError(number.decode(errors="replace"))
    raise ResponseError(f"Unexpected answer: {bytes(data[:32])!r}")
