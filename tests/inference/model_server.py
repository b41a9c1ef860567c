"""A server that speaks the OpenAI wire on loopback and misbehaves on demand."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 30},
    "completion_tokens_details": {"reasoning_tokens": 5},
}


def chunk(text: str | None = None, *, finish: str | None = None, **delta: str) -> bytes:
    """One `chat.completion.chunk` event with as many irrelevant fields as OpenAI sends."""
    said = ({"content": text} if text is not None else {}) | delta
    choice = {"index": 0, "delta": said, "logprobs": None, "finish_reason": finish}
    return event({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "usage": None, "choices": [choice]})


def event(content: object) -> bytes:
    return b"data: " + json.dumps(content, ensure_ascii=False).encode() + b"\n\n"


def answer_of(words: Sequence[str], *, finish: str = "stop", usage: dict[str, Any] | None = USAGE, done: bool = True) -> list[bytes]:
    """A whole answer, piece by piece as it is written to the connection."""
    pieces = [chunk("", role="assistant"), *(chunk(word) for word in words), chunk(finish=finish)]
    if usage is not None:
        pieces.append(event({"id": "chatcmpl-1", "choices": [], "usage": usage}))
    return [*pieces, b"data: [DONE]\n\n"] if done else pieces


@dataclass
class Answer:
    """How one request is answered; a `status` other than 200 answers with `body` alone."""

    pieces: list[bytes] = field(default_factory=lambda: answer_of(["word0 ", "word1 ", "word2 "]))
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    content_type: str = "text/event-stream"
    hang_before_headers: bool = False
    hang_after: int | None = None  # fall silent after so many pieces
    cut_after: int | None = None  # reset the connection after so many pieces, once `cut` is set
    cut: asyncio.Event = field(default_factory=asyncio.Event)
    pause_seconds: float = 0.0  # between pieces


class ModelServer:
    """`async with ModelServer() as server`: set `server.answer`, read `server.requests`; `server.hang_ups` counts clients that left."""

    def __init__(self) -> None:
        self.answer = Answer()
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.connections: set[object] = set()
        self.hang_ups = 0
        self.asked = asyncio.Event()
        self.hung_up = asyncio.Event()
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/v1/models", self._models)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.5)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.base_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(await request.json())
        return await self._respond(request)

    async def _models(self, request: web.Request) -> web.StreamResponse:
        if self.answer.status == 200 and not self.answer.hang_before_headers:
            return web.json_response({"object": "list", "data": [{"id": "m"}]})
        return await self._respond(request)

    async def _respond(self, request: web.Request) -> web.StreamResponse:
        answer = self.answer
        self.headers.append(dict(request.headers))
        self.connections.add(request.transport)
        self.asked.set()
        try:
            if answer.hang_before_headers:
                await asyncio.Event().wait()
            if answer.body or answer.status != 200:
                return web.Response(status=answer.status, headers=answer.headers, body=answer.body, content_type=answer.content_type)
            return await self._stream(request, answer)
        except (asyncio.CancelledError, ConnectionError):
            self.hang_ups += 1
            self.hung_up.set()
            raise

    async def _stream(self, request: web.Request, answer: Answer) -> web.StreamResponse:
        response = web.StreamResponse(headers=answer.headers)
        response.content_type = answer.content_type
        await response.prepare(request)
        for number, piece in enumerate([*answer.pieces, b""]):
            if number == answer.cut_after and request.transport is not None:
                await answer.cut.wait()
                request.transport.abort()
                return response
            if number == answer.hang_after:
                await asyncio.Event().wait()
            if piece:
                await response.write(piece)
                await asyncio.sleep(answer.pause_seconds)
        return response
