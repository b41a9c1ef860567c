"""How deployments stand, kept in Valkey for all processes: a hash and a sorted set for each, changed by scripts by the server's clock.

Without Valkey a process goes on by what it sees itself: nothing is refused because Valkey is away.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar
from uuid import UUID

import structlog
from valkey.asyncio import Valkey
from valkey.exceptions import ValkeyError

from inference.deployments import Deployment
from inference.models import ProviderFailed
from inference.standings import (
    BUSY_MS,
    MINUTE_MS,
    NEWEST,
    Booking,
    Hindrance,
    LocalStandings,
    Rules,
    Standing,
    blamed_pause,
    is_key_s_fault,
)
from settings import Settings

log = structlog.get_logger()
T = TypeVar("T")

# Fields: f failures in a row, c cooldowns in a row, u cools until, p probed until, r and t what is left of the limits since rt and tt,
# h by which attempt, a whether the last failure was the key's, m the running average of first tokens, k the minute whose tokens are in kt.
# What nobody asks for a day is forgotten.
# KEYS: the hash, and the attempts under way by their end.
_NOW: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local state = {}
local flat = redis.call('HGETALL', KEYS[1])
for place = 1, #flat, 2 do state[flat[place]] = tonumber(flat[place + 1]) end
local function get(name) return state[name] or 0 end
local function set(...) redis.call('HSET', KEYS[1], ...); redis.call('PEXPIRE', KEYS[1], 86400000) end
local minute = math.floor(now / 60000)
local function take(tokens)
  local taken = get('k') == minute and get('kt') or 0
  set('k', minute, 'kt', math.max(0, taken + tokens))
end
"""
# ARGV: rpm and tpm (-1 for none), the tokens of the question, a probe's time, the attempt, how long it counts as under way.
_BOOK: Final = (
    _NOW
    + """
if get('u') > now then return {'COOLDOWN', get('u') - now} end
if get('c') > 0 and get('p') > now then return {'PROBE', get('p') - now} end
local function level(left, at, limit, wanted)
  if limit < 0 then return 0, 0 end
  local now_left = state[left] and math.min(limit, state[left] + (now - get(at)) * limit / 60000) or limit
  local missing = math.min(wanted, limit) - now_left
  if missing <= 0 then return now_left - wanted, 0 end
  return now_left, math.max(1, math.ceil(missing * 60000 / limit))
end
local rpm, tpm, tokens = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local requests_left, wait = level('r', 'rt', rpm, 1)
if wait > 0 then return {'RPM', wait} end
local tokens_left
tokens_left, wait = level('t', 'tt', tpm, tokens)
if wait > 0 then return {'TPM', wait} end
set('r', tostring(requests_left), 'rt', now, 't', tostring(tokens_left), 'tt', now)
if rpm < 0 then redis.call('HDEL', KEYS[1], 'r', 'rt') end
if tpm < 0 then redis.call('HDEL', KEYS[1], 't', 'tt') end
take(tokens)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
redis.call('ZADD', KEYS[2], now + ARGV[6], ARGV[5])
redis.call('PEXPIRE', KEYS[2], ARGV[6])
if get('c') > 0 then
  set('p', now + ARGV[4], 'h', ARGV[5])
  return {'', 1}
end
return {'', 0}
"""
)
# ARGV: how long the first token took, and how much it weighs.
_ANSWERED: Final = (
    _NOW
    + """
local after = tonumber(ARGV[1])
local average = state['m'] and state['m'] + tonumber(ARGV[2]) * (after - state['m']) or after
set('m', tostring(average), 'f', 0, 'c', 0, 'u', 0, 'p', 0, 'a', 0)
"""
)
# ARGV: the attempt, how many more tokens it took than were booked, and the pause that its failure asks for (-1 for no failure, 0 for
# none); then after how many failures a pause is made, how long, and how long at most; and 1 where the key was refused.
_ENDED: Final = (
    _NOW
    + """
redis.call('ZREM', KEYS[2], ARGV[1])
local more, pause = tonumber(ARGV[2]), tonumber(ARGV[3])
local is_probe = get('p') > 0 and redis.call('HGET', KEYS[1], 'h') == ARGV[1]
if is_probe then set('p', 0) end
if more ~= 0 then
  take(more)
  if state['t'] then set('t', tostring(state['t'] - more)) end
end
if pause < 0 then return end
local failures, cooldowns = get('f') + 1, get('c')
set('f', failures, 'a', ARGV[7])
if pause > 0 then
  set('c', math.max(1, cooldowns), 'u', math.max(get('u'), now + pause))
elseif is_probe or (cooldowns == 0 and failures >= tonumber(ARGV[4])) then
  set('c', cooldowns + 1, 'u', now + math.min(tonumber(ARGV[6]), tonumber(ARGV[5]) * 2 ^ cooldowns))
end
"""
)


class SharedStandings:
    """How deployments stand as all processes together have seen."""

    def __init__(self, valkey: Valkey, settings: Settings) -> None:
        self._valkey = valkey
        self._prefix = settings.valkey_prefix
        self._timeout_seconds = settings.valkey_timeout_seconds
        self._rules = Rules.of(settings)
        self._local = LocalStandings(self._rules)
        self._book, self._answered, self._ended = (valkey.register_script(text) for text in (_BOOK, _ANSWERED, _ENDED))

    async def book(self, deployment: Deployment, attempt: UUID, *, tokens: int) -> Booking:
        limits = [-1 if limit is None else limit for limit in (deployment.rpm, deployment.tpm)]
        arguments: list[str | int] = [*limits, tokens, self._rules.probe_ms, str(attempt), BUSY_MS]

        async def shared() -> Booking:
            hindrance, number = await self._book(keys=self._keys(deployment.standing_id), args=arguments)
            return Booking(Hindrance(hindrance.decode()), int(number)) if hindrance else Booking(is_probe=bool(number))

        return await self._or_locally(shared, lambda: self._local.book(deployment, attempt, tokens=tokens))

    async def answered(self, deployment: Deployment, *, after_ms: float) -> None:
        await self._or_locally(
            lambda: self._answered(keys=self._keys(deployment.standing_id), args=[after_ms, NEWEST]),
            lambda: self._local.answered(deployment, after_ms=after_ms),
        )

    async def ended(self, deployment: Deployment, attempt: UUID, *, tokens: int, failure: ProviderFailed | None = None) -> None:
        pause, rules = blamed_pause(failure, self._rules), self._rules
        arguments: list[str | int] = [
            str(attempt),
            tokens,
            -1 if pause is None else pause,
            rules.failures,
            rules.pause_ms,
            rules.longest_pause_ms,
            int(is_key_s_fault(failure)),
        ]
        await self._or_locally(
            lambda: self._ended(keys=self._keys(deployment.standing_id), args=arguments),
            lambda: self._local.ended(deployment, attempt, tokens=tokens, failure=failure),
        )

    async def look(self, standing_ids: Sequence[UUID]) -> list[Standing]:
        async def shared() -> list[Standing]:
            pipe = self._valkey.pipeline(transaction=False)
            pipe.time()
            for standing_id in standing_ids:
                state, busy = self._keys(standing_id)
                pipe.hgetall(state)
                pipe.zrange(busy, 0, -1, withscores=True)
            (seconds, microseconds), *found = await pipe.execute()
            now = int(seconds) * 1000 + int(microseconds) // 1000
            return [_standing(state, busy, now) for state, busy in zip(found[::2], found[1::2], strict=True)]

        return await self._or_locally(shared, lambda: self._local.look(standing_ids))

    async def forget(self, standing_ids: Sequence[UUID]) -> None:
        async def shared() -> None:
            await self._valkey.delete(*(self._keys(one)[0] for one in standing_ids))

        if standing_ids:
            await self._or_locally(shared, lambda: self._local.forget(standing_ids))

    async def _or_locally(self, shared: Callable[[], Awaitable[T]], locally: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await shared()
        except (ValkeyError, OSError) as error:
            log.warning("standings_are_local", error=type(error).__name__)
            return await locally()

    def _keys(self, standing_id: UUID) -> list[str]:
        """One hash tag keeps both in one slot of a cluster."""
        key = f"{self._prefix}:{{deployment:{standing_id}}}"
        return [key, f"{key}:busy"]


def _standing(state: dict[bytes, bytes], busy: list[tuple[bytes, float]], now: int) -> Standing:
    known: dict[str, Any] = {name.decode(): float(value) for name, value in state.items() if name != b"h"}
    return Standing(
        failures=int(known.get("f", 0)),
        cooldowns=int(known.get("c", 0)),
        cools_for_ms=max(0, int(known.get("u", 0)) - now),
        first_token_ms=known.get("m"),
        busy=sum(until > now for _, until in busy),
        tokens=int(known.get("kt", 0)) if known.get("k") == now // MINUTE_MS else 0,
        asked=bool(known),
        refused=bool(known.get("a", 0)),
    )
