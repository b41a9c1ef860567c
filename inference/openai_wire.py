"""The OpenAI-compatible wire: chat completions as server-sent events, for OpenAI, vLLM, Ollama, llama.cpp and their like.

The answer's length is asked for as `max_tokens`, which every such server knows, except at OpenAI itself, where it is
deprecated and reasoning models accept `max_completion_tokens` only.
"""

from collections.abc import AsyncGenerator
from typing import Any, Final

import msgspec
from aiohttp import ClientSession
from yarl import URL

from inference.deployments import Deployment
from inference.failures import failure_in_stream
from inference.models import ModelEvent, ModelRequest, StopReason, Usage
from inference.streaming import Answer, Endpoint
from settings import Secret, Settings

_STOP_REASONS: Final = {"length": StopReason.MAX_TOKENS, "content_filter": StopReason.CONTENT_POLICY}


class _Delta(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None  # DeepSeek, vLLM, llama.cpp
    reasoning: str | None = None  # OpenRouter, Groq, Ollama


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None

    def disjoint(self) -> Usage:
        """OpenAI counts cached tokens inside the prompt and reasoning inside the completion; ours are apart."""
        inputs = self.prompt_tokens_details or _InputDetails()
        read, written = inputs.cached_tokens or 0, inputs.cache_write_tokens or 0
        reasoning = (self.completion_tokens_details or _OutputDetails()).reasoning_tokens or 0
        # xAI counts reasoning beside the completion; the total tells.
        is_beside = self.total_tokens >= self.prompt_tokens + self.completion_tokens + reasoning
        return Usage(
            input_tokens=max(0, self.prompt_tokens - read - written),
            output_tokens=self.completion_tokens if is_beside else max(0, self.completion_tokens - reasoning),
            cache_read_tokens=read,
            cache_write_tokens=written,
            reasoning_tokens=reasoning,
        )


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: msgspec.Raw = msgspec.Raw(b"null")


_decode = msgspec.json.Decoder(_Chunk).decode


class OpenAIProvider:
    """One model at one OpenAI-compatible endpoint."""

    name = "openai"

    def __init__(self, deployment: Deployment, session: ClientSession, settings: Settings) -> None:
        self._endpoint = Endpoint(session, deployment, bearer(deployment.api_key), settings)
        self._model = deployment.remote_name

    def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        return self._endpoint.stream("/chat/completions", self._body(request), ChatAnswer(), request)

    async def check(self) -> None:
        await self._endpoint.check()

    def _body(self, request: ModelRequest) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": message.role, "content": message.text} for message in request.messages],
            length_field(self._endpoint.base_url): request.max_output_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if request.temperature is not None:
            body["temperature"] = request.temperature
        return body


def bearer(key: Secret) -> dict[str, str]:
    """The header that carries a key, if there is one."""
    return {"Authorization": Secret(f"Bearer {key}")} if key else {}


def length_field(base_url: str) -> str:
    """What the longest answer is called there, as the module's opening explains; OpenAI's regional hosts count as OpenAI."""
    try:
        host = URL(base_url).host or ""
    except ValueError:
        host = ""  # dialling it will say so
    return "max_completion_tokens" if f".{host}".endswith(".api.openai.com") else "max_tokens"


class ChatAnswer(Answer):
    """A stream of `chat.completion.chunk`."""

    def __init__(self) -> None:
        super().__init__()
        self._usage: _Usage | None = None

    def read(self, data: bytes) -> list[ModelEvent]:
        if self.is_done or data == b"[DONE]":
            self.is_done = True
            return []
        chunk = _decode(data)
        if bytes(chunk.error) != b"null":
            raise failure_in_stream(bytes(chunk.error))
        if chunk.usage is not None:
            self._usage = chunk.usage
        return self._deltas(chunk.choices[0]) if chunk.choices else []

    def counted(self) -> Usage | None:
        return self._usage.disjoint() if self._usage else None

    def _deltas(self, choice: _Choice) -> list[ModelEvent]:
        if choice.finish_reason is not None:
            self.stop = _STOP_REASONS.get(choice.finish_reason, StopReason.END_TURN)
        events: list[ModelEvent] = []
        if choice.delta is None:
            return events
        if reasoning := choice.delta.reasoning_content or choice.delta.reasoning:
            events.append(self.reasoning(reasoning))
        if text := choice.delta.content:
            events.append(self.text(text))
        return events
