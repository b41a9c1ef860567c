"""Documents that clients register by themselves, where their tenant allows it: in Valkey, for a while, a bounded number for each tenant."""

import asyncio
from typing import Any, Final
from uuid import UUID

import structlog
from valkey.asyncio import Valkey

from auth.encryption.ciphers import ContentIsUnreadable
from auth.encryption.keyring import Keyring
from events.valkey import OUTAGES
from gateway.formats import hash_of
from settings import Settings

log = structlog.get_logger()

# KEYS: the texts by hash, and when each of them ends. The one that would end first makes room.
_KEEP: Final = """
local now, life, most = tonumber(redis.call('TIME')[1]), tonumber(ARGV[3]), tonumber(ARGV[4])
local gone = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now)
if not redis.call('ZSCORE', KEYS[2], ARGV[1]) and redis.call('ZCARD', KEYS[2]) - #gone >= most then
  gone = redis.call('ZRANGE', KEYS[2], 0, #gone)
end
for _, name in ipairs(gone) do
  redis.call('HDEL', KEYS[1], name)
  redis.call('ZREM', KEYS[2], name)
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], now + life, ARGV[1])
redis.call('EXPIRE', KEYS[1], life)
redis.call('EXPIRE', KEYS[2], life)
"""
_FIND: Final = """
local ends = redis.call('ZSCORE', KEYS[2], ARGV[1])
if ends and tonumber(ends) > tonumber(redis.call('TIME')[1]) then return redis.call('HGET', KEYS[1], ARGV[1]) end
return false
"""


class AutomaticDocuments:
    """Keeps texts by their SHA-256, encrypted: what a client writes into a document may be anything.

    While Valkey is away nothing is found and nothing is kept, and clients send their documents whole.
    """

    def __init__(self, valkey: Valkey, keyring: Keyring, settings: Settings) -> None:
        self._keep, self._find = valkey.register_script(_KEEP), valkey.register_script(_FIND)
        self._keyring = keyring
        self._settings = settings

    async def find(self, tenant_id: UUID, sha256: str) -> str | None:
        """Return the text of this hash, if the tenant's clients have registered it."""
        blob = await self._ask(self._find, tenant_id, [sha256])
        if not blob:
            return None
        cipher = await self._keyring.cipher(tenant_id)
        try:
            text = cipher.decrypt("automatic_documents", "text", sha256, blob).decode()
        except ContentIsUnreadable:
            return None
        return text if hash_of(text) == sha256 else None

    async def keep(self, tenant_id: UUID, sha256: str, text: str) -> None:
        """Register a text, whose hash was verified, for `automatic_document_seconds`; a long one is not."""
        if len(text) > self._settings.automatic_document_characters:
            return
        cipher = await self._keyring.cipher(tenant_id)
        blob = cipher.encrypt("automatic_documents", "text", sha256, text.encode())
        await self._ask(
            self._keep, tenant_id, [sha256, blob, self._settings.automatic_document_seconds, self._settings.automatic_documents]
        )

    async def _ask(self, script: Any, tenant_id: UUID, arguments: list[Any]) -> Any:
        # One hash tag keeps the two in one slot of a cluster.
        key = f"{self._settings.valkey_prefix}:documents:{{{tenant_id}}}"
        try:
            async with asyncio.timeout(self._settings.valkey_timeout_seconds):
                return await script(keys=[f"{key}:texts", f"{key}:ends"], args=arguments)
        except OUTAGES as error:
            log.warning("documents_lost_valkey", error=type(error).__name__)
            return None
