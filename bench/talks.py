"""Many conversations at once: answers of a scripted model that speaks as fast as a large one, heard by a socket each.

A word's way is from the worker's clock, when it wrote the event, to the reader's, when it had it; both are on this machine. The
clients run here too and take their share of it: what is said of many runs is said of a machine that also listens to them.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from statistics import median, quantiles
from typing import Any

import aiohttp
import orjson

from bench.answers import Reader, first_answer
from bench.processes import cpu_ms, memory
from bench.servers import SCRIPTED, Servers
from bench.sockets import Socket
from bench.worlds import Person
from tests.chat.talking import ask, new_chat
from tests.running import Api, running, running_web

TIMED = "subscription ($runId: ID!) { runEvents(runId: $runId) { __typename at ... on TextDelta { text } } }"
PER_SECOND = 30  # tokens a second that a run says, as a large model does
GIVEN_UP_MS = 250.0
# A bench is one person's many questions; what they may ask is measured elsewhere.
LIMITS = {
    "PENNY_RATE_LIMIT_PRINCIPAL_POINTS": "1000000000",
    "PENNY_RATE_LIMIT_TENANT_POINTS": "1000000000",
    "PENNY_ADDRESS_MAX_CONNECTIONS": "1000000",
}
WORKER = {
    **SCRIPTED,
    **LIMITS,
    "PENNY_WORKER_RUNS": "5000",
    "PENNY_MODEL_MAX_OUTPUT_TOKENS": "100000",
    "PENNY_MODEL_CONTEXT_TOKENS": "400000",
}
AT_ONCE = 10
PATIENCE = 120.0
# Tokens of a model that never pauses; fewer where all readers together hear more than that.
SPEED_TOKENS = 50_000
SPEED_HEARD = 3_000_000


@dataclass(frozen=True)
class Plan:
    """How many runs at once, for so many seconds; how many messages a second; how many readers of one run."""

    runs: tuple[int, ...]
    seconds: float
    rates: tuple[int, ...]
    readers: tuple[int, ...]
    beginnings: int
    silent: int


FULL = Plan(runs=(50, 100, 250, 500), seconds=8.0, rates=(25, 50, 100, 170), readers=(1, 100, 1000), beginnings=100, silent=1000)
QUICK = Plan(runs=(20,), seconds=2.0, rates=(10,), readers=(1, 50), beginnings=10, silent=50)


@dataclass(frozen=True)
class Held:
    """What so many runs at once, or messages a second, took: shares of one core, MB, and milliseconds on a word's way."""

    runs: int
    per_second: int
    words: float
    worker: float
    web: float
    valkey: float
    postgres: float
    worker_mb: float
    web_mb: float
    p50: float
    p99: float
    failed: int


@dataclass(frozen=True)
class Speed:
    """Tokens a second from a model that never pauses to so many readers, and CPU microseconds of each process a token."""

    readers: int
    tokens: float
    worker_us: float
    web_us: float


@dataclass(frozen=True)
class Talks:
    """`overhead` is the first word's delay while other runs speak (p50 and p99, in ms); `subscription_kb` is what a silent reader takes."""

    held: list[Held]
    rates: list[Held]
    speeds: list[Speed]
    overhead: tuple[float, float]
    beside: int
    subscription_kb: float


@dataclass
class Ears:
    """What all readers heard together."""

    delays: list[float] = field(default_factory=list)
    words: int = 0
    ended: int = 0

    def hear(self, payload: bytes) -> None:
        now = time.time()
        event = orjson.loads(payload)["payload"]["data"]["runEvents"]
        if event["__typename"] == "TextDelta":
            self.delays.append((now - datetime.fromisoformat(event["at"]).timestamp()) * 1000)
            self.words += event["text"].count(" ")
        elif event["__typename"] == "RunFinished":
            self.ended += 1


@dataclass(frozen=True)
class House:
    """A web process, a worker, and who talks to them."""

    servers: Servers
    port: int
    web: int
    worker: int
    api: Api
    person: Person

    def cpu(self) -> tuple[float, float, float, float]:
        """CPU milliseconds so far: worker, web, Valkey, PostgreSQL."""
        return cpu_ms(self.worker), cpu_ms(self.web), cpu_ms(self.servers.valkey), cpu_ms(self.servers.postmaster)

    async def begin(self, script: str) -> str:
        """Begin a run in a chat of its own."""
        return await ask(self.api, await new_chat(self.api), f"!script {script}")

    async def listen(self, run_id: str, heard: Callable[[bytes], None], *, query: str = TIMED) -> Socket:
        """Follow a run on a socket of its own."""
        loop = asyncio.get_running_loop()
        _, socket = await loop.create_connection(lambda: Socket(self.port, heard, query=query), "127.0.0.1", self.port)
        await socket.ready
        socket.subscribe(self.person, run_id)
        return socket


@contextlib.asynccontextmanager
async def housed(servers: Servers) -> AsyncIterator[House]:
    """Start a web process and a worker with the scripted model."""
    given = servers.variables | WORKER
    person = servers.people[0]
    async with running_web(given) as (url, web), running(given, "worker") as worker, Api(url, person.token) as api:
        await first_answer(api)
        yield House(servers, int(url.rpartition(":")[2]), web.pid, worker.pid, api, person)


async def measure(servers: Servers, plan: Plan, progress: Callable[[str], None]) -> Talks:
    """Measure everything, each in a house of its own: memory that one part took must not count for the next."""
    held, rates = [], []
    for count in plan.runs:
        progress(f"{count} runs at once")
        async with housed(servers) as house:
            held.append(await _held(house, count, plan.seconds))
    for rate in plan.rates:
        progress(f"{rate} messages a second")
        async with housed(servers) as house:
            rates.append(await _rate(house, rate, plan.seconds))
    speeds = []
    for readers in plan.readers:
        progress(f"tokens without pause to {readers} readers")
        async with housed(servers) as house:
            speeds.append(await _speed(house, readers))
    beside = min(50, max(plan.runs))
    progress(f"first words beside {beside} runs")
    async with housed(servers) as house:
        overhead = await _overhead(house, beside, plan.beginnings)
    progress(f"{plan.silent} silent readers")
    async with housed(servers) as house:
        subscription_kb = await _silent(house, plan.silent)
    return Talks(held, rates, speeds, overhead, beside, subscription_kb)


async def _in_groups(count: int, one: Callable[[], Any]) -> list[Any]:
    """Do something many times, a few at once."""
    found: list[Any] = []
    while len(found) < count:
        found += await asyncio.gather(*(one() for _ in range(min(AT_ONCE, count - len(found)))))
    return found


async def _speaking(house: House, count: int, seconds: float, ears: Ears) -> list[Socket]:
    """Let so many runs speak for at least so long, each to a reader of its own."""
    tokens = int(PER_SECOND * (seconds + 5 + count / 20))
    script = f"tokens={tokens} delay_ms={1000 / PER_SECOND:.2f}"

    async def one() -> Socket:
        return await house.listen(await house.begin(script), ears.hear)

    return list(await _in_groups(count, one))


async def _held(house: House, count: int, seconds: float) -> Held:
    ears = Ears()
    sockets = await _speaking(house, count, seconds, ears)
    await asyncio.sleep(1)
    found = await _taken(house, ears, seconds, runs=count)
    for socket in sockets:
        socket.close()
    return found


async def _taken(house: House, ears: Ears, seconds: float, *, runs: int = 0) -> Held:
    """Look at everything for so long."""
    ears.delays.clear()
    words, before, began = ears.words, house.cpu(), time.perf_counter()
    await asyncio.sleep(seconds)
    took = time.perf_counter() - began
    worker, web, valkey, postgres = ((now - then) / took / 1000 for now, then in zip(house.cpu(), before, strict=True))
    p50, p99 = _percentiles(ears.delays)
    return Held(
        runs, 0, (ears.words - words) / took, worker, web, valkey, postgres,
        memory(house.worker).rss, memory(house.web).rss, p50, p99, 0,
    )  # fmt: skip


async def _rate(house: House, rate: int, seconds: float) -> Held:
    """Send so many messages a second, each answered in a second, whatever became of those before."""
    ears, failures, sockets = Ears(), [], []
    tasks: set[asyncio.Task[None]] = set()

    async def one() -> None:
        try:
            run_id = await house.begin(f"tokens={PER_SECOND} delay_ms={1000 / PER_SECOND:.2f}")
            sockets.append(await house.listen(run_id, ears.hear))
        except (AssertionError, OSError, aiohttp.ClientError) as error:
            failures.append(error)

    async def send() -> None:
        began, sent = time.perf_counter(), 0
        while True:
            while sent < (time.perf_counter() - began) * rate:
                task = asyncio.create_task(one())
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                sent += 1
            await asyncio.sleep(1 / rate)

    sending = asyncio.create_task(send())
    await asyncio.sleep(2)
    found = await _taken(house, ears, seconds)
    sending.cancel()
    await asyncio.gather(sending, *tasks, return_exceptions=True)
    for socket in sockets:
        socket.close()
    return replace(found, per_second=rate, failed=len(failures))


async def _speed(house: House, readers: int) -> Speed:
    """Let a model say everything at once, when all its readers are there."""
    ears, tokens = Ears(), min(SPEED_TOKENS, SPEED_HEARD // readers)
    run_id = await house.begin(f"tokens={tokens} delay_ms=0 first_ms={2000 + 5 * readers}")
    sockets = await _in_groups(readers, lambda: house.listen(run_id, ears.hear))
    await _until(lambda: all(socket.follows for socket in sockets))
    before = house.cpu()
    await _until(lambda: ears.words > 0)
    began = time.perf_counter()
    await _until(lambda: ears.ended == readers)
    took = time.perf_counter() - began
    worker, web, _, _ = (now - then for now, then in zip(house.cpu(), before, strict=True))
    if ears.words != tokens * readers:
        raise RuntimeError(f"{ears.words:,} of {tokens * readers:,} tokens were heard.")
    for socket in sockets:
        socket.close()
    return Speed(readers, tokens / took, worker * 1000 / tokens, web * 1000 / tokens)


async def _overhead(house: House, beside: int, beginnings: int) -> tuple[float, float]:
    """Time first words of a model that needs no time for them, while others speak."""
    sockets = await _speaking(house, beside, beginnings * 0.2, Ears())
    async with aiohttp.ClientSession() as session:
        reader = await Reader.opened(session, house.api)
        found = [(await reader.time()).heard for _ in range(beginnings)]
    for socket in sockets:
        socket.close()
    return _percentiles(found)


async def _silent(house: House, readers: int) -> float:
    """Say how much memory a reader takes while nothing is said, in kB, its socket included."""
    run_id = await house.begin("tokens=1 first_ms=600000")
    warm = await _in_groups(AT_ONCE, lambda: house.listen(run_id, len))
    before = memory(house.web).rss
    sockets = await _in_groups(readers, lambda: house.listen(run_id, len))
    await _until(lambda: all(socket.follows for socket in sockets))
    took = memory(house.web).rss - before
    for socket in (*warm, *sockets):
        socket.close()
    return took * 1000 / readers


async def _until(reached: Callable[[], bool]) -> None:
    """Look every few milliseconds: an event for each of thousands of words would cost more than is measured."""
    async with asyncio.timeout(PATIENCE):
        while not reached():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.005)


def _percentiles(values: Sequence[float]) -> tuple[float, float]:
    if len(values) < 2:
        return math.inf, math.inf
    return median(values), quantiles(values, n=100, method="inclusive")[98]
