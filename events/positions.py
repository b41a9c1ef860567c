"""Up to where in the database's WAL each tenant has written, told from process to process through Valkey."""

import asyncio
from typing import Final
from uuid import UUID

import structlog
from valkey.asyncio import Valkey
from valkey.exceptions import ValkeyError

from events.rounds import Rounds
from events.wires import Wire
from settings import Settings

log = structlog.get_logger()

# Writers come here in any order, and the furthest position counts; each keeps the key for its own while.
_TELL: Final = """
local known = tonumber(redis.call('GET', KEYS[1]) or '0')
return redis.call('SET', KEYS[1], string.format('%.0f', math.max(known, tonumber(ARGV[1]))), 'PX', ARGV[2])
"""
LIVES: Final = 10
"""How many times longer than a replica may lag a position is remembered: after that any replica that may be read has it."""
CLOCKS: Final = 1.25
"""How much longer than that a write waits that nobody could be told of."""


class WrittenPositions:
    """Tells and asks. `of` and `tell` belong together: what a writer told before it was answered, whoever asks afterwards hears."""

    def __init__(self, valkey: Valkey, settings: Settings) -> None:
        self._wire = Wire(valkey)
        self._seconds = settings.valkey_timeout_seconds
        self._told = valkey.register_script(_TELL)
        self._prefix = f"{settings.valkey_prefix}:written"
        self._lag_seconds = settings.database_replica_lag_seconds
        self._believed_from = 0.0
        self._rounds: Rounds[UUID, int | None] = Rounds(self._positions, unknown=None, name="positions")

    async def tell(self, tenant_id: UUID | None, position: int | None) -> None:
        """Let everybody know. Where that cannot be done, wait until no replica that may be read is without it."""
        try:
            if position is not None:
                await self._told(keys=[self._key(tenant_id)], args=[position, round(self._lag_seconds * LIVES * 1000)])
                return
        except (ValkeyError, OSError) as error:
            log.warning("position_not_told", error=type(error).__name__)
        await asyncio.sleep(self._lag_seconds * CLOCKS)

    async def of(self, tenant_id: UUID) -> int | None:
        """Return up to where this tenant has written lately, 0 where it has not, None while nobody can know."""
        return await self._rounds.of(tenant_id)

    async def close(self) -> None:
        """Give the connection up."""
        await self._rounds.close()
        await self._wire.close()

    async def _positions(self, tenant_ids: list[UUID]) -> list[int | None]:
        now = asyncio.get_running_loop().time
        is_new = not self._wire.is_open
        keys = [self._key(None), *map(self._key, tenant_ids)]
        try:
            anybody, *told = await self._wire.asked(b"MGET", *map(str.encode, keys), seconds=self._seconds)
        except (ValkeyError, OSError) as error:
            log.warning("positions_not_known", error=type(error).__name__)
            return [None] * len(tenant_ids)
        if is_new:
            # Who comes back may have forgotten what it was told: it is believed when no replica that may be read lacks that any more.
            self._believed_from = now() + self._lag_seconds * CLOCKS
        if now() < self._believed_from:
            return [None] * len(tenant_ids)
        return [max(int(anybody or 0), int(position or 0)) for position in told]

    def _key(self, tenant_id: UUID | None) -> str:
        return f"{self._prefix}:{tenant_id or 'anywhere'}"
