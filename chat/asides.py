"""What models are asked beside the answers of a chat: its title, its summaries. They are routed as answers are, for who wanted them."""

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Self
from uuid import UUID

import msgspec

from db.scopes import Row
from inference.models import FailureKind, ModelRequest, ProviderFailed, TextDelta
from inference.offers import ModelIsUnavailable, Models
from inference.routing import Rerouted, Route, Router


class Way(msgspec.Struct, frozen=True):
    """The model and the routing policy that a chat was answered by; None are those that answer where nobody chose."""

    model: UUID | None = None
    policy: UUID | None = None

    @classmethod
    def of(cls, run: Row | None) -> Self:
        """The way of a run."""
        return cls() if run is None else cls(run["model_id"], run["routing_policy_id"])


Ask = Callable[[UUID, UUID | None, Way, ModelRequest], Awaitable[str]]
"""Asks for a tenant's member, where an answer was asked for, and returns what was said; raises `ProviderFailed`."""


class NowhereToAsk(ProviderFailed):
    """The member can ask no model any more, or nobody is behind the wish."""

    def __init__(self, message: str) -> None:
        super().__init__(FailureKind.AUTH)
        self.message = message


class Asides:
    """Asks where a chat's answer was asked for: what somebody says to a model of their own goes to no other."""

    def __init__(self, *, models: Models, router: Router) -> None:
        self._models = models
        self._router = router

    async def ask(self, tenant_id: UUID, user_id: UUID | None, way: Way, request: ModelRequest) -> str:
        """Hear an answer out; raises `ProviderFailed` when no attempt is left, `NowhereToAsk` where there can be none."""
        if user_id is None:
            raise NowhereToAsk("Nobody is there for whom a model could be asked.")
        try:
            policy = await self._models.policy_for(tenant_id, user_id, way.model, way.policy)
        except ModelIsUnavailable as gone:
            raise NowhereToAsk(gone.message) from gone
        route = self._router.route(policy, request)  # no chat: where its answers stick is theirs
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
