"""A model server on loopback that speaks each vendor's wire, and fails as it is told: per request, or for all requests of a model.

async with FaultServer() as server:
    server.plan("m", Fault(refuse=FailureKind.RATE_LIMIT, retry_after="2"), Fault(cut_at=3), WELL)
    …
    assert server.count("m") == 3
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

from inference.models import FailureKind, StopReason, Usage
from tests.inference.speeches import SPEECHES, USED, Speech

WORDS = tuple(f"word{number} " for number in range(12))


@dataclass(frozen=True, kw_only=True)
class Fault:
    """How one request is answered; without any fault, well. Places count words from 0; what follows a place is not sent."""

    words: Sequence[str] = WORDS
    thoughts: Sequence[str] = ()
    stop: StopReason = StopReason.END_TURN
    used: Usage = USED
    refuse: FailureKind | None = None  # as the vendor does it
    status: int | None = None  # refuse with this status instead of the vendor's
    body: bytes | None = None  # and these words
    retry_after: str | None = None
    retry_after_ms: str | None = None
    hang_before_headers: bool = False
    first_seconds: float = 0.0  # before the first word
    word_seconds: float = 0.0  # before each further word
    cut_at: int | None = None
    cut: asyncio.Event | None = None  # cut when it is set, so that what was sent has been read; at once without it
    hang_at: int | None = None
    hang: asyncio.Event | None = None  # go on when it is set; never without it
    malformed_at: int | None = None
    error_at: tuple[int, FailureKind] | None = None
    silent_goodbye: bool = False  # end the body without the stream's ending


WELL = Fault()


@dataclass
class Asked:
    """A request as it came; `left` is set once the client is known to have hung up."""

    model: str
    wire: str
    body: dict[str, Any]
    headers: dict[str, str]
    left: asyncio.Event = field(default_factory=asyncio.Event)


class FaultServer:
    """Answers well, unless there are plans: each request of a model takes the next one, and the last one stays."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._plans: dict[str, list[Fault]] = {}
        self._arrived: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(0))
        app = web.Application()
        for wire, speech in SPEECHES.items():
            app.router.add_post(speech.path, self._handler(wire, speech))
        app.router.add_get("/v1/models", self._models)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.5)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def plan(self, model: str, *faults: Fault) -> None:
        """Say how the next requests of a model are answered."""
        self._plans[model] = list(faults)

    def of(self, model: str) -> list[Asked]:
        """What was asked of a model, in order."""
        return [asked for asked in self.asked if asked.model == model]

    def count(self, model: str) -> int:
        """How often a model was asked."""
        return len(self.of(model))

    async def arrival(self, model: str) -> None:
        """Wait for one more request of a model."""
        await self._arrived[model].acquire()

    def _fault(self, model: str) -> Fault:
        plans = self._plans.get(model) or [WELL]
        return plans.pop(0) if len(plans) > 1 else plans[0]

    def _handler(self, wire: str, speech: Speech) -> Any:
        async def answer(request: web.Request) -> web.StreamResponse:
            body = await request.json()
            asked = Asked(str(body["model"]), wire, body, dict(request.headers))
            self.asked.append(asked)
            self._arrived[asked.model].release()
            try:
                return await _respond(request, speech, self._fault(asked.model))
            except (asyncio.CancelledError, ConnectionError):
                asked.left.set()
                raise

        return answer

    async def _models(self, request: web.Request) -> web.StreamResponse:
        fault = self._fault("")
        if fault.refuse is not None or fault.status is not None or fault.hang_before_headers:
            return await _respond(request, SPEECHES["openai"], fault)
        return web.json_response({"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "us"}]})


async def _respond(request: web.Request, speech: Speech, fault: Fault) -> web.StreamResponse:
    if fault.hang_before_headers:
        await asyncio.Event().wait()
    waits = {"Retry-After": fault.retry_after, "retry-after-ms": fault.retry_after_ms}
    headers = {name: value for name, value in waits.items() if value is not None}
    if fault.refuse is not None or fault.status is not None:
        kind = fault.refuse or FailureKind.SERVER_ERROR
        status = fault.status or speech.refusals[kind][0]
        body = speech.refusal(kind) if fault.body is None else fault.body
        return web.Response(status=status, headers=headers, body=body, content_type="application/json")
    response = web.StreamResponse(headers=headers)
    response.content_type = "text/event-stream"
    await response.prepare(request)
    async for piece in _pieces(request, speech, fault):
        await response.write(piece)
    return response


async def _pieces(request: web.Request, speech: Speech, fault: Fault) -> AsyncIterator[bytes]:
    for piece in [*speech.opening(fault.used), *map(speech.thought, fault.thoughts)]:
        yield piece
    for place, word in enumerate([*fault.words, None]):
        if place == fault.cut_at:
            await _cut(request, fault)
            return
        if place == fault.hang_at:
            await (fault.hang or asyncio.Event()).wait()
        if place == fault.malformed_at:
            yield speech.malformed()
            return
        if fault.error_at is not None and place == fault.error_at[0]:
            yield speech.error(fault.error_at[1])
            return
        await asyncio.sleep(fault.word_seconds if place else fault.first_seconds)
        if word is not None:
            yield speech.word(word)
    if not fault.silent_goodbye:
        for piece in speech.ending(fault.stop, fault.used, "".join(fault.words)):
            yield piece


async def _cut(request: web.Request, fault: Fault) -> None:
    if fault.cut is not None:
        await fault.cut.wait()
    if request.transport is not None:
        request.transport.abort()
