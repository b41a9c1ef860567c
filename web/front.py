"""What the server calls: it says who answers a request, counts how long that took, and how connections are watched."""

from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

from web.connections import Watch
from web.metrics import REQUESTS, ROUTES

GRAPHQL_PATH: Final = "/graphql"
LASTS: Final = "penny.lasts"
"""Marks in its scope a request whose answer lasts as long as its client likes: an event stream."""


class Front:
    """The application that the server calls: GraphQL at once, everything else through Litestar."""

    def __init__(self, graphql: Any, rest: Any, watch: Watch, drain: Callable[[], None]) -> None:
        self._graphql = graphql
        self._rest = rest
        self.watch = watch
        self.drain = drain

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        # Litestar's routing and handler cost as much as a small query.
        is_graphql = scope["type"] != "lifespan" and scope["path"].rstrip("/") == GRAPHQL_PATH
        app = self._graphql if is_graphql else self._rest
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        began, status = perf_counter(), 0

        async def told(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await app(scope, receive, told)
        finally:
            if LASTS not in scope:
                route = GRAPHQL_PATH if is_graphql else route_of(scope["path"])
                failure = str(status) if status >= 500 else None
                REQUESTS.record(perf_counter() - began, scope["method"], scope.get("scheme", "http"), route, status or None, failure)


def route_of(path: str) -> str | None:
    """Name what a path leads to; what is none of ours has no name, for there is no end to those."""
    return next((route for route in ROUTES if path == route or (path.startswith(f"{route}/") and route != "/")), None)
