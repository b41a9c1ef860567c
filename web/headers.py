"""Headers that every answer carries: the request's id, and what keeps browsers safe (OWASP's HTTP headers cheat sheet)."""

from typing import Any, Final

from settings import Settings
from web.callers import headers_of, request_id_of

# GraphiQL's editor writes style elements; nothing else needs an exception.
GRAPHIQL_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self' data:; img-src 'self' data:; "
    "worker-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
MAILS_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
API_POLICY: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class Headers:
    """An ASGI wrapper that adds the headers to every HTTP answer."""

    def __init__(self, app: Any, settings: Settings) -> None:
        self._app = app
        always = {
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "x-frame-options": "DENY",
            "cross-origin-opener-policy": "same-origin",
            "cross-origin-resource-policy": "same-origin",
        }
        if settings.cookies_are_secure:
            always["strict-transport-security"] = "max-age=63072000; includeSubDomains"
        self._always = [(name.encode(), value.encode()) for name, value in always.items()]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = request_id_of(headers_of(scope))
        scope["headers"] = [*(pair for pair in scope["headers"] if pair[0] != b"x-request-id"), (b"x-request-id", request_id.encode())]
        added = [
            *self._always,
            (b"content-security-policy", _policy(scope["path"]).encode()),
            (b"x-request-id", request_id.encode()),
        ]

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *added]}
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _policy(path: str) -> str:
    if path.startswith("/graphiql"):
        return GRAPHIQL_POLICY
    return MAILS_POLICY if path == "/dev/mails" else API_POLICY
