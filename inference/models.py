"""What is asked of a model and what comes back: requests, the events of a stream, and the one typed failure."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, Literal

import msgspec

from errors import Unavailable


class ModelMessage(msgspec.Struct, frozen=True):
    role: Literal["system", "user", "assistant"]
    text: str


class ModelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to answer; `temperature=None` leaves the choice to the endpoint (reasoning models accept no other).

    An assistant's message that stands last is how the answer began already: a model with the capability PREFILL goes on right
    after it and does not repeat it, and no other may be given one.
    """

    messages: tuple[ModelMessage, ...]
    max_output_tokens: int
    temperature: float | None = None


class StopReason(StrEnum):
    """Why a model stopped by itself; the run knows further reasons."""

    END_TURN = "END_TURN"
    MAX_TOKENS = "MAX_TOKENS"
    CONTENT_POLICY = "CONTENT_POLICY"


class TextDelta(msgspec.Struct, frozen=True, gc=False):
    text: str


class ReasoningDelta(msgspec.Struct, frozen=True, gc=False):
    text: str


class Usage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Five disjoint classes of tokens: their sum is all that was processed. `estimated` where the endpoint did not count."""

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            estimated=self.estimated or other.estimated,
        )


NO_USAGE: Final = Usage(input_tokens=0, output_tokens=0)


class Finished(msgspec.Struct, frozen=True, gc=False):
    reason: StopReason


ModelEvent = TextDelta | ReasoningDelta | Usage | Finished


class FailureKind(StrEnum):
    """What went wrong, in the words of fallback rules.

    AUTH is what only the key's owner can mend: key, rights, the model's name. BUDGET: the account has no credit left.
    """

    RATE_LIMIT = "RATE_LIMIT"
    TIMEOUT = "TIMEOUT"
    SERVER_ERROR = "SERVER_ERROR"
    CONTEXT_WINDOW = "CONTEXT_WINDOW"
    CONTENT_POLICY = "CONTENT_POLICY"
    AUTH = "AUTH"
    BUDGET = "BUDGET"


class Trouble(StrEnum):
    """What went wrong, where its kind says too little to whoever waits for the answer."""

    UNREACHABLE = "UNREACHABLE"
    BROKE_OFF = "BROKE_OFF"
    REFUSED = "REFUSED"
    UNKNOWN_MODEL = "UNKNOWN_MODEL"
    COOLING_DOWN = "COOLING_DOWN"
    NOBODY_FITS = "NOBODY_FITS"


_SENTENCES: Final[dict[StrEnum, str]] = {
    FailureKind.RATE_LIMIT: "The model is asked too much at the moment{status}.",
    FailureKind.TIMEOUT: "The model did not answer in time{status}.",
    FailureKind.SERVER_ERROR: "The model's provider failed to answer{status}.",
    FailureKind.CONTEXT_WINDOW: "The conversation is too long for the model.",
    FailureKind.CONTENT_POLICY: "The model's provider refused this content.",
    FailureKind.AUTH: "The model's provider refused the credentials{status}.",
    FailureKind.BUDGET: "The account at the model's provider has no credit left.",
    Trouble.UNREACHABLE: "The model's provider cannot be reached.",
    Trouble.BROKE_OFF: "The connection to the model's provider broke off, or what came was no answer.",
    Trouble.REFUSED: "The model's provider refused the question as it was put{status}.",
    Trouble.UNKNOWN_MODEL: "The model's provider does not know the model, or does not let this key use it{status}.",
    Trouble.COOLING_DOWN: "The model failed too often and is left alone for a while.",
    Trouble.NOBODY_FITS: "No model that may be asked can answer this.",
}


class ProviderFailed(Unavailable):
    """A model call failed. The sentence holds nothing that the provider wrote but a number, so never a prompt, a key or a host.

    `status` is the HTTP status, where there was one; `retry_after_ms` is what the provider asked for, where it did, or how long nobody
    may be asked; `usage` is what an answer that had been accepted used before it broke; `trouble` tells more than the kind.
    """

    def __init__(
        self,
        kind: FailureKind,
        *,
        status: int | None = None,
        retry_after_ms: int | None = None,
        usage: Usage | None = None,
        trouble: Trouble | None = None,
    ) -> None:
        told = "" if status is None else f" (HTTP status {status})"
        super().__init__(_SENTENCES[trouble or kind].format(status=told) + _when(retry_after_ms))
        self.kind = kind
        self.status = status
        self.retry_after_ms = retry_after_ms
        self.usage = usage
        self.trouble = trouble


def _when(wait_ms: int | None) -> str:
    """Say from when on to ask again, as a time: the sentence is kept, and read later."""
    if wait_ms is None:
        return ""
    # Whole seconds, and never too soon.
    again = datetime.now(UTC) + timedelta(milliseconds=wait_ms, microseconds=999_999)
    return f" Ask again from {again:%Y-%m-%dT%H:%M:%SZ} on."


def estimated_usage(request: ModelRequest, *, output_bytes: int, reasoning_bytes: int = 0) -> Usage:
    """Usage where nobody counted: four bytes of UTF-8 a token, and four tokens around each message.

    Both figures are OpenAI's own rules of thumb (its tokenizer page and its cookbook on counting tokens).
    """
    input_bytes = sum(len(message.text.encode()) for message in request.messages)
    return Usage(
        input_tokens=-(-input_bytes // 4) + 4 * len(request.messages),
        output_tokens=-(-output_bytes // 4),
        reasoning_tokens=-(-reasoning_bytes // 4),
        estimated=True,
    )
