"""Waiting for entries of streams."""

from collections.abc import Mapping
from typing import Any, Final

from valkey.asyncio import Valkey

from events.wires import Wire

Entry = tuple[str, Mapping[bytes, bytes]]
MOST_ENTRIES: Final = 200
"""What an answer brings of each stream at most: whoever is far behind is told in steps, each within the time for one answer."""


class Entries:
    """Asks for what comes after given ids."""

    def __init__(self, valkey: Valkey, *, patience_seconds: float) -> None:
        self._wire = Wire(valkey)
        self._patience = patience_seconds

    async def after(self, ids: Mapping[str, str], *, block_ms: int) -> list[tuple[str, list[Entry]]]:
        """Return the entries behind these ids by stream, nothing after so many milliseconds; raises what the client raises."""
        limits = (b"COUNT", b"%d" % MOST_ENTRIES, b"BLOCK", b"%d" % block_ms)
        words = (b"XREAD", *limits, b"STREAMS", *map(str.encode, ids), *map(str.encode, ids.values()))
        return entries_of(await self._wire.asked(*words, seconds=block_ms / 1000 + self._patience))

    async def close(self) -> None:
        """Give the connection up."""
        await self._wire.close()


def entries_of(answer: list[Any]) -> list[tuple[str, list[Entry]]]:
    """Make the streams' entries of what XREAD answers: pairs of key and entries, of id and fields, of name and value."""
    return [
        (key.decode(), [(entry_id.decode(), dict(zip(fields[::2], fields[1::2], strict=True))) for entry_id, fields in entries])
        for key, entries in answer
    ]
