"""What the Python peers share: rows of one tenant from PostgreSQL, and what is encrypted in them."""

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

STATEMENTS: dict[str, str] = json.loads(Path(__file__).with_name("statements.json").read_text())
_KEYS: dict[str, str] = json.loads(Path(os.environ["BENCH_KEYS"]).read_text())


class Part(msgspec.Struct):
    """A part of a message; `type` is `text` here."""

    type: str
    id: str
    text: str


_parts = msgspec.msgpack.Decoder(list[Part])


class _Connection(asyncpg.Connection):
    """asyncpg turns the JIT off by set_config before it looks at a type; the JIT is off from the start."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._server_caps = self._server_caps._replace(jit=False)


async def _nothing(_: object) -> None:
    """Stand in for asyncpg's reset query: settings end with their transaction."""


async def open_pool() -> asyncpg.Pool:
    """Open a pool of eight, as PENNY has, by the variables of libpq."""
    return await asyncpg.create_pool(min_size=1, max_size=8, connection_class=_Connection, reset=_nothing, server_settings={"jit": "off"})


async def rows(pool: asyncpg.Pool, tenant_id: str, name: str, *values: object) -> list[asyncpg.Record]:
    """Read rows in a transaction of the tenant; PostgreSQL's row-level security does the rest."""
    async with pool.acquire() as connection:
        await connection.execute(f"BEGIN READ ONLY; SET LOCAL app.tenant_id = '{UUID(tenant_id)}'")
        found = await connection.fetch(STATEMENTS[name], UUID(tenant_id), *values)
        await connection.execute("COMMIT")
        return found


@lru_cache(maxsize=1000)
def _cipher(tenant_id: str) -> AESGCM:
    return AESGCM(bytes.fromhex(_KEYS[tenant_id]))


def _opened(tenant_id: str, place: str, id: UUID, content: bytes) -> bytes:
    """Decrypt a column: version of the key, nonce, text and tag, bound to its place."""
    version = int.from_bytes(content[1:5], "big")
    return _cipher(tenant_id).decrypt(content[5:17], content[17:], f"penny|v1|{tenant_id}|{place}|{id}|{version}".encode())


def title(tenant_id: str, chat: asyncpg.Record) -> str | None:
    """Decrypt a chat's title."""
    return None if chat["title"] is None else _opened(tenant_id, "chats|title", chat["id"], chat["title"]).decode()


def parts(tenant_id: str, message: asyncpg.Record) -> list[Part]:
    """Decrypt a message's parts."""
    return _parts.decode(_opened(tenant_id, "messages|content", message["id"], message["content"]))
