"""What the server calls: it says who answers a request, and how connections are watched."""

from collections.abc import Callable
from typing import Any, Final

from web.connections import Watch

GRAPHQL_PATH: Final = "/graphql"


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
        await (self._graphql if is_graphql else self._rest)(scope, receive, send)
