"""What a thief of the disks would read: no word of a conversation in PostgreSQL, in Valkey or in the bucket."""

from pathlib import Path
from uuid import uuid4

import aioboto3
import asyncpg
from valkey.asyncio import Valkey

from settings import Settings
from stack.addresses import Addresses
from tests.api.people import done
from tests.chat.talking import ask, hear, new_chat
from tests.running import Api
from web.works import Process


async def dump_of_database(url: str) -> bytes:
    """Every row of every table of every schema that is ours, as text, with bytes as they are."""
    connection = await asyncpg.connect(url)
    tables = await connection.fetch("SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('penny', 'directory', 'public')")
    whole = b""
    for schema, table in tables:
        for row in await connection.fetch(f'SELECT * FROM "{schema}"."{table}"'):
            whole += b"\n".join(value if isinstance(value, bytes) else str(value).encode() for value in row.values())
    await connection.close()
    return whole


async def dump_of_valkey(valkey: Valkey) -> bytes:
    whole = b""
    async for key in valkey.scan_iter(count=1000):
        whole += key
        match await valkey.type(key):
            case b"string":
                whole += await valkey.get(key) or b""
            case b"stream":
                whole += b"".join(value for _, fields in await valkey.xrange(key) for pair in fields.items() for value in pair)
            case b"hash":
                whole += b"".join(
                    value
                    for pair in (await valkey.hgetall(key)).items()  # type: ignore[misc] # typed for the blocking client too
                    for value in pair
                )
            case b"zset":
                whole += b"".join(await valkey.zrange(key, 0, -1))
            case b"set" | b"list" as kind:
                raise AssertionError(f"teach this test to read a {kind!r} ({key!r})")
    return whole


async def dump_of_bucket(settings: Settings) -> bytes:
    session = aioboto3.Session(aws_access_key_id=settings.s3_access_key, aws_secret_access_key=settings.s3_secret_key)
    whole = b""
    async with session.client("s3", endpoint_url=settings.s3_endpoint, region_name=settings.s3_region) as client:
        for found in (await client.list_objects_v2(Bucket=settings.s3_bucket)).get("Contents", []):
            body = await client.get_object(Bucket=settings.s3_bucket, Key=found["Key"])
            whole += found["Key"].encode() + await body["Body"].read()
    return whole


async def test_a_dump_of_everything_holds_no_word_of_a_conversation(
    api: Api, stack: Addresses, database: str, valkey: Valkey, settings: Settings
) -> None:
    ada = await api.sign_up()
    question, title, answer = (f"{word}{uuid4().hex}" for word in ("heliotrope", "marginalia", "quixotic"))
    chat_id = await new_chat(ada, title)
    run_id = await ask(ada, chat_id, f'!script text="{answer} {question}"')
    heard = await hear(ada, run_id)
    assert answer in heard.text, "the conversation did take place"
    rated = heard.events[1]["outputMessageIds"][0]
    await done(ada, "messageFeedbackSet", messageId=rated, rating=1, tags=[title], comment=f"{answer}, {question}!")
    run_key = run_id.removeprefix("run_")
    disks = {
        "PostgreSQL": await dump_of_database(stack.database_url("postgres", database)),
        "Valkey": await dump_of_valkey(valkey),
        "the bucket": await dump_of_bucket(settings),
    }
    assert run_key[:8].encode() in disks["PostgreSQL"], "the dump holds this very run"
    assert run_key[:8].encode() in disks["Valkey"]
    for where, content in disks.items():
        for word in (question, answer, title):
            assert word.encode() not in content, f"{where} holds {word}"
            assert word[:10].encode() not in content, f"{where} holds {word[:10]}"


def test_the_key_file_is_readable_by_its_owner_only(settings: Settings, process: Process) -> None:
    assert Path(settings.key_file).stat().st_mode & 0o077 == 0
