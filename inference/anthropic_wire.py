"""Anthropic's messages wire: typed events, of which the deltas, the counts, the end and the errors are read (docs.anthropic.com).

No temperature is sent: newer models refuse it, and the vendor's own SDK (2.14) no longer has it.
"""

from collections.abc import AsyncGenerator
from typing import Any, Final

import msgspec
from aiohttp import ClientSession

from inference.deployments import Capability, Deployment
from inference.failures import failure_in_stream
from inference.models import ModelEvent, ModelRequest, StopReason, Usage
from inference.streaming import Answer, Endpoint
from settings import Settings

_VERSION: Final = "2023-06-01"
_STOP_REASONS: Final = {
    "max_tokens": StopReason.MAX_TOKENS,
    "model_context_window_exceeded": StopReason.MAX_TOKENS,
    "refusal": StopReason.CONTENT_POLICY,
}
_KEPT: Final = {"cache_control": {"type": "ephemeral"}}


class _OutputDetails(msgspec.Struct, gc=False):
    thinking_tokens: int = 0


class _Counts(msgspec.Struct, gc=False):
    """Each event counts from the beginning of the answer, and names only what it knows."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None


class _Message(msgspec.Struct, gc=False):
    usage: _Counts | None = None


class _Delta(msgspec.Struct, gc=False):
    type: str = ""
    text: str = ""
    thinking: str = ""
    stop_reason: str | None = None


class _Event(msgspec.Struct):
    type: str
    delta: _Delta | None = None
    message: _Message | None = None
    usage: _Counts | None = None


_decode = msgspec.json.Decoder(_Event).decode


class AnthropicProvider:
    """One model at an endpoint that speaks messages."""

    name = "anthropic"

    def __init__(self, deployment: Deployment, session: ClientSession, settings: Settings) -> None:
        headers = {"anthropic-version": _VERSION} | ({"x-api-key": deployment.api_key} if deployment.api_key else {})
        self._endpoint = Endpoint(session, deployment, headers, settings)
        self._model = deployment.remote_name
        self._keeps_prompts = Capability.PROMPT_CACHE in deployment.model.capabilities

    def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        return self._endpoint.stream("/messages", self._body(request), MessagesAnswer(), request)

    async def check(self) -> None:
        await self._endpoint.check()

    def _body(self, request: ModelRequest) -> dict[str, Any]:
        system = [_block(message.text) for message in request.messages if message.role == "system"]
        said = [message for message in request.messages if message.role != "system"]
        messages: list[dict[str, Any]] = [{"role": message.role, "content": [_block(message.text)]} for message in said]
        if self._keeps_prompts and messages:
            messages[-1]["content"][0] |= _KEPT
        body: dict[str, Any] = {"model": self._model, "max_tokens": request.max_output_tokens, "messages": messages, "stream": True}
        if system:
            body["system"] = system
        return body


def _block(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


class MessagesAnswer(Answer):
    """A stream from `message_start` to `message_stop`."""

    def __init__(self) -> None:
        super().__init__()
        self._counts: dict[str, int] = {}

    def read(self, data: bytes) -> list[ModelEvent]:
        if self.is_done:
            return []
        event = _decode(data)
        delta = event.delta
        if event.type == "content_block_delta" and delta is not None:
            if delta.text:
                return [self.text(delta.text)]
            return [self.reasoning(delta.thinking)] if delta.thinking else []
        if event.type == "error":
            raise failure_in_stream(data)
        self._count(event.message.usage if event.message is not None else event.usage)
        if delta is not None and delta.stop_reason is not None:
            self.stop = _STOP_REASONS.get(delta.stop_reason, StopReason.END_TURN)
        self.is_done = event.type == "message_stop"
        return []

    def counted(self) -> Usage | None:
        """Anthropic counts cached input apart, and thinking inside the output. Before its last count the output is unknown."""
        if "output_tokens" not in self._counts or self.stop is None:
            return None
        thought = self._counts.get("thinking_tokens", 0)
        return Usage(
            input_tokens=self._counts.get("input_tokens", 0),
            output_tokens=max(0, self._counts["output_tokens"] - thought),
            cache_read_tokens=self._counts.get("cache_read_input_tokens", 0),
            cache_write_tokens=self._counts.get("cache_creation_input_tokens", 0),
            reasoning_tokens=thought,
        )

    def used(self, request: ModelRequest) -> Usage:
        """An answer that was cut keeps the exact count of its input, which comes first."""
        usage = super().used(request)
        if not usage.estimated or "input_tokens" not in self._counts:
            return usage
        return msgspec.structs.replace(
            usage,
            input_tokens=self._counts["input_tokens"],
            cache_read_tokens=self._counts.get("cache_read_input_tokens", 0),
            cache_write_tokens=self._counts.get("cache_creation_input_tokens", 0),
        )

    def _count(self, counts: _Counts | None) -> None:
        if counts is None:
            return
        for name in ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"):
            if (count := getattr(counts, name)) is not None:
                self._counts[name] = count
        if counts.output_tokens_details is not None:
            self._counts["thinking_tokens"] = counts.output_tokens_details.thinking_tokens
