"""What a provider promises, the one registry of them by their wires, and how those of deployments are opened."""

from collections.abc import AsyncGenerator, Callable
from typing import Final, Protocol

from aiohttp import ClientSession
from yarl import URL

from egress import open_operator_session, open_public_session
from inference.anthropic_wire import AnthropicProvider
from inference.deployments import CredentialOwner, Deployment
from inference.models import ModelEvent, ModelRequest
from inference.openai_wire import OpenAIProvider
from inference.responses_wire import ResponsesProvider
from inference.scripted import ScriptedProvider
from settings import Settings, SettingsError


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


PROVIDERS: Final[dict[str, Callable[[Deployment, ClientSession, Settings], Provider]]] = {
    "anthropic": AnthropicProvider,
    "openai": OpenAIProvider,
    "responses": ResponsesProvider,
    "scripted": ScriptedProvider.opened,
}


def origin_of(url: str) -> str:
    """The scheme, host and port of an address."""
    return str(URL(url).origin())


class Providers:
    """Opens providers on two sessions that all share: one for the platform's own endpoints, one for those that somebody gave us.

    What the operator named as private endpoints is reached like the platform's own.

    To be made in a running event loop and closed by whoever made it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        try:
            self._inside = frozenset(map(origin_of, settings.model_private_endpoints))
        except ValueError as error:
            raise SettingsError(f"PENNY_MODEL_PRIVATE_ENDPOINTS: {error}") from error
        self._trusted = open_operator_session(connect_seconds=settings.model_connect_seconds)
        self._public = open_public_session(connect_seconds=settings.model_connect_seconds, total_seconds=None, connections=0)

    def of(self, deployment: Deployment) -> Provider:
        """The provider of a deployment; it costs nothing and holds nothing open."""
        is_trusted = deployment.owner is CredentialOwner.PLATFORM or (self._inside and origin_of(deployment.base_url) in self._inside)
        session = self._trusted if is_trusted else self._public
        return PROVIDERS[deployment.wire](deployment, session, self._settings)

    async def close(self) -> None:
        """Close every connection."""
        await self._trusted.close()
        await self._public.close()
