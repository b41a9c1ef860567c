"""How much a caller may ask in a while: token buckets in Valkey, from which each process borrows a little ahead.

A caller is a person in a tenant, whatever they speak with, or else the network that an address is of; a network has a second bucket,
for looking up credentials that a process does not know. A caller's points lie in one bucket that all processes share, and so do those
of the caller's tenant. One script takes from both or from none. So that a request need not wait for Valkey, a process borrows a
sixteenth of what is left and spends that by itself; what it does not spend it gives back a second later. What is borrowed is charged,
so all processes together never grant more than the buckets hold.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple
from uuid import UUID

import structlog
from valkey.asyncio import Valkey
from valkey.exceptions import ValkeyError

from auth.background import Background
from auth.throttle import place_of
from auth.viewers import Viewer
from errors import RateLimited
from settings import Settings

log = structlog.get_logger()

# KEYS are the buckets, the caller's own first. ARGV: the points that are needed (below zero they are given back), how many times
# more may be borrowed, then capacity and points a second for each bucket. The answer: what was granted, the bucket that refuses
# (0 for none), milliseconds until it would not, and what is left in the caller's own. Only the server's clock counts.
_TAKE: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + clock[2] / 1000
local need, share = tonumber(ARGV[1]), tonumber(ARGV[2])
local levels, grant, refusing, wait = {}, nil, 0, 0
for place, key in ipairs(KEYS) do
  local capacity, rate = tonumber(ARGV[2 * place + 1]), tonumber(ARGV[2 * place + 2]) / 1000
  local state = redis.call('HMGET', key, 'level', 'at')
  local level = capacity
  if state[1] then level = math.min(capacity, tonumber(state[1]) + math.max(0, now - tonumber(state[2])) * rate) end
  levels[place] = level
  if level < need then
    if (need - level) / rate > wait then refusing, wait = place, (need - level) / rate end
  else
    local lent = math.max(need, math.floor(level * share))
    if grant == nil or lent < grant then grant = lent end
  end
end
if refusing > 0 then return {0, refusing, math.ceil(wait), math.floor(levels[1])} end
if need < 0 then grant = need end
for place, key in ipairs(KEYS) do
  local capacity, rate = tonumber(ARGV[2 * place + 1]), tonumber(ARGV[2 * place + 2]) / 1000
  levels[place] = math.min(capacity, levels[place] - grant)
  redis.call('HSET', key, 'level', levels[place], 'at', now)
  redis.call('PEXPIRE', key, math.ceil((capacity - levels[place]) / rate) + 1000)
end
return {grant, 0, 0, math.floor(levels[1])}
"""
STRANGER: Final = "address"
CREDENTIAL: Final = "credential"
"""An address's buckets. They are two, so that who sprays forged credentials keeps nobody behind the same address from signing in, and
who asks much without a credential keeps nobody out who has one."""
BORROWED_SHARE: Final = 1 / 16
# What is not spent for this long is given back.
LENT_SECONDS: Final = 1.0
# How long Valkey is left alone after it did not answer: meanwhile nobody waits for it.
AWAY_SECONDS: Final = 1.0
MOST_ACCOUNTS: Final = 50_000
# An account's person and tenant have a reserve each.
MOST_RESERVES: Final = 2 * MOST_ACCOUNTS


class Bucket(NamedTuple):
    """At most `capacity` points at once, and `per_second` more each second; `name` is told to callers."""

    name: str
    key: str
    capacity: int
    per_second: int


@dataclass(slots=True)
class Reserve:
    """What this process may grant of one bucket without Valkey, as of a moment."""

    level: float
    at: float

    def fill(self, capacity: float, per_second: float, now: float) -> None:
        """Add what came back since the moment that was noted."""
        self.level = min(capacity, self.level + (now - self.at) * per_second)
        self.at = now


@dataclass(slots=True, eq=False)
class Account:
    """What this process holds of one caller's points."""

    buckets: tuple[Bucket, ...]
    borrowed: float = 0.0
    level: float = 0.0  # what was left in the caller's own bucket `at` this moment
    at: float = 0.0

    @property
    def own(self) -> Bucket:
        return self.buckets[0]

    def remaining(self, now: float) -> int:
        """How many points are left, as far as this process knows."""
        own = self.own
        return int(min(own.capacity, max(0.0, self.level) + (now - self.at) * own.per_second + self.borrowed))


@dataclass(slots=True)
class Charge:
    """What one operation was charged; after it ran, less may turn out to be its cost."""

    account: Account
    requested: int
    cost: int
    remaining: int = 0
    alone: bool = False  # granted while Valkey was away

    @property
    def limit(self) -> int:
        """The most that the caller's bucket holds, in points."""
        return self.account.own.capacity

    @property
    def restore_per_second(self) -> int:
        """How many points come back each second."""
        return self.account.own.per_second

    @property
    def seconds_to_full(self) -> float:
        """How long until the caller's bucket is full again."""
        return max(0, self.limit - self.remaining) / self.restore_per_second


class RateLimits:
    """Charges operations. `charge` raises `RateLimited`; while Valkey is away each process grants a share of each bucket by itself."""

    def __init__(self, valkey: Valkey, background: Background, settings: Settings) -> None:
        self._take = valkey.register_script(_TAKE)
        self._background = background
        self._settings = settings
        self._sizes = {
            "principal": (settings.rate_limit_principal_points, settings.rate_limit_principal_per_second),
            "tenant": (settings.rate_limit_tenant_points, settings.rate_limit_tenant_per_second),
            STRANGER: (settings.rate_limit_address_points, settings.rate_limit_address_per_second),
            CREDENTIAL: (settings.rate_limit_credential_points, settings.rate_limit_credential_per_second),
        }
        self._accounts: OrderedDict[tuple[UUID, UUID] | tuple[str, str], Account] = OrderedDict()
        self._reserves: OrderedDict[str, Reserve] = OrderedDict()
        self._away_until = 0.0
        self._lent: set[Account] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def charge(self, viewer: Viewer | None, address: str, points: int, *, stranger: str = STRANGER) -> Charge:
        """Charge a caller, known by their credential or else by their address; raises `RateLimited` and charges nothing.

        Which of their address's buckets a `stranger` pays from is `STRANGER` for what they ask and `CREDENTIAL` for being looked up.
        """
        account, alone = self._account(viewer, address, stranger), False
        if account.borrowed >= points:
            account.borrowed -= points
        elif time.monotonic() < self._away_until or not await self._borrow(account, points):
            self._grant_alone(account, points)
            alone = True
        return Charge(account, points, points, account.remaining(time.monotonic()), alone)

    def refund(self, charge: Charge, cost: int) -> None:
        """Give back what an operation did not cost after all."""
        unspent = charge.cost - cost
        if unspent > 0:
            charge.cost = cost
            charge.remaining = min(charge.limit, charge.remaining + unspent)
            if charge.alone:
                for bucket in charge.account.buckets:
                    self._reserve(bucket).level += unspent
            else:
                charge.account.borrowed += unspent
                self._lend(charge.account)

    async def close(self) -> None:
        """Give everything back."""
        if self._timer is not None:
            self._timer.cancel()
        await self._return(self._lent)

    def _account(self, viewer: Viewer | None, address: str, stranger: str = STRANGER) -> Account:
        key = (viewer.tenant_id, viewer.user_id) if viewer else (stranger, place_of(address))
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = Account(self._buckets(viewer, address, stranger))
            if len(self._accounts) > MOST_ACCOUNTS:
                self._accounts.popitem(last=False)
        else:
            self._accounts.move_to_end(key)
        return account

    def _buckets(self, viewer: Viewer | None, address: str, stranger: str) -> tuple[Bucket, ...]:
        prefix = f"{self._settings.valkey_prefix}:limit"
        if viewer is None:
            # No one's address lies in Valkey.
            return (self._bucket(stranger, f"{prefix}:{stranger}:{hashlib.sha256(place_of(address).encode()).hexdigest()[:32]}"),)
        # One hash tag keeps the two in one slot of a cluster.
        tenant = f"{prefix}:{{{viewer.tenant_id}}}"
        return self._bucket("principal", f"{tenant}:{viewer.user_id}"), self._bucket("tenant", tenant)

    def bucket(self, name: str) -> Bucket | None:
        """Return what a bucket of this name holds; None where it is none of these."""
        return self._bucket(name, "") if name in self._sizes else None

    def _bucket(self, name: str, key: str) -> Bucket:
        """A bucket holds at least what the dearest operation costs, which else could never run."""
        points, per_second = self._sizes[name]
        return Bucket(name, key, max(points, self._settings.graphql_max_cost), per_second)

    async def _borrow(self, account: Account, points: int) -> bool:
        """Take points from the shared buckets, and a few more; False when Valkey does not answer."""
        try:
            granted, refusing, wait_ms, level = await self._ask(account, points)
        except (ValkeyError, OSError) as error:
            self._away_until = time.monotonic() + AWAY_SECONDS
            log.warning("limits_lost_valkey", error=type(error).__name__)
            return False
        account.level, account.at = level, time.monotonic()
        if refusing:
            raise _refused(account.buckets[refusing - 1], wait_ms)
        account.borrowed += granted - points
        self._lend(account)
        return True

    async def _ask(self, account: Account, points: int) -> tuple[int, int, int, int]:
        numbers = [number for bucket in account.buckets for number in (bucket.capacity, bucket.per_second)]
        async with asyncio.timeout(self._settings.valkey_timeout_seconds):
            answer = await self._take(keys=[bucket.key for bucket in account.buckets], args=[points, BORROWED_SHARE, *numbers])
        granted, refusing, wait_ms, level = answer
        return granted, refusing, wait_ms, level

    def _grant_alone(self, account: Account, points: int) -> None:
        """Grant from smaller buckets of this process's own, from all or none: never without a bound, and never nothing."""
        reserves = [self._reserve(bucket) for bucket in account.buckets]
        account.level, account.at = reserves[0].level, reserves[0].at
        waits = [(points - reserve.level) / self._alone(bucket)[1] for reserve, bucket in zip(reserves, account.buckets, strict=True)]
        if (longest := max(waits)) > 0:
            raise _refused(account.buckets[waits.index(longest)], int(longest * 1000) + 1)
        for reserve in reserves:
            reserve.level -= points
        account.level = reserves[0].level

    def _alone(self, bucket: Bucket) -> tuple[float, float]:
        """How much of a bucket this process grants without Valkey, at once and each second."""
        share = self._settings.rate_limit_alone_percent / 100
        return max(bucket.capacity * share, self._settings.graphql_max_cost), bucket.per_second * share

    def _reserve(self, bucket: Bucket) -> Reserve:
        """Find what may be granted of a bucket now; all accounts of a tenant share the tenant's."""
        capacity, per_second = self._alone(bucket)
        now = time.monotonic()
        reserve = self._reserves.get(bucket.key)
        if reserve is None:
            reserve = self._reserves[bucket.key] = Reserve(capacity, now)
            if len(self._reserves) > MOST_RESERVES:
                self._reserves.popitem(last=False)
        else:
            self._reserves.move_to_end(bucket.key)
            reserve.fill(capacity, per_second, now)
        return reserve

    def _lend(self, account: Account) -> None:
        """See to it that what an account holds is given back."""
        self._lent.add(account)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LENT_SECONDS, self._give_back)

    def _give_back(self) -> None:
        """Give back what was not spent within a second; a busy caller borrows anew."""
        self._timer = None
        lent, self._lent = self._lent, set()
        due = [account for account in lent if time.monotonic() - account.at >= LENT_SECONDS]
        for account in lent.difference(due):
            self._lend(account)
        if due:
            self._background.start(self._return(due), name="rate limits")

    async def _return(self, accounts: Iterable[Account]) -> None:
        for account in accounts:
            unspent, account.borrowed = int(account.borrowed), 0.0
            if unspent > 0 and time.monotonic() >= self._away_until:
                try:
                    _, _, _, account.level = await self._ask(account, -unspent)
                    account.at = time.monotonic()
                except (ValkeyError, OSError):
                    return  # the buckets fill up by themselves


def _refused(bucket: Bucket, wait_ms: int) -> RateLimited:
    message = f"Too much was asked in a short time (limit of the {bucket.name}); wait a while."
    return RateLimited(message, bucket=bucket.name, retry_after_ms=max(wait_ms, 1))
