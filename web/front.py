"""What the server calls: it says who answers a request, counts how long that took, and how connections are watched."""

from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

from web.connections import Watch
from web.metrics import REQUESTS, ROUTES

GRAPHQL_PATH: Final = "/graphql"
LASTS: Final = "penny.lasts"
"""Marks in its scope a request whose answer lasts as long as its client likes: an event stream."""
STATUS: Final = "penny.status"
"""Where the scope of a request to GraphQL says what it was answered: such answers do not all go out as ASGI has it."""


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
        began = perf_counter()
        try:
            await app(scope, receive, send if is_graphql else _noting(scope, send))
        finally:
            if LASTS not in scope:
                route = GRAPHQL_PATH if is_graphql else route_of(scope["path"])
                status = scope.get(STATUS)
                failure = str(status) if status is not None and status >= 500 else None
                REQUESTS.record(perf_counter() - began, scope["method"], scope.get("scheme", "http"), route, status, failure)


def _noting(scope: Any, send: Any) -> Any:
    """Note in the scope with which status an answer begins."""

    async def told(message: Any) -> None:
        if message["type"] == "http.response.start":
            scope[STATUS] = message["status"]
        await send(message)

    return told


def route_of(path: str) -> str | None:
    """Name what a path leads to; what is none of ours has no name, for there is no end to those."""
    return next((route for route in ROUTES if path == route or (path.startswith(f"{route}/") and route != "/")), None)
