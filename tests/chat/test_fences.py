"""A worker that was replaced cannot write, and a run that cannot be prepared ends and frees its chat."""

import time
from uuid import UUID

import asyncpg
import pytest
from uuid_utils.compat import uuid7

from auth.encryption.ciphers import TenantCipher
from chat.events import RunFinished, RunQueued, RunStarted
from chat.logs import RunWasTaken
from resolvers.operations import Works
from stack.addresses import Addresses
from tests.chat.talking import ask, hear, new_chat
from tests.running import Api


def queued(seq: int) -> RunQueued:
    return RunQueued(seq=seq, at=time.time(), position=0)


async def test_an_earlier_epoch_is_shut_out_before_the_log_is_read(works: Works) -> None:
    cipher = TenantCipher(uuid7(), {1: bytes(32)}, 1)
    run_id = uuid7()
    first, second = works.logs.writer(cipher, run_id, 1), works.logs.writer(cipher, run_id, 2)
    await first.append(queued(1), RunStarted(seq=2, at=time.time(), message_ids=[], model="m"))
    await second.take_over()
    told = await works.logs.written(cipher, run_id)
    with pytest.raises(RunWasTaken):
        await first.append(queued(3))
    await second.append(RunFinished(seq=3, at=time.time(), status="INCOMPLETE"))
    assert [one.event.seq for one in told] == [1, 2]
    assert [one.event.seq for one in await works.logs.written(cipher, run_id)] == [1, 2, 3]
    with pytest.raises(RunWasTaken):
        await first.take_over()


async def test_an_append_that_arrived_may_be_repeated(works: Works) -> None:
    """The connection broke after Valkey had written: what is there is not written twice, and the rest follows."""
    cipher, run_id = TenantCipher(uuid7(), {1: bytes(32)}, 1), uuid7()
    log = works.logs.writer(cipher, run_id, 1)
    await log.append(queued(1), queued(2))
    await log.append(queued(1), queued(2), queued(3))
    assert [one.event.seq for one in await works.logs.written(cipher, run_id)] == [1, 2, 3]
    assert await works.logs.newest_seq(cipher.tenant_id, run_id) == 3


async def test_a_message_that_nobody_can_read_ends_the_run_and_frees_the_chat(api: Api, stack: Addresses, database: str) -> None:
    ada = await api.sign_up()
    chat_id = await new_chat(ada)
    await hear(ada, await ask(ada, chat_id, "!script tokens=3"))
    admin = await asyncpg.connect(stack.database_url("postgres", database))
    broken = "UPDATE penny.messages SET content = '\\x00' WHERE chat_id = $1 AND role = 'USER'"
    assert await admin.execute(broken, UUID(chat_id.removeprefix("chat_"))) == "UPDATE 1"
    await admin.close()
    for _ in range(2):  # the chat is free for a second message
        heard = await hear(ada, await ask(ada, chat_id, "!script tokens=3"))
        assert heard.types[-1] == "RunFinished"
        assert heard.end["status"] == "FAILED"
        assert heard.end["error"]["code"] == "INTERNAL"
    admin = await asyncpg.connect(stack.database_url("postgres", database))
    open_steps = (
        "SELECT count(*) FROM penny.run_steps step JOIN penny.runs run ON run.id = step.run_id WHERE run.chat_id = $1 AND outcome = 'OPEN'"
    )
    assert await admin.fetchval(open_steps, UUID(chat_id.removeprefix("chat_"))) == 0
    await admin.close()
