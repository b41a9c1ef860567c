"""What is counted of models, after OpenTelemetry's conventions for generative AI: how long they take, and what they read and write."""

from collections.abc import Mapping
from typing import Final

from inference.deployments import CredentialOwner, Deployment
from inference.models import FailureKind, Usage
from telemetry.instruments import LONG_SECONDS, OTHER, Counter, Histogram, Known

_PROVIDERS: Final[Mapping[str, str]] = {"openai": "openai", "responses": "openai", "anthropic": "anthropic", "scripted": "penny"}
_CLASSES: Final = ("input", "output", "cache_read", "cache_write", "reasoning")
_ASKED: Final = {
    "gen_ai.operation.name": ("chat",),
    "gen_ai.provider.name": (*dict.fromkeys(_PROVIDERS.values()),),
    "gen_ai.request.model": Known(f"models that the operator offers; `{OTHER}` for those that are asked with a tenant's own key"),
}

ATTEMPTS: Final = Histogram(
    "gen_ai.client.operation.duration",
    unit="s",
    description="How long a call of a model took, each attempt by itself; `error.type` is the kind of failure that other attempts follow.",
    bounds=LONG_SECONDS,
    attributes={**_ASKED, "error.type": (*map(str, FailureKind),)},
)
FIRST_CHUNKS: Final = Histogram(
    "gen_ai.client.operation.time_to_first_chunk",
    unit="s",
    description="How long a model took to say its first word.",
    bounds=LONG_SECONDS,
    attributes=_ASKED,
)
USAGE: Final = Histogram(
    "gen_ai.client.token.usage",
    unit="{token}",
    description="Tokens of a call: input with what was read from and written to the provider's cache, output with reasoning.",
    bounds=(1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864),
    attributes={**_ASKED, "gen_ai.token.type": ("input", "output")},
)
TOKENS: Final = Counter(
    "penny.model.tokens",
    unit="{token}",
    description="Tokens in five classes of which each token is in one.",
    attributes={"penny.model.token_class": _CLASSES},
)


def count_end(deployment: Deployment, seconds: float, usage: Usage, failure: FailureKind | None) -> None:
    """Count an attempt that ended."""
    asked = _asked(deployment)
    ATTEMPTS.record(seconds, *asked, None if failure is None else failure.value)
    read = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    USAGE.record(read, *asked, "input")
    USAGE.record(usage.output_tokens + usage.reasoning_tokens, *asked, "output")
    for one in _CLASSES:
        TOKENS.add(getattr(usage, f"{one}_tokens"), one)


def count_first_chunk(deployment: Deployment, seconds: float) -> None:
    """Count how long a model was silent."""
    FIRST_CHUNKS.record(seconds, *_asked(deployment))


def _asked(deployment: Deployment) -> tuple[str, str, str]:
    model = deployment.model.key if deployment.owner is CredentialOwner.PLATFORM else OTHER
    return "chat", _PROVIDERS[deployment.wire], model
