"""What tests of chaos need: processes that are started again when they die, readers that come back, and what must be true at the end."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self
from uuid import UUID

import aiohttp

from tests.chat.talking import EVENTS
from tests.running import Api, free_port, ready, running

AWAY: Final = (aiohttp.ClientError, OSError, TypeError)  # the last is aiohttp's for a socket that closes while JSON is awaited
PAUSE: Final = 0.1

Query = Callable[[str], Awaitable[list[Any]]]


class Kept:
    """One process of PENNY that is started again whenever it dies."""

    def __init__(self, environment: Mapping[str, str], *command: str) -> None:
        self._environment = environment
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._keeping: asyncio.Task[None] | None = None
        self.begun = asyncio.Event()
        self.deaths = 0

    async def __aenter__(self) -> Self:
        self._keeping = asyncio.create_task(self._keep())
        await self.begun.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._keeping is not None
        self._keeping.cancel()
        await asyncio.wait({self._keeping})

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End it where it stands."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def _keep(self) -> None:
        while True:
            async with running(self._environment, *self._command) as self._process:
                self.begun.set()
                await self._process.wait()
                self.deaths += 1


@dataclass
class Crew:
    """Workers and web processes of one installation; `kill_worker_of` finds who makes an answer."""

    environment: Mapping[str, str]
    rows: Query
    workers: list[Kept] = field(default_factory=list)
    webs: list[Kept] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)

    async def kill_worker_of(self, run_id: str) -> None:
        """Kill the worker that has a run, or any where none has."""
        (row,) = await self.rows(f"SELECT worker FROM penny.runs WHERE id = '{UUID(run_id.removeprefix('run_'))}'")
        pid = int(row["worker"].rpartition("-")[2]) if row["worker"] else 0
        next((worker for worker in self.workers if worker.pid == pid), self.workers[0]).kill()


@contextlib.asynccontextmanager
async def crew(environment: Mapping[str, str], rows: Query, *, workers: int, webs: int) -> AsyncIterator[Crew]:
    """Start an installation whose processes come back."""
    made = Crew(environment, rows)
    async with contextlib.AsyncExitStack() as closing:
        for _ in range(webs):
            port = free_port()
            made.urls.append(f"http://127.0.0.1:{port}")
            own = {**environment, "PENNY_PORT": str(port), "PENNY_PUBLIC_URL": made.urls[-1]}
            made.webs.append(await closing.enter_async_context(Kept(own, "serve")))
        for _ in range(workers):
            made.workers.append(await closing.enter_async_context(Kept(environment, "worker")))
        await asyncio.gather(*(ready(url) for url in made.urls))
        yield made


@dataclass
class Reader:
    """A client as clients should be: it comes back with the last `seq`, to any web process, and believes snapshots.

    Nothing may be told twice or left out, and each delta must fit behind what is there already.
    """

    urls: Sequence[str]
    token: str | None
    run_id: str
    chance: random.Random = field(default_factory=random.Random)
    last: int = 0
    text: str = ""
    snapshots: list[str] = field(default_factory=list)
    end: dict[str, Any] | None = None
    came: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def read(self) -> Self:
        """Follow the run to its end."""
        while self.end is None:
            with contextlib.suppress(*AWAY):
                async with Api(self.chance.choice(self.urls), self.token) as api:
                    async for payload in api.subscribe(EVENTS, runId=self.run_id, after=self.last or None):
                        if "errors" in payload:
                            assert {error["extensions"]["code"] for error in payload["errors"]} <= {"UNAVAILABLE"}, payload
                            break
                        await self._hear(payload["data"]["runEvents"])
            if self.end is None:
                await asyncio.sleep(PAUSE)
        return self

    async def until(self, seq: int) -> None:
        """Wait until an event was told, or the end."""
        async with self.came:
            await self.came.wait_for(lambda: self.last >= seq or self.end is not None)

    async def _hear(self, event: dict[str, Any]) -> None:
        kind = event["__typename"]
        if kind == "RunSnapshot":
            assert event["seq"] > self.last
            self.snapshots.append(event["reason"])
            self.text = "".join(part["text"] for output in event["outputs"] for part in output["parts"] if part)
        elif kind != "Heartbeat":
            assert event["seq"] == self.last + 1, f"{kind} {event['seq']} after {self.last}"
        if kind == "TextDelta":
            assert event["offset"] == len(self.text)
            self.text += event["text"]
        async with self.came:
            self.last = event["seq"]
            self.end = event["run"] if kind == "RunFinished" else None
            self.came.notify_all()

    @property
    def saved(self) -> str:
        """The text of the saved message, as the end shows it."""
        assert self.end is not None
        return "".join(part["text"] for output in self.end["outputs"] for part in output["parts"] if part)


def words(count: int) -> str:
    return "".join(f"word{number} " for number in range(count))


async def insist(urls: Sequence[str], token: str | None, chance: random.Random, act: Callable[[Api], Awaitable[str]]) -> str:
    """Do something at any web process, again until one has answered: `act` must be safe to repeat."""
    while True:
        try:
            async with Api(chance.choice(urls), token) as api:
                return await act(api)
        except AWAY:
            await asyncio.sleep(PAUSE)


TOKENS: Final = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")


async def every_token_was_billed_once(rows: Query) -> None:
    """No run is open; its steps and attempts are closed, and the tokens of either are the run's."""
    assert await rows("SELECT id, status FROM penny.runs WHERE status IN ('QUEUED', 'RUNNING')") == []
    assert await rows("SELECT * FROM penny.run_steps WHERE outcome = 'OPEN'") == []
    assert await rows("SELECT * FROM penny.attempts WHERE kind = 'ANSWER' AND ended_at IS NULL") == []
    for table, key in (("run_steps", "run_id"), ("attempts", "work_id")):
        sums = ", ".join(f"run.{name}, coalesce(sum(one.{name}), 0)::bigint AS summed_{name}" for name in TOKENS)
        billed = await rows(
            f"SELECT run.id, {sums} FROM penny.runs run LEFT JOIN penny.{table} one ON one.{key} = run.id GROUP BY run.tenant_id, run.id"
        )
        for row in billed:
            for name in TOKENS:
                assert row[name] == row[f"summed_{name}"], f"{row['id']} {name} {table}"


async def said_bytes(rows: Query, run_id: str) -> int:
    """How many bytes of text a run's steps have said together."""
    statement = f"SELECT sum(text_bytes)::bigint AS said FROM penny.run_steps WHERE run_id = '{UUID(run_id.removeprefix('run_'))}'"
    (row,) = await rows(statement)
    return int(row["said"])
