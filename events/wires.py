"""A connection to Valkey for one asker: the general client costs several times what a short command does."""

import asyncio
from typing import Any, Final

from valkey.asyncio import Valkey
from valkey.exceptions import ConnectionError as ValkeyConnectionError
from valkey.exceptions import ResponseError

CHUNK: Final = 65_536


class Wire:
    """Sends one command at a time. The client opens the connection, with all that its settings say, and anew after a failure."""

    def __init__(self, valkey: Valkey) -> None:
        self._pool: Any = valkey.connection_pool  # whose methods the client leaves untyped
        self._connection: Any = None

    @property
    def is_open(self) -> bool:
        """Whether the next command goes where the last one went."""
        return self._connection is not None

    async def asked(self, *words: bytes, seconds: float) -> Any:
        """Return the answer to a command; raises what the client raises, after which the connection is another one."""
        try:
            async with asyncio.timeout(seconds):
                if self._connection is None:
                    self._connection = await self._pool.get_connection(words[0].decode())
                return await self._answered(b"*%d\r\n" % len(words) + b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words]))
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Give the connection up: whatever it would still answer is not read."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.disconnect(nowait=True)
            await self._pool.release(connection)

    async def _answered(self, command: bytes) -> Any:
        reader, writer = self._connection._reader, self._connection._writer  # noqa: SLF001 - the client has no cheaper way to its streams
        writer.write(command)
        answer = Answer()
        while True:
            chunk = await reader.read(CHUNK)
            if not chunk:
                raise ValkeyConnectionError("Connection closed by server.")
            if answer.read(chunk):
                return answer.value


class Answer:
    """One answer in RESP2, read on with each piece of it that arrives, so that a long one costs no more for its length."""

    def __init__(self) -> None:
        self.value: Any = None
        self._data = bytearray()
        self._at = 0
        self._open: list[tuple[list[Any], int]] = []  # the arrays around this place, with how many values each will have

    def read(self, piece: bytes) -> bool:
        """Take the next piece, and say whether the answer is whole; raises `ResponseError` when it is a refusal."""
        self._data += piece
        while True:
            try:
                value, self._at, follow = _item(self._data, self._at)
            except IndexError:
                return False
            if follow:
                self._open.append((value, follow))
            elif self._is_last(value):
                return True

    def _is_last(self, value: Any) -> bool:
        """Put a value into its array, and that into its own when it is whole; whether nothing is missing then."""
        while self._open:
            values, count = self._open[-1]
            values.append(value)
            if len(values) < count:
                return False
            value, _ = self._open.pop()
        self.value = value
        return True


def _item(data: bytearray, at: int) -> tuple[Any, int, int]:
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
