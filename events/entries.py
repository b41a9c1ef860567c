"""Waiting for entries of streams on a connection of its own: the general client costs several times what the wait does."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from valkey.asyncio import Valkey
from valkey.exceptions import ConnectionError as ValkeyConnectionError
from valkey.exceptions import ResponseError

Entry = tuple[str, Mapping[bytes, bytes]]
CHUNK: Final = 65_536


class Entries:
    """Asks for what comes after given ids. The client opens the connection, with all that its settings say."""

    def __init__(self, valkey: Valkey, *, patience_seconds: float) -> None:
        self._pool: Any = valkey.connection_pool  # whose methods the client leaves untyped
        self._patience = patience_seconds
        self._connection: Any = None

    async def after(self, ids: Mapping[str, str], *, block_ms: int) -> list[tuple[str, list[Entry]]]:
        """Return the entries behind these ids by stream, nothing after so many milliseconds; raises what the client raises."""
        try:
            async with asyncio.timeout(block_ms / 1000 + self._patience):
                if self._connection is None:
                    self._connection = await self._pool.get_connection("XREAD")
                return _entries(await self._asked(_command(ids, block_ms)))
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Give the connection up: whatever it would still answer is not read."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.disconnect(nowait=True)
            await self._pool.release(connection)

    async def _asked(self, command: bytes) -> Any:
        reader, writer = self._connection._reader, self._connection._writer  # noqa: SLF001 - the client has no cheaper way to its streams
        writer.write(command)
        data = b""
        while True:
            chunk = await reader.read(CHUNK)
            if not chunk:
                raise ValkeyConnectionError("Connection closed by server.")
            data = data + chunk if data else chunk
            try:
                return _value(data, 0)[0]
            except IndexError:
                continue


def _command(ids: Mapping[str, str], block_ms: int) -> bytes:
    words = [b"XREAD", b"BLOCK", b"%d" % block_ms, b"STREAMS", *map(str.encode, ids), *map(str.encode, ids.values())]
    return b"*%d\r\n" % len(words) + b"".join([b"$%d\r\n%b\r\n" % (len(word), word) for word in words])


def _value(data: bytes, at: int) -> tuple[Any, int]:
    """Read one value of RESP2 from here on; raises `IndexError` where the data ends too early."""
    end = data.find(b"\r\n", at)
    if end < 0:
        raise IndexError
    kind, number = data[at], data[at + 1 : end]
    at = end + 2
    if kind == 36:  # $, a string
        length = int(number)
        if length < 0:
            return None, at
        if at + length + 2 > len(data):
            raise IndexError
        return data[at : at + length], at + length + 2
    if kind == 42:  # *, an array
        values = []
        for _ in range(int(number)):
            value, at = _value(data, at)
            values.append(value)
        return values, at
    if kind == 45:  # -, an error
        raise ResponseError(number.decode(errors="replace"))
    raise ResponseError(f"Unexpected answer: {data[:32]!r}")


def _entries(answer: list[Any]) -> list[tuple[str, list[Entry]]]:
    """Make the streams' entries of what XREAD answers: pairs of key and entries, of id and fields, of name and value."""
    return [
        (key.decode(), [(entry_id.decode(), dict(zip(fields[::2], fields[1::2], strict=True))) for entry_id, fields in entries])
        for key, entries in answer
    ]
