"""The OpenAI-compatible wire: chat completions as server-sent events, for OpenAI, vLLM, Ollama, llama.cpp and their like.

The answer's length is asked for as `max_tokens`, which every such server knows, except at OpenAI itself, where it is
deprecated and reasoning models accept `max_completion_tokens` only.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Self

import msgspec
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout
from yarl import URL

from egress import EgressRefused, open_operator_session, read_bounded
from inference.failures import failure_in_stream, failure_of_connection, failure_of_status
from inference.models import (
    FailureKind,
    Finished,
    ModelEvent,
    ModelRequest,
    ProviderFailed,
    ReasoningDelta,
    StopReason,
    TextDelta,
    Usage,
    estimated_usage,
)
from inference.sse import EventData
from settings import Secret, Settings

# What an error's body may hold before we stop reading it.
_ERROR_BYTES = 65_536
# How long the usage may take once the model has said why it stopped; then the answer is complete without it.
_USAGE_SECONDS = 5.0
# How long a finished answer's connection may take to become free for the next one.
_DRAIN_SECONDS = 0.25
_HAS_NO_MODEL_LIST = frozenset({404, 405})

_STOP_REASONS = {"length": StopReason.MAX_TOKENS, "content_filter": StopReason.CONTENT_POLICY}


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
    """One endpoint and one model there. It owns the session that it is given.

    Connections are kept for the next answer only where TLS makes them dear: llama.cpp promises to keep one and closes it after
    each stream (seen in the 2026-10 server), so that the next question, which must not be sent twice, would fail.
    """

    name = "openai"

    def __init__(  # noqa: PLR0913 - the attributes of an endpoint
        self, session: ClientSession, *, base_url: str, api_key: str, model: str, connect_seconds: float, keeps_connections: bool
    ) -> None:
        self._session = session
        self._base_url = base_url.rstrip("/")
        self._headers = {} if keeps_connections else {"Connection": "close"}
        if api_key:
            self._headers["Authorization"] = Secret(f"Bearer {api_key}")
        self._model = model
        self._connect_seconds = connect_seconds

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        return cls(
            open_operator_session(connect_seconds=settings.model_connect_seconds, silence_seconds=settings.model_silence_seconds),
            base_url=settings.model_base_url,
            api_key=settings.model_api_key,
            model=settings.model_name,
            connect_seconds=settings.model_connect_seconds,
            keeps_connections=settings.model_base_url.startswith("https://"),
        )

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """Keep-alive comments count as a sign of life: the endpoint says that it is still at work."""
        response: ClientResponse | None = None
        try:
            response = await self._ask(request)
            incoming, answer = EventData(), _Answer()
            while not answer.is_done:
                received = await _receive(response, answer)
                for data in incoming.feed(received) if received else incoming.end():
                    for event in answer.read(data):
                        yield event
                if not received:
                    break
            for event in answer.end(request):
                yield event
            await _drain(response)  # a kept connection then serves the next answer too
        except (ClientError, EgressRefused, OSError, ValueError) as error:
            raise failure_of_connection(error) from error
        finally:
            if response is not None:
                response.close()

    async def check(self) -> None:
        """Lists the models; an endpoint that keeps no such list counts as well."""
        try:
            timeout = ClientTimeout(total=self._connect_seconds)
            async with self._session.get(f"{self._base_url}/models", headers=self._headers, timeout=timeout) as response:
                if response.status != 200 and response.status not in _HAS_NO_MODEL_LIST:
                    raise await _refusal(response)
                response.close()
        except (ClientError, EgressRefused, OSError, ValueError) as error:
            raise failure_of_connection(error) from error

    async def close(self) -> None:
        await self._session.close()

    async def _ask(self, request: ModelRequest) -> ClientResponse:
        body = {
            "model": self._model,
            "messages": [{"role": message.role, "content": message.text} for message in request.messages],
            length_field(self._base_url): request.max_output_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if request.temperature is not None:
            body["temperature"] = request.temperature
        headers = self._headers | {"Content-Type": "application/json", "Accept": "text/event-stream"}
        response = await self._session.post(f"{self._base_url}/chat/completions", data=msgspec.json.encode(body), headers=headers)
        # Some gateways report an error as a success whose body is plain JSON.
        if response.status != 200 or response.content_type == "application/json":
            raise await _refusal(response)
        return response


def length_field(base_url: str) -> str:
    """What the longest answer is called there, as the module's opening explains; OpenAI's regional hosts count as OpenAI."""
    host = URL(base_url).host or ""
    return "max_completion_tokens" if f".{host}".endswith(".api.openai.com") else "max_tokens"


class _Answer:
    """One answer as it is read: what was said so far, why it stopped, what it used."""

    def __init__(self) -> None:
        self.is_done = False
        self.stop: StopReason | None = None
        self._usage: _Usage | None = None
        self._output_bytes = 0
        self._reasoning_bytes = 0

    def read(self, data: bytes) -> list[ModelEvent]:
        """The deltas of one chunk; raises `ProviderFailed` for an error in it and `ValueError` if it is none."""
        if self.is_done or data == b"[DONE]":
            self.is_done = True
            return []
        chunk = _decode(data)
        if bytes(chunk.error) != b"null":
            raise failure_in_stream(bytes(chunk.error))
        if chunk.usage is not None:
            self._usage = chunk.usage
        return self._deltas(chunk.choices[0]) if chunk.choices else []

    def _deltas(self, choice: _Choice) -> list[ModelEvent]:
        if choice.finish_reason is not None:
            self.stop = _STOP_REASONS.get(choice.finish_reason, StopReason.END_TURN)
        events: list[ModelEvent] = []
        if choice.delta is None:
            return events
        if reasoning := choice.delta.reasoning_content or choice.delta.reasoning:
            self._reasoning_bytes += len(reasoning.encode())
            events.append(ReasoningDelta(reasoning))
        if text := choice.delta.content:
            self._output_bytes += len(text.encode())
            events.append(TextDelta(text))
        return events

    def end(self, request: ModelRequest) -> tuple[Usage, Finished]:
        """The last two events; a stream that ended without a word of goodbye was cut."""
        if self.stop is None and not self.is_done:
            raise ProviderFailed(FailureKind.SERVER_ERROR)
        usage = self._usage.disjoint() if self._usage else None
        estimate = estimated_usage(request, output_bytes=self._output_bytes, reasoning_bytes=self._reasoning_bytes)
        return usage or estimate, Finished(self.stop or StopReason.END_TURN)


async def _receive(response: ClientResponse, answer: _Answer) -> bytes:
    """The next bytes, empty at the end; once the model has stopped, only the usage is missing and silence or a cut is an end."""
    if answer.stop is None:
        return await response.content.readany()
    try:
        async with asyncio.timeout(_USAGE_SECONDS):
            return await response.content.readany()
    except (ClientError, TimeoutError):
        return b""


async def _drain(response: ClientResponse) -> None:
    """Read the little that follows the answer, up to the end of the body."""
    with suppress(ClientError, TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            while not response.content.at_eof():
                await response.content.readany()


async def _refusal(response: ClientResponse) -> ProviderFailed:
    """Reads the error's body, bounded, and lets the connection go."""
    try:
        body = await read_bounded(response, _ERROR_BYTES)
    except (ClientError, EgressRefused, OSError):
        body = b""  # the status says enough
    finally:
        response.close()
    if response.status == 200:
        return failure_in_stream(body)
    return failure_of_status(response.status, response.headers, body)
