"""A model without a model: deterministic answers by script, for tests, load runs and demos.

It repeats the last user message, word by word, unless that message begins with `!script` and directives:

    !script tokens=50 delay_ms=5 fail_at=10 kind=RATE_LIMIT retry_after_ms=2000

    tokens=N            answer with N tokens: `word0 word1 … `                          (default 10)
    text="…"            answer with these words instead
    reasoning=N         think N tokens first: `thought0 thought1 … `                    (default 0)
    first_ms=N          wait before the first token, in milliseconds                    (default 0)
    delay_ms=N          wait before each further token        (default: the setting `scripted_token_ms`)
    finish=REASON       END_TURN, MAX_TOKENS or CONTENT_POLICY                          (default END_TURN)
    fail_at=K           fail in place of text token K; 0 fails before the first
    kind=KIND           how it fails: a `FailureKind`                                   (default SERVER_ERROR)
    retry_after_ms=N    what the failure asks for
    hang_at=K           fall silent in place of text token K, until the setting `model_silence_seconds` has passed

A token is a word with the white space after it, so the tokens joined are the text. An answer is cut at the request's
`max_output_tokens`, as MAX_TOKENS. A script with a mistake in it fails as SERVER_ERROR with `status` 400. After an assistant's message
that stands last it goes on behind that, and does not think again.
"""

import asyncio
import re
import shlex
from collections.abc import AsyncGenerator, Sequence
from typing import Annotated, Any, Self

import msgspec
from aiohttp import ClientSession

from inference.deployments import Deployment
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
)
from settings import Settings

_DIRECTIVE = "!script"
_TOKEN = re.compile(r"\s*\S+\s*|\s+")

_Count = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
_Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=3_600_000)]


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one answer goes; the fields are the directives."""

    tokens: _Count = 10
    text: str | None = None
    reasoning: _Count = 0
    first_ms: _Milliseconds = 0.0
    delay_ms: _Milliseconds | None = None
    finish: StopReason = StopReason.END_TURN
    fail_at: _Count | None = None
    kind: FailureKind = FailureKind.SERVER_ERROR
    retry_after_ms: _Count | None = None
    hang_at: _Count | None = None

    def words(self) -> list[str]:
        return [f"word{number} " for number in range(self.tokens)] if self.text is None else _TOKEN.findall(self.text)


class ScriptedProvider:
    """The scripted model; `token_ms` is its usual pause between tokens, `silence_seconds` how long a hang lasts."""

    name = "scripted"

    def __init__(self, *, token_ms: float, silence_seconds: float) -> None:
        self._token_ms = token_ms
        self._silence_seconds = silence_seconds

    @classmethod
    def opened(cls, deployment: Deployment, session: ClientSession, settings: Settings) -> Self:  # noqa: ARG003 - what all wires are given
        return cls(token_ms=settings.scripted_token_ms, silence_seconds=settings.model_silence_seconds)

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        script = script_of(request)
        words = script.words()
        begun, rest = _after(words, _beginning(request))
        last = min(len(words), begun + request.max_output_tokens)
        thoughts = script.reasoning if begun == 0 else 0
        delay_ms = self._token_ms if script.delay_ms is None else script.delay_ms
        await _pause(script.first_ms)
        for number in range(thoughts):
            yield ReasoningDelta(f"thought{number} ")
            await _pause(delay_ms)
        for number in range(begun, last):
            if number > begun:
                await _pause(delay_ms)
            await self._fault(script, number, _usage(request, thoughts, number - begun))
            yield TextDelta(words[number] if number > begun else rest)
        used = _usage(request, thoughts, last - begun)
        if last == len(words):
            await self._fault(script, len(words), used)
        yield used
        yield Finished(script.finish if last == len(words) else StopReason.MAX_TOKENS)

    async def check(self) -> None:
        """There is nothing that could be down."""

    async def _fault(self, script: Script, number: int, used: Usage) -> None:
        told = used if used.output_tokens or used.reasoning_tokens else None
        if number == script.fail_at:
            raise ProviderFailed(script.kind, retry_after_ms=script.retry_after_ms, usage=told)
        if number == script.hang_at:
            await asyncio.sleep(self._silence_seconds)
            raise ProviderFailed(FailureKind.TIMEOUT, usage=told)


def script_of(request: ModelRequest) -> Script:
    """The script that the last user message holds, or one that repeats it."""
    said = next((message.text for message in reversed(request.messages) if message.role == "user"), "")
    first, *rest = said.split(None, 1) or [""]
    if first != _DIRECTIVE:
        return Script(text=said)
    try:
        given: dict[str, Any] = dict(word.split("=", 1) for word in shlex.split(rest[0] if rest else ""))
        return msgspec.convert(given, Script, strict=False)
    except ValueError:  # of shlex, of dict, and of msgspec; its text would repeat the message
        raise ProviderFailed(FailureKind.SERVER_ERROR, status=400, trouble=Trouble.REFUSED) from None


async def _pause(milliseconds: float) -> None:
    """Even a pause of nothing lets others run, as waiting for a server would."""
    await asyncio.sleep(milliseconds / 1000)


def _beginning(request: ModelRequest) -> str:
    return request.messages[-1].text if request.messages and request.messages[-1].role == "assistant" else ""


def _after(words: Sequence[str], beginning: str) -> tuple[int, str]:
    """Find the token that goes on from a beginning, and what is left of it; other words are passed over by their length."""
    left = len(beginning)
    for number, word in enumerate(words):
        if left < len(word):
            return number, word[left:]
        left -= len(word)
    return len(words), ""


def _usage(request: ModelRequest, reasoning_tokens: int, output_tokens: int) -> Usage:
    """Words are tokens here, so that a test can say what an answer costs."""
    input_tokens = sum(len(_TOKEN.findall(message.text)) for message in request.messages)
    return Usage(input_tokens=input_tokens, output_tokens=output_tokens, reasoning_tokens=reasoning_tokens)
