"""Tokens to many: one run, many sockets that follow it, and what a delivery costs the server's process.

A token is written when every socket has the one before: no server can put two into one frame, or hide a token in the cost of another.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from statistics import median

from uuid_utils.compat import uuid7

from bench.crowds import Crowd, Pace, TokenIsLate, Write
from bench.servers import Servers
from bench.targets import Running
from bench.worlds import Person
from chat.events import TextDelta
from schema.ids import local_id
from tests.chat.talking import ask, new_chat
from tests.running import Api
from web.works import open_works

WORD = " river"


@dataclass(frozen=True)
class Delivery:
    """One crowd of sockets at one server: CPU time a delivery of its process, and how long a token took to reach the last socket."""

    target: str
    sockets: int
    cpu_us: float
    p50_ms: float
    tokens: int


async def measure(
    running: Sequence[Running], servers: Servers, crowds: Sequence[int], pace: Pace, progress: Callable[[str], None]
) -> list[Delivery]:
    """For each size of crowd every server in turn, there and back again."""
    found: list[Delivery] = []
    for count in crowds:
        deliveries: dict[str, list[Delivery]] = {one.target.name: [] for one in running}
        for _ in range(pace.rounds):
            for server in (*running, *reversed(running)):
                progress(f"tokens to {count:,} sockets: {server.target.title}")
                deliveries[server.target.name].append(await _measured(server, servers, count, pace))
        found += [_median(each) for each in deliveries.values()]
    return found


async def _measured(server: Running, servers: Servers, count: int, pace: Pace) -> Delivery:
    person, crowd = servers.people[0], Crowd()
    async with _publishing(server, servers, person) as (run_id, write):
        try:
            await crowd.join(server, count, person, run_id, write)
            await crowd.settle(write)
            await crowd.hear_for(pace, write)
            _look_at(crowd.last)
            before = server.cpu_ms
            waits = await crowd.hear_for(pace, write)
            cpu_us = (server.cpu_ms - before) * 1000 / (len(waits) * count)
        finally:
            crowd.leave()
    return Delivery(server.target.name, count, cpu_us, median(waits) * 1000, len(waits))


def _look_at(payload: bytes) -> None:
    """Every server says the same of a token."""
    event = json.loads(payload)["payload"]["data"]["runEvents"]
    if event.keys() != {"seq", "text", "offset"} or event["text"] != WORD:
        raise TokenIsLate(f"A socket heard something else than one token: {payload!r}")


@contextlib.asynccontextmanager
async def _publishing(server: Running, servers: Servers, person: Person) -> AsyncIterator[tuple[str, Write]]:
    """Give the id of a run, and what writes a token of it."""
    publishing = _log(server, servers, person) if not server.tokens else _trigger(server.tokens)
    async with publishing as found:
        yield found


@contextlib.asynccontextmanager
async def _log(server: Running, servers: Servers, person: Person) -> AsyncIterator[tuple[str, Write]]:
    """Write into the run's log as a worker does; there is none, so the run is ours."""
    async with (
        Api(f"http://127.0.0.1:{server.port}", person.token) as api,
        open_works(servers.settings, application="penny bench") as process,
    ):
        run_id = await ask(api, await new_chat(api), "Count for me.")
        cipher = await process.works.keyring.cipher(person.tenant_id)
        local = local_id(run_id, "Run")
        log = process.works.logs.writer(cipher, local, 1)
        seq, part_id = 1, uuid7()

        async def write() -> None:
            nonlocal seq
            seq += 1
            await log.append(TextDelta(seq=seq, at=time.time(), part_id=part_id, offset=seq * len(WORD), text=WORD))

        yield run_id, write


@contextlib.asynccontextmanager
async def _trigger(port: int) -> AsyncIterator[tuple[str, Write]]:
    """Tell a peer to publish: a byte is a token, and its process alone makes the rest."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)

    async def write() -> None:
        writer.write(b".")

    yield "run", write
    writer.close()


def _median(each: Sequence[Delivery]) -> Delivery:
    first = each[0]
    cpu_us, p50_ms = median(one.cpu_us for one in each), median(one.p50_ms for one in each)
    return Delivery(first.target, first.sockets, cpu_us, p50_ms, sum(one.tokens for one in each))
