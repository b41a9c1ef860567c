"""A run's events reach every reader once and in order, wherever it reads and however often it comes back."""

import asyncio
import random
from uuid import UUID

from valkey.asyncio import Valkey

from tests.chat.talking import ask, hear, new_chat, talk
from tests.running import Api, Server, running_web


def words(count: int) -> str:
    return "".join(f"word{number} " for number in range(count))


async def test_the_events_tell_the_whole_answer_with_a_dense_seq(api: Api) -> None:
    ada = await api.sign_up()
    heard = await talk(ada, "!script tokens=40")
    assert heard.seqs == list(range(1, len(heard.seqs) + 1))
    assert heard.types[:4] == ["RunQueued", "RunStarted", "PartStarted", "TextDelta"]
    assert heard.types[-3:] == ["PartCompleted", "UsageTick", "RunFinished"]
    assert heard.text.strip() == words(40).strip()
    assert heard.end["status"] == "COMPLETED"
    assert heard.end["outputs"][0]["parts"] == [{"text": heard.text}]
    deltas = [event for event in heard.events if event["__typename"] == "TextDelta"]
    assert [delta["offset"] for delta in deltas] == [len("".join(d["text"] for d in deltas[:n])) for n in range(len(deltas))]


async def test_a_reader_that_comes_back_has_no_gap_and_no_duplicate(api: Api) -> None:
    ada = await api.sign_up()
    chance = random.Random(7)
    run_id = await ask(ada, await new_chat(ada), "!script tokens=60 delay_ms=8")
    seqs: list[int] = []
    text = ""
    while True:
        part = await hear(ada, run_id, after=seqs[-1] if seqs else None, until=chance.randint(1, 8))
        seqs += part.seqs
        text += part.text
        if part.types[-1] == "RunFinished":
            break
    assert seqs == list(range(1, len(seqs) + 1))
    assert text.strip() == words(60).strip()


async def test_a_reader_may_come_back_to_another_web_process(api: Api, server: Server) -> None:
    ada = await api.sign_up()
    run_id = await ask(ada, await new_chat(ada), "!script tokens=80 delay_ms=10")
    first = await hear(ada, run_id, until=5)
    async with running_web(dict(server.environment)) as (url, _), Api(url, ada.token) as elsewhere:
        rest = await hear(elsewhere, run_id, after=first.seqs[-1])
    assert first.seqs + rest.seqs == list(range(1, rest.seqs[-1] + 1))
    assert (first.text + rest.text).strip() == words(80).strip()


async def test_closing_the_socket_does_not_stop_the_run(api: Api) -> None:
    ada = await api.sign_up()
    run_id = await ask(ada, await new_chat(ada), "!script tokens=30 delay_ms=5")
    await hear(ada, run_id, until=3)
    assert (await hear(ada, run_id)).end["status"] == "COMPLETED"


async def test_many_readers_hear_the_same(api: Api) -> None:
    ada = await api.sign_up()
    run_id = await ask(ada, await new_chat(ada), "!script tokens=50 delay_ms=3")
    heard = await asyncio.gather(*(hear(ada, run_id) for _ in range(20)))
    assert all(one.events == heard[0].events for one in heard)


async def test_a_reader_of_a_log_that_is_gone_gets_one_snapshot_and_the_end(api: Api, valkey: Valkey) -> None:
    ada = await api.sign_up()
    run_id = await ask(ada, await new_chat(ada), "!script tokens=12")
    whole = await hear(ada, run_id)
    keys = [key async for key in valkey.scan_iter(match=f"*:run:{UUID(run_id.removeprefix('run_'))}")]
    assert len(keys) == 1
    await valkey.unlink(*keys)
    again = await hear(ada, run_id)
    assert again.types == ["RunSnapshot", "RunFinished"]
    assert again.events[0]["outputs"][0]["parts"] == [{"text": whole.text}]
    assert again.seqs[-1] == whole.seqs[-1]


async def test_a_reader_who_has_heard_everything_is_told_nothing_more(api: Api) -> None:
    ada = await api.sign_up()
    run_id = await ask(ada, await new_chat(ada), "!script tokens=3")
    whole = await hear(ada, run_id)
    assert (await hear(ada, run_id, after=whole.seqs[-1])).events == []
