"""What a provider promises, the one registry of them, and how the configured one is opened."""

from collections.abc import AsyncGenerator, Callable
from typing import Protocol

from inference.models import ModelEvent, ModelRequest
from inference.openai_wire import OpenAIProvider
from inference.scripted import ScriptedProvider
from settings import Settings


class Provider(Protocol):
    """A model behind a wire. Safe for many streams at once in one event loop."""

    @property
    def name(self) -> str:
        """The provider's key in the registry."""

    def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """Answer: deltas as they come, then exactly one `Usage` and, last, one `Finished`; raises `ProviderFailed`.

        Nothing is sent before the first event is asked for. Leaving early closes the connection at once, which tells the
        endpoint to stop: wrap the stream in `contextlib.aclosing`, because a `break` alone closes nothing.
        """

    async def check(self) -> None:
        """Ask whether the endpoint answers and accepts the key, without using the model; raises `ProviderFailed`."""

    async def close(self) -> None:
        """Close every connection."""


PROVIDERS: dict[str, Callable[[Settings], Provider]] = {
    "openai": OpenAIProvider.from_settings,
    "scripted": ScriptedProvider.from_settings,
}


def open_provider(settings: Settings) -> Provider:
    """The provider that the settings name; to be opened in a running event loop and closed by the caller."""
    return PROVIDERS[settings.model_provider](settings)
