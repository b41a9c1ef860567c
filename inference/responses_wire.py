"""OpenAI's responses wire: typed events, of which the deltas, the end and the errors are read (platform.openai.com, "Streaming").

Nothing is stored there: PENNY keeps the conversation, and sends it whole each time.
"""

from collections.abc import AsyncGenerator
from typing import Any, Final

import msgspec
from aiohttp import ClientSession

from inference.deployments import Deployment
from inference.failures import failure_in_stream
from inference.models import ModelEvent, ModelRequest, StopReason, Usage
from inference.openai_wire import bearer
from inference.streaming import Answer, Endpoint
from settings import Settings

# The least that OpenAI accepts as the longest answer.
_LEAST_OUTPUT_TOKENS: Final = 16
_TEXT: Final = frozenset({"response.output_text.delta", "response.refusal.delta"})
_REASONING: Final = frozenset({"response.reasoning_summary_text.delta", "response.reasoning_text.delta"})
_ENDS: Final = frozenset({"response.completed", "response.incomplete"})


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: int = 0
    cache_write_tokens: int = 0


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: int = 0


class _Usage(msgspec.Struct):
    input_tokens: int = 0
    output_tokens: int = 0
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None

    def disjoint(self) -> Usage:
        """Cached tokens are counted inside the input and reasoning inside the output; ours are apart."""
        read = self.input_tokens_details.cached_tokens if self.input_tokens_details else 0
        written = self.input_tokens_details.cache_write_tokens if self.input_tokens_details else 0
        reasoning = self.output_tokens_details.reasoning_tokens if self.output_tokens_details else 0
        return Usage(
            input_tokens=max(0, self.input_tokens - read - written),
            output_tokens=max(0, self.output_tokens - reasoning),
            cache_read_tokens=read,
            cache_write_tokens=written,
            reasoning_tokens=reasoning,
        )


class _Incomplete(msgspec.Struct, gc=False):
    reason: str | None = None


class _Response(msgspec.Struct):
    usage: _Usage | None = None
    incomplete_details: _Incomplete | None = None


class _Event(msgspec.Struct):
    type: str
    delta: str = ""
    response: _Response | None = None


_decode = msgspec.json.Decoder(_Event).decode


class ResponsesProvider:
    """One model at an endpoint that speaks responses."""

    name = "responses"

    def __init__(self, deployment: Deployment, session: ClientSession, settings: Settings) -> None:
        self._endpoint = Endpoint(session, deployment, bearer(deployment.api_key), settings)
        self._model = deployment.remote_name

    def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        return self._endpoint.stream("/responses", self._body(request), ResponsesAnswer(), request)

    async def check(self) -> None:
        await self._endpoint.check()

    def _body(self, request: ModelRequest) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._model,
            "input": [{"role": message.role, "content": message.text} for message in request.messages],
            "max_output_tokens": max(request.max_output_tokens, _LEAST_OUTPUT_TOKENS),
            "stream": True,
            "store": False,
        }
        if request.temperature is not None:
            body["temperature"] = request.temperature
        return body


class ResponsesAnswer(Answer):
    """A stream of `response.…` events; it is over at `response.completed` or `response.incomplete`."""

    def __init__(self) -> None:
        super().__init__()
        self._usage: _Usage | None = None
        self._refused = False

    def read(self, data: bytes) -> list[ModelEvent]:
        if self.is_done or data == b"[DONE]":
            return []
        event = _decode(data)
        if event.type in _TEXT:
            self._refused = self._refused or event.type == "response.refusal.delta"
            return [self.text(event.delta)] if event.delta else []
        if event.type in _REASONING:
            return [self.reasoning(event.delta)] if event.delta else []
        if event.type in ("error", "response.failed"):
            raise failure_in_stream(data)
        if event.type in _ENDS:
            self._finish(event.type, event.response or _Response())
        return []

    def counted(self) -> Usage | None:
        return self._usage.disjoint() if self._usage else None

    def _finish(self, type_: str, response: _Response) -> None:
        self.is_done = True
        self._usage = response.usage
        if self._refused:
            self.stop = StopReason.CONTENT_POLICY
        elif type_ == "response.completed":
            self.stop = StopReason.END_TURN
        else:
            reason = response.incomplete_details.reason if response.incomplete_details else None
            self.stop = StopReason.CONTENT_POLICY if reason == "content_filter" else StopReason.MAX_TOKENS
