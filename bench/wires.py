"""What a token costs from the bytes of a provider's connection to the event that a run hears, on each wire."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future
from contextlib import aclosing
from dataclasses import dataclass
from statistics import median
from typing import Final
from uuid import uuid4

from inference import deployments as models
from inference.anthropic_wire import MessagesAnswer
from inference.models import ModelMessage, ModelRequest, TextDelta
from inference.openai_wire import ChatAnswer
from inference.providers import Providers
from inference.responses_wire import ResponsesAnswer
from inference.sse import EventData
from inference.streaming import Answer
from settings import Secret, Settings
from tests.inference.fault_server import Fault, FaultServer
from tests.inference.speeches import SPEECHES

GOAL: Final = 15.0  # microseconds
ANSWERS: Final[dict[models.Wire, Callable[[], Answer]]] = {"openai": ChatAnswer, "responses": ResponsesAnswer, "anthropic": MessagesAnswer}
_REQUEST: Final = ModelRequest(messages=(ModelMessage("user", "Go on."),), max_output_tokens=1000)


@dataclass(frozen=True)
class Plan:
    """How many tokens an answer has, and how many answers are read."""

    tokens: int
    rounds: int


@dataclass(frozen=True)
class Wire:
    """CPU time a token, in microseconds: of the adapter alone, and of all that reads it from a connection."""

    name: str
    read_us: float
    whole_us: float
    tokens: int


FULL: Final = Plan(20_000, 7)
QUICK: Final = Plan(2000, 3)


async def measure(plan: Plan, progress: Callable[[str], None]) -> list[Wire]:
    """Read answers that each vendor's format is written in, token by token."""
    words = [f"word{number} " for number in range(plan.tokens)]
    found: list[Wire] = []
    async with _served(words) as base_url:
        for name in ANSWERS:
            progress(name)
            read = median(_read(name, words) for _ in range(plan.rounds))
            whole = median([await _heard(name, base_url, len(words)) for _ in range(plan.rounds)])
            found.append(Wire(name, read, whole, plan.tokens))
    return found


def _read(wire: models.Wire, words: Sequence[str]) -> float:
    """Time the adapter alone, on bytes that are there already."""
    pieces, incoming, answer, heard = SPEECHES[wire].stream(words), EventData(), ANSWERS[wire](), 0
    began = time.thread_time()
    for piece in pieces:
        for data in incoming.feed(piece):
            heard += sum(isinstance(event, TextDelta) for event in answer.read(data))
    spent = time.thread_time() - began
    return _each(spent, heard, len(words))


async def _heard(wire: models.Wire, base_url: str, tokens: int) -> float:
    """Time an answer from the question to its last event, with the client and its event loop."""
    settings = Settings(database_url=Secret("-"), database_system_url=Secret("-"), valkey_url=Secret("-"))
    model = models.Model(id=uuid4(), key="m", name="M", context_tokens=10 * tokens, max_output_tokens=tokens)
    deployment = models.Deployment(id=uuid4(), model=model, wire=wire, base_url=base_url, remote_name="m")
    providers, heard = Providers(settings), 0
    try:
        began = time.thread_time()
        async with aclosing(providers.of(deployment).stream(_REQUEST)) as events:
            async for event in events:
                heard += isinstance(event, TextDelta)
        spent = time.thread_time() - began
    finally:
        await providers.close()
    return _each(spent, heard, tokens)


def _each(seconds: float, heard: int, tokens: int) -> float:
    if heard != tokens:
        raise RuntimeError(f"Of {tokens} tokens {heard} were heard.")
    return seconds / tokens * 1e6


@contextlib.asynccontextmanager
async def _served(words: Sequence[str]) -> AsyncIterator[str]:
    """Serve answers of these words in a thread of its own, whose CPU time does not count; gives the address."""
    ready: Future[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        async with FaultServer() as server:
            server.plan("m", Fault(words=words))
            stop = asyncio.Event()
            ready.set_result((server.base_url, asyncio.get_running_loop(), stop))
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), name="wires", daemon=True)
    thread.start()
    base_url, loop, stop = await asyncio.wrap_future(ready)
    try:
        yield base_url
    finally:
        loop.call_soon_threadsafe(stop.set)
        await asyncio.to_thread(thread.join)
