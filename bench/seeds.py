"""A database with something in it: people sign up through the API, their chats are copied in, encrypted by PENNY's own code."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
from uuid_utils.compat import uuid7

from auth.encryption.ciphers import TenantCipher
from bench.servers import Servers
from chat.branches import ENDLESS
from chat.contents import sealed, text_parts
from chat.conversations import sealed_title
from cli.environment import DATABASE
from schema.ids import global_id, local_id
from tests.running import Api
from web.works import open_works

WHO = "{ viewer { user { id } } tenant { id } }"
SENTENCE = "the river keeps what every winter lends it and gives back in spring more than anybody asked for"
WORDS_OF_A_MESSAGE = 60
COLUMNS = {
    "chats": ("tenant_id", "id", "owner_id", "title", "head_message_id", "created_at", "updated_at"),
    "branches": ("tenant_id", "id", "chat_id", "segment_ids", "segment_ends", "created_at"),
    "messages": (
        "tenant_id", "id", "chat_id", "branch_id", "depth", "parent_id", "role", "author_id", "status", "content", "created_at",
    ),
}  # fmt: skip
Rows = dict[str, list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Size:
    """How much there is: tenants, chats of each, messages of each chat."""

    tenants: int
    chats: int
    messages: int


@dataclass(frozen=True)
class Person:
    """Somebody with a tenant of their own, and the global ids of their chats."""

    api: Api
    chat_ids: tuple[str, ...]


async def seed(servers: Servers, api: Api, size: Size, progress: Callable[[str], None]) -> list[Person]:
    """Fill the database."""
    people: list[Person] = []
    connection = await asyncpg.connect(servers.addresses.database_url("postgres", DATABASE))
    async with open_works(servers.settings, application="penny bench") as process:
        for number in range(size.tenants):
            person = await api.sign_up(tenant=f"Bench {number}")
            who = await person.data(WHO)
            tenant_id, user_id = local_id(who["tenant"]["id"], "Tenant"), local_id(who["viewer"]["user"]["id"], "User")
            cipher = await process.works.keyring.cipher(tenant_id)
            rows = _rows(cipher, user_id, size, random.Random(number))
            for table, columns in COLUMNS.items():
                await connection.copy_records_to_table(table, schema_name="penny", columns=columns, records=rows[table])
            people.append(Person(person, tuple(global_id("Chat", row[1]) for row in rows["chats"])))
            progress(f"{number + 1} of {size.tenants} tenants")
    # Nobody is there to read them.
    await connection.execute("DELETE FROM directory.mails")
    # Otherwise PostgreSQL would do it by itself, in the middle of a measurement.
    await connection.execute("VACUUM (ANALYZE)")
    await connection.close()
    return people


def _rows(cipher: TenantCipher, user_id: UUID, size: Size, dice: random.Random) -> Rows:
    rows: Rows = {table: [] for table in COLUMNS}
    begin = datetime.now(UTC) - timedelta(days=30)
    for number in range(size.chats):
        chat_id, branch_id, at = uuid7(), uuid7(), begin + timedelta(minutes=number * 30)
        messages = list(_messages(cipher, chat_id, branch_id, user_id, size.messages, at, dice))
        title = sealed_title(cipher, chat_id, _text(dice, 5))
        rows["chats"].append((cipher.tenant_id, chat_id, user_id, title, messages[-1][1], at, messages[-1][-1]))
        rows["branches"].append((cipher.tenant_id, branch_id, chat_id, [branch_id], [ENDLESS], at))
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
    return " ".join(dice.choices(SENTENCE.split(), k=words))
