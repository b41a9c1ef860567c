"""Connections to Valkey for what is asked all the time: the general client costs several times what a short command does."""

import asyncio
from collections import deque
from collections.abc import Sequence
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
        """Return the answer to a command; raises what the client raises. After a failure the connection is another one."""
        try:
            if self._line is None:
                async with asyncio.timeout(seconds):
                    self._connection = await self._pool.get_connection(words[0].decode())
                self._line = _Line(self._connection._writer.transport)  # noqa: SLF001 - the client has no cheaper way to its transport
            (answer,) = await self._line.asked(_packed(words), 1, seconds)
        except BaseException:
            await self.close()
            raise
        if isinstance(answer, ResponseError):
            raise answer
        return answer

    async def close(self) -> None:
        """Give the connection up: whatever it would still answer is not read."""
        self._line = None
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.disconnect(nowait=True)
            await self._pool.release(connection)


class Pipe:
    """Sends the commands of many askers over one connection, none of which waits for the answers to another's."""

    def __init__(self, valkey: Valkey, *, seconds: float) -> None:
        self._pool: Any = valkey.connection_pool
        self._seconds = seconds
        self._connection: Any = None
        self._line: _Line | None = None
        self._opening = asyncio.Lock()

    async def asked(self, *commands: Sequence[bytes]) -> list[Any]:
        """Return the answers to commands that follow each other; a refusal is among them. Raises what the client raises.

        Who is cancelled meanwhile cannot know whether they were carried out.
        """
        line = self._line
        if line is None or line.is_lost:
            line = await self._opened()
        return await line.asked(b"".join(map(_packed, commands)), len(commands), self._seconds)

    async def _opened(self) -> "_Line":
        async with self._opening:
            if self._line is None or self._line.is_lost:
                await self._close()
                async with asyncio.timeout(self._seconds):
                    self._connection = await self._pool.get_connection("PING")
                self._line = _Line(self._connection._writer.transport)  # noqa: SLF001 - as above
            return self._line

    async def _close(self) -> None:
        self._line = None
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.disconnect(nowait=True)
            await self._pool.release(connection)


def refusal_among(answers: Sequence[Any]) -> ResponseError | None:
    """Return the first refusal among answers, and among those to the commands of a transaction."""
    for answer in answers:
        refused = refusal_among(answer) if isinstance(answer, list) else answer
        if isinstance(refused, ResponseError):
            return refused
    return None


def _packed(words: Sequence[bytes]) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])


class _Line(asyncio.Protocol):
    """Reads answers where they arrive: by way of the client's streams each would be copied more often, and wake its asker later."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._streams: asyncio.BaseProtocol = transport.get_protocol()
        self._loop = asyncio.get_running_loop()
        self._answer = Answer()
        self._waiting: deque[tuple[asyncio.Future[list[Any]], list[Any], int]] = deque()
        transport.set_protocol(self)

    @property
    def is_lost(self) -> bool:
        """Whether nothing more can be asked."""
        return self._transport.is_closing()

    async def asked(self, commands: bytes, count: int, seconds: float) -> list[Any]:
        """Return the answers to so many commands."""
        if self.is_lost:
            raise ValkeyConnectionError(_CLOSED)
        waiter: asyncio.Future[list[Any]] = self._loop.create_future()
        self._waiting.append((waiter, [], count))
        timer = self._loop.call_later(seconds, self._give_up, TimeoutError())
        try:
            self._transport.write(commands)
            return await waiter
        finally:
            timer.cancel()

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        try:
            while answer.read(data):
                self._take(answer.value)
                data = answer.rest
                answer = self._answer = Answer()
        except Exception as error:  # noqa: BLE001 - whatever it is, nobody can be told what is whose from here on
            self._give_up(error)

    def _take(self, value: Any) -> None:
        waiter, values, count = self._waiting[0]
        values.append(value)
        if len(values) == count:
            self._waiting.popleft()
            if not waiter.done():  # whoever asked may have been cancelled
                waiter.set_result(values)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or ValkeyConnectionError(_CLOSED))
        self._streams.connection_lost(exc)

    def _give_up(self, error: Exception) -> None:
        self._transport.abort()
        self._fail(error)

    def _fail(self, error: Exception) -> None:
        waiting, self._waiting = self._waiting, deque()
        for waiter, _, _ in waiting:
            if not waiter.done():
                waiter.set_exception(error)


class Answer:
    """One answer in RESP2, read on with each piece of it that arrives, so that a long one costs no more for its length."""

    def __init__(self) -> None:
        self.value: Any = None
        self._data: bytes | bytearray = b""
        self._at = 0
        self._open: list[tuple[list[Any], int]] = []  # the arrays around this place, with how many values each will have

    def read(self, piece: bytes) -> bool:
        """Take the next piece, and say whether the answer is whole; a `ResponseError` is its value where it is a refusal."""
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
                self.value, self._at = value, at
                return True

    @property
    def rest(self) -> bytes:
        """What came behind the answer, when it is whole."""
        return bytes(self._data[self._at :])


def _item(data: bytes | bytearray, at: int) -> tuple[Any, int, int]:
    """Read a value or the head of an array, where it ends, and how many values follow; `IndexError` where the data ends too early."""
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
        return ResponseError(number.decode(errors="replace")), at, 0
    if kind == 58:  # :, a number
        return int(number), at, 0
    if kind == 43:  # +, a word
        return bytes(number), at, 0
    raise ResponseError(f"Unexpected answer: {bytes(data[:32])!r}")
