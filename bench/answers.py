"""How soon an answer begins: from the request that sends a message to the first words at a reader whose socket is open already."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median, quantiles
from typing import Any, Self

import aiohttp

from tests.chat.talking import EVENTS, new_chat, say
from tests.running import Api

WARMING = 3
PATIENCE = 60.0
FEWEST = 4
ENOUGH = 15.0  # seconds after which no further question is asked


@dataclass(frozen=True)
class Begun:
    """Milliseconds after the request: the mutation was answered, the worker began, it had the first words, the reader had them."""

    answered: float
    started: float
    spoke: float
    heard: float


@dataclass(frozen=True)
class FirstWords:
    """The usual beginning of an answer; all but `p99` are medians, in milliseconds."""

    model: str
    goal: float
    answered: float
    started: float
    spoke: float
    p50: float
    p99: float
    samples: int


class Reader:
    """A WebSocket that is acknowledged and follows one run after the other."""

    def __init__(self, api: Api, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.api = api
        self._socket = socket
        self._operations = 0

    @classmethod
    async def opened(cls, session: aiohttp.ClientSession, api: Api) -> Self:
        socket = await session.ws_connect(f"{api.url}/graphql", protocols=["graphql-transport-ws"])
        await socket.send_json({"type": "connection_init", "payload": {"Authorization": f"Bearer {api.token}"}})
        if (await socket.receive_json())["type"] != "connection_ack":
            raise ConnectionError("The socket was not acknowledged.")
        return cls(api, socket)

    async def time(self) -> Begun:
        """Ask something in a new chat and take the times of the answer's beginning; returns when the answer has ended."""
        # Another question each time, which no model remembers.
        question = f"What comes to your mind when you hear of the number {self._operations * 7919 % 1000}?"
        chat_id = await new_chat(self.api)
        began_at, began = time.time(), time.perf_counter()
        sent = await say(self.api, chat_id, question, maxOutputTokens=8)
        answered = time.perf_counter() - began
        times: dict[str, float] = {}
        await self._subscribe(sent["runs"][0]["id"])
        while True:
            event = await self._event()
            kind = event["__typename"]
            if kind in ("RunStarted", "TextDelta") and kind not in times:
                times[kind] = datetime.fromisoformat(event["at"]).timestamp() - began_at
                times[f"{kind} heard"] = time.perf_counter() - began
            if kind == "RunFinished":
                break
        if "TextDelta" not in times:
            raise RuntimeError(f"The run said nothing: {event['run']}")
        return Begun(*(1000 * one for one in (answered, times["RunStarted"], times["TextDelta"], times["TextDelta heard"])))

    async def _subscribe(self, run_id: str) -> None:
        self._operations += 1
        payload = {"query": EVENTS, "variables": {"runId": run_id}}
        await self._socket.send_json({"type": "subscribe", "id": str(self._operations), "payload": payload})

    async def _event(self) -> Any:
        while True:
            sent = await self._socket.receive_json(timeout=PATIENCE)
            if sent["type"] == "ping":
                await self._socket.send_json({"type": "pong"})
            elif sent["type"] == "error":
                raise RuntimeError(f"The subscription failed: {sent['payload']}")
            elif sent["type"] == "next":
                return sent["payload"]["data"]["runEvents"]


async def measure(api: Api, model: str, *, goal: float, times: int, progress: Callable[[str], None]) -> FirstWords:
    """Ask many times, each in a new chat, one after the other."""
    async with aiohttp.ClientSession() as session:
        reader = await Reader.opened(session, api)
        for _ in range(WARMING):
            await reader.time()
        found: list[Begun] = []
        deadline = time.monotonic() + ENOUGH
        for number in range(times):
            found.append(await reader.time())
            if (number + 1) % 10 == 0:
                progress(f"{number + 1} of {times}")
            if len(found) >= FEWEST and time.monotonic() > deadline:
                break
    return _summary(found, model, goal)


async def first_answer(api: Api) -> None:
    """Wait until a worker answers."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(PATIENCE):
        await (await Reader.opened(session, api)).time()


def _summary(found: Sequence[Begun], model: str, goal: float) -> FirstWords:
    return FirstWords(
        model=model,
        goal=goal,
        answered=median(one.answered for one in found),
        started=median(one.started for one in found),
        spoke=median(one.spoke for one in found),
        p50=median(one.heard for one in found),
        p99=quantiles((one.heard for one in found), n=100, method="inclusive")[98],
        samples=len(found),
    )
