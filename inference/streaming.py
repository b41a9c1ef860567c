"""An answer over HTTP: asked for once, read as server-sent events, given up when it falls silent, closed at once when nobody listens.

What the wires share. A wire says what is sent, and reads the data of events with an `Answer` of its own.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec
from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout

from egress import EgressRefused, read_bounded
from inference.deployments import Deployment
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
    Trouble,
    Usage,
    estimated_usage,
)
from inference.sse import EventData
from settings import Settings

# What an error's body may hold before we stop reading it.
_ERROR_BYTES: Final = 65_536
# How long the usage may take once the model has said why it stopped; then the answer is complete without it.
_USAGE_SECONDS: Final = 5.0
# How long a finished answer's connection may take to become free for the next one.
_DRAIN_SECONDS: Final = 0.25
_HAS_NO_MODEL_LIST: Final = frozenset({404, 405})
_BROKEN: Final = (ClientError, EgressRefused, OSError, ValueError)


class Answer(ABC):
    """One answer as it is read: what was said so far, why it stopped, what it used."""

    def __init__(self) -> None:
        self.is_done = False
        self.stop: StopReason | None = None
        self.has_begun = False
        self._output_bytes = 0
        self._reasoning_bytes = 0

    @abstractmethod
    def read(self, data: bytes) -> list[ModelEvent]:
        """The deltas of one event's data; raises `ProviderFailed` for an error in it and `ValueError` if it is none."""

    @abstractmethod
    def counted(self) -> Usage | None:
        """What the endpoint itself has counted so far."""

    def text(self, text: str) -> TextDelta:
        self.has_begun = True
        self._output_bytes += len(text.encode())
        return TextDelta(text)

    def reasoning(self, text: str) -> ReasoningDelta:
        self.has_begun = True
        self._reasoning_bytes += len(text.encode())
        return ReasoningDelta(text)

    def used(self, request: ModelRequest) -> Usage:
        """What it used as far as it got, by the endpoint's count or by rule of thumb."""
        return self.counted() or estimated_usage(request, output_bytes=self._output_bytes, reasoning_bytes=self._reasoning_bytes)

    def end(self, request: ModelRequest) -> tuple[Usage, Finished]:
        """The last two events; a stream that ended without a word of goodbye was cut."""
        if self.stop is None and not self.is_done:
            raise ProviderFailed(FailureKind.SERVER_ERROR, trouble=Trouble.BROKE_OFF)
        return self.used(request), Finished(self.stop or StopReason.END_TURN)


class Endpoint:
    """Where a deployment is asked. It shares its session with all others.

    Connections are kept for the next answer only where TLS makes them dear: llama.cpp promises to keep one and closes it after
    each stream (seen in the 2026-10 server), so that the next question, which must not be sent twice, would fail.
    """

    def __init__(self, session: ClientSession, deployment: Deployment, headers: Mapping[str, str], settings: Settings) -> None:
        self._session = session
        self.base_url = deployment.base_url.rstrip("/")
        self.headers = dict(headers)
        if not self.base_url.startswith("https://"):
            self.headers["Connection"] = "close"
        self._connect_seconds = settings.model_connect_seconds
        self._first_token_seconds = settings.model_first_token_seconds
        self._timeout = ClientTimeout(total=None, connect=settings.model_connect_seconds, sock_read=settings.model_silence_seconds)

    async def stream(self, path: str, body: Any, answer: Answer, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """Ask, and give what comes. Keep-alive comments count as a sign of life, but not as a first word."""
        response: ClientResponse | None = None
        first_word_by = asyncio.get_running_loop().time() + self._first_token_seconds
        try:
            async with asyncio.timeout_at(first_word_by):
                response = await self._ask(path, body)
            incoming = EventData()
            while not answer.is_done:
                received = await _receive(response, answer, first_word_by)
                for data in incoming.feed(received) if received else incoming.end():
                    for event in answer.read(data):
                        yield event
                if not received:
                    break
            for event in answer.end(request):
                yield event
            await _drain(response)  # a kept connection then serves the next answer too
        except ProviderFailed as failed:
            failed.usage = answer.used(request) if response is not None else None
            raise
        except _BROKEN as error:
            raise failure_of_connection(error, answer.used(request) if response is not None else None) from error
        finally:
            if response is not None:
                response.close()

    async def check(self) -> None:
        """List the models; an endpoint that keeps no such list counts as well."""
        try:
            timeout = ClientTimeout(total=self._connect_seconds)
            async with self._session.get(f"{self.base_url}/models", headers=self.headers, timeout=timeout) as response:
                if response.status != 200 and response.status not in _HAS_NO_MODEL_LIST:
                    raise await _refusal(response)
                response.close()
        except _BROKEN as error:
            raise failure_of_connection(error) from error

    async def _ask(self, path: str, body: Any) -> ClientResponse:
        headers = self.headers | {"Content-Type": "application/json", "Accept": "text/event-stream"}
        response = await self._session.post(
            f"{self.base_url}{path}", data=msgspec.json.encode(body), headers=headers, timeout=self._timeout
        )
        # Some gateways report an error as a success whose body is plain JSON.
        if response.status != 200 or response.content_type == "application/json":
            raise await _refusal(response)
        return response


async def _receive(response: ClientResponse, answer: Answer, first_word_by: float) -> bytes:
    """The next bytes, empty at the end; once the model has stopped, only the usage is missing and silence or a cut is an end."""
    if answer.stop is None:
        async with asyncio.timeout_at(None if answer.has_begun else first_word_by):
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
