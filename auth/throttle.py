"""Counts attempts in Valkey and refuses those beyond a limit: sign-ins, sign-ups, mails asked for."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from valkey.asyncio import Valkey
from valkey.exceptions import ValkeyError

from errors import RateLimited, Unavailable
from settings import Settings

# KEYS are the counters; ARGV is the amount (1 to charge, -1 to refund), then a limit and a window in milliseconds for each counter.
# All counters are charged, or none: the answer is the refusing counter's place (0 for none) and how long it still refuses.
# A window begins with its first attempt and ends by expiry, so only the server's own clock counts.
_CHARGE: Final = """
local amount = tonumber(ARGV[1])
local refusing, longest = 0, 0
for place, key in ipairs(KEYS) do
  local used = tonumber(redis.call('GET', key) or '0')
  if amount > 0 and used + amount > tonumber(ARGV[2 * place]) then
    local left = redis.call('PTTL', key)
    if left < 0 then left = tonumber(ARGV[2 * place + 1]) end
    if left > longest or refusing == 0 then refusing, longest = place, left end
  end
end
if refusing > 0 then return {refusing, longest} end
for place, key in ipairs(KEYS) do
  if amount > 0 then
    if redis.call('INCRBY', key, amount) == amount then redis.call('PEXPIRE', key, ARGV[2 * place + 1]) end
  elseif tonumber(redis.call('GET', key) or '0') > 0 then
    redis.call('INCRBY', key, amount)
  end
end
return {0, 0}
"""


class ThrottleIsAway(Unavailable):
    """Attempts cannot be counted, so none is let through."""

    def __init__(self) -> None:
        super().__init__("Signing in is not possible right now; try again in a moment.")


@dataclass(frozen=True)
class Bucket:
    """At most `limit` attempts in `window_seconds` for one key, such as an address; `name` is told to who is refused."""

    name: str
    key: str = field(repr=False)
    limit: int
    window_seconds: float


class Throttle:
    """Charges buckets before an attempt and gives back after a success; without Valkey it raises `ThrottleIsAway`."""

    def __init__(self, valkey: Valkey, settings: Settings) -> None:
        self._valkey = valkey
        self._charge = valkey.register_script(_CHARGE)
        # One hash tag keeps the counters of a charge in one slot of a cluster.
        self._prefix = f"{settings.valkey_prefix}:{{throttle}}"
        self._timeout_seconds = settings.valkey_timeout_seconds

    async def charge(self, *buckets: Bucket) -> None:
        """Count an attempt in every bucket, or in none and raise `RateLimited` for the one that is full longest."""
        refusing, left = await self._run(1, buckets)
        if refusing:
            full = buckets[refusing - 1]
            raise RateLimited("Too many attempts; wait a while.", bucket=full.name, retry_after_ms=max(left, 1))

    async def refund(self, *buckets: Bucket) -> None:
        """Take one attempt back, after a success; a window that is over stays over."""
        await self._run(-1, buckets)

    async def clear(self, *buckets: Bucket) -> None:
        """Forget all attempts, for instance after the password was changed."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._valkey.delete(*map(self._place, buckets))
        except (ValkeyError, OSError) as error:
            raise ThrottleIsAway from error

    async def _run(self, amount: int, buckets: Sequence[Bucket]) -> tuple[int, int]:
        limits = [number for one in buckets for number in (one.limit, max(1, int(one.window_seconds * 1000)))]
        try:
            async with asyncio.timeout(self._timeout_seconds):
                refusing, left = await self._charge(keys=[self._place(one) for one in buckets], args=[amount, *limits])
        except (ValkeyError, OSError) as error:
            raise ThrottleIsAway from error
        return refusing, left

    def _place(self, bucket: Bucket) -> str:
        """The counter's key, which holds no one's address: a hash of it."""
        return f"{self._prefix}:{bucket.name}:{hashlib.sha256(bucket.key.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def place_of(address: str) -> str:
    """The key of a client's place, its network; whoever comes through a unix socket has none, and shares one with all who do."""
    try:
        return network_of(address)
    except ValueError:
        return "unknown"


def network_of(address: str) -> str:
    """The key of a client's address: itself, or for IPv6 the /64 that one subscriber has; raises `ValueError` for no address."""
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ip_network((parsed.packed[:8] + bytes(8), 64)))
    return str(parsed)
