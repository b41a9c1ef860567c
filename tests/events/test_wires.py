"""One connection to Valkey for many who ask at once: each has its own answers, and nobody is harmed by another."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from valkey.asyncio import Valkey
from valkey.exceptions import ConnectionError as ValkeyConnectionError
from valkey.exceptions import ResponseError

from events.valkey import open_valkey
from events.wires import Pipe, refusal_among
from settings import Settings


@pytest.fixture
async def pipe(settings: Settings) -> AsyncIterator[Pipe]:
    client = open_valkey(settings)
    yield Pipe(client, seconds=10)
    await client.aclose()


@pytest.fixture
def key(settings: Settings) -> bytes:
    return f"{settings.valkey_prefix}:{uuid4().hex}".encode()


async def test_each_of_many_who_ask_at_once_has_its_own_answers(pipe: Pipe) -> None:
    async def echoed(number: int) -> list[Any]:
        text = b"%d\r\n" % number * (number * 37 % 5000)
        return await pipe.asked((b"ECHO", text), (b"STRLEN", b"nothing"), (b"ECHO", b"%d" % number)) + [text]

    answers = await asyncio.gather(*(echoed(number) for number in range(200)))
    for number, (long, length, short, text) in enumerate(answers):
        assert (long, length, short) == (text, 0, b"%d" % number)


async def test_a_refusal_is_an_answer_to_whoever_asked_and_to_nobody_else(pipe: Pipe, key: bytes) -> None:
    one, other, whole = await asyncio.gather(
        pipe.asked((b"SET", key, b"x"), (b"XADD", key, b"*", b"e", b"x")),
        pipe.asked(
            (b"GET", key),
        ),
        pipe.asked((b"MULTI",), (b"XADD", key, b"*", b"e", b"x"), (b"GET", key), (b"EXEC",)),
    )
    assert one[0] == b"OK"
    assert isinstance(refusal_among(one), ResponseError)
    assert (other, refusal_among(other)) == ([b"x"], None)
    assert whole[-1][1] == b"x"
    assert isinstance(refusal_among(whole), ResponseError), "of a command in a transaction too"


async def test_who_gives_up_takes_no_answer_from_those_who_wait(pipe: Pipe) -> None:
    await pipe.asked((b"PING",))
    impatient, patient = asyncio.create_task(pipe.asked((b"ECHO", b"a"))), asyncio.create_task(pipe.asked((b"ECHO", b"b")))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == [b"b"]
    assert await pipe.asked((b"ECHO", b"c")) == [b"c"]
    assert impatient.cancelled()


async def _killed(pipe: Pipe, valkey: Valkey) -> None:
    (number,) = await pipe.asked((b"CLIENT", b"ID"))
    waiting = asyncio.create_task(pipe.asked((b"BLPOP", b"nothing", b"0")))
    while not (await valkey.client_list(client_id=[str(number)]))[0]["flags"].startswith("b"):  # it blocks
        pass
    await valkey.client_kill_filter(_id=str(number))
    with pytest.raises((ValkeyConnectionError, OSError)):
        await waiting


async def _silent(pipe: Pipe, _: Valkey) -> None:
    pipe._seconds = 0.05
    with pytest.raises(TimeoutError):
        await pipe.asked((b"BLPOP", b"nothing", b"0"))
    pipe._seconds = 10


@pytest.mark.parametrize("breaks", [_killed, _silent])
async def test_a_lost_connection_is_told_to_all_who_wait_and_opened_again(
    pipe: Pipe, valkey: Valkey, breaks: Callable[[Pipe, Valkey], Awaitable[None]]
) -> None:
    await breaks(pipe, valkey)
    assert await asyncio.gather(*(pipe.asked((b"ECHO", b"a")) for _ in range(3))) == [[b"a"]] * 3
