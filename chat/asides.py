"""What models are asked beside the answers of a chat: its title, its summaries. They are routed as answers are, for who wanted them."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from uuid import UUID

from inference.models import FailureKind, ModelRequest, ProviderFailed, TextDelta
from inference.offers import ModelIsUnavailable, Models
from inference.routing import Rerouted, Route, Router

Ask = Callable[[UUID, UUID | None, UUID, ModelRequest], Awaitable[str]]
"""Asks for a tenant's member, about a chat, and returns what was said; raises `ProviderFailed`."""


class NowhereToAsk(ProviderFailed):
    """The member can ask no model any more, or nobody is behind the wish."""

    def __init__(self, message: str) -> None:
        super().__init__(FailureKind.AUTH)
        self.message = message


class Asides:
    """Asks the model that answers where none is named, wherever the member may ask it."""

    def __init__(self, *, models: Models, router: Router) -> None:
        self._models = models
        self._router = router

    async def ask(self, tenant_id: UUID, user_id: UUID | None, chat_id: UUID, request: ModelRequest) -> str:
        """Hear an answer out; raises `ProviderFailed` when no attempt is left, `NowhereToAsk` where there can be none."""
        if user_id is None:
            raise NowhereToAsk("Nobody is there for whom a model could be asked.")
        try:
            policy = await self._models.policy_for(tenant_id, user_id)
        except ModelIsUnavailable as gone:
            raise NowhereToAsk(gone.message) from gone
        route = self._router.route(policy, request, chat_id=chat_id)
        try:
            return await _heard(route)
        finally:
            route.leave()


async def _heard(route: Route) -> str:
    said: list[str] = []
    async with aclosing(route.events()) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                said.append(event.text)
            elif isinstance(event, Rerouted) and event.restarts:
                said.clear()
    return "".join(said)
