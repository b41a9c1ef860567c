"""Headers that every answer carries: the request's id, and what keeps browsers safe (OWASP's HTTP headers cheat sheet)."""

import hashlib
from base64 import b64encode
from functools import lru_cache
from math import ceil
from typing import Any, Final

from auth.rates import Bucket, Charge
from settings import Settings
from web.callers import headers_of, request_id_of

# What GraphiQL's libraries would write as inline styles its `styles.js` sets through the CSSOM, which needs no exception.
GRAPHIQL_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self' data:; img-src 'self' data:; "
    "worker-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
MAILS_STYLE: Final = "body{font:16px system-ui;margin:2rem auto;max-width:48rem}pre{white-space:pre-wrap;background:#8881;padding:1rem}"
MAILS_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{b64encode(hashlib.sha256(MAILS_STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Chats hold whatever people and models wrote, and links in mails hold tokens: not a string may become markup or a script.
LINKED_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
# The addresses of links in mails (`auth/mails.py`).
MAILED: Final = ("/verify", "/reset", "/invitation")
# Pages of ours need none of a browser's powers but to copy what is shown.
PERMISSIONS: Final = b"camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=(), clipboard-read=()"
ALLOWED_HEADERS: Final = b"authorization, cache-control, content-type, if-none-match, last-event-id, traceparent, tracestate, x-request-id"
EXPOSED_HEADERS: Final = b"age, cache-status, etag, ratelimit, ratelimit-policy, retry-after, server-timing, x-request-id"
PREFLIGHT_SECONDS: Final = 7200
"""How long a browser may keep what a preflight answered; Chromium's own most."""
API_POLICY: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def always(settings: Settings) -> list[tuple[bytes, bytes]]:
    """Return the headers of every HTTP answer, whatever it is."""
    headers = {
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "x-frame-options": "DENY",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
    }
    if settings.cookies_are_secure:
        headers["strict-transport-security"] = "max-age=63072000; includeSubDomains"
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def of_api(settings: Settings) -> list[tuple[bytes, bytes]]:
    """Return the headers of every answer of the API that nobody may keep."""
    return [*always(settings), (b"content-security-policy", API_POLICY.encode()), (b"cache-control", b"no-store")]


class Cors:
    """What pages of other origins may do: those that the settings list may use the API, with their cookie (the Fetch standard's CORS)."""

    def __init__(self, settings: Settings) -> None:
        self._allowed = {
            origin: [(b"access-control-allow-origin", origin.encode()), (b"access-control-allow-credentials", b"true")]
            for origin in settings.allowed_origins
        }

    def preflight(self, origin: str | None) -> list[tuple[bytes, bytes]]:
        """Answer what a browser asks before it sends a page's request."""
        if (allowed := self._allowed.get(origin or "")) is None:
            return []
        return [
            *allowed,
            (b"access-control-allow-methods", b"GET, POST"),
            (b"access-control-allow-headers", ALLOWED_HEADERS),
            (b"access-control-max-age", b"%d" % PREFLIGHT_SECONDS),
        ]

    def on_answer(self, origin: str | None) -> list[tuple[bytes, bytes]]:
        """Let the page read an answer, and the headers that its client may need."""
        if (allowed := self._allowed.get(origin or "")) is None:
            return []
        return [*allowed, (b"access-control-expose-headers", EXPOSED_HEADERS)]


def rate_limit(charge: Charge) -> list[tuple[bytes, bytes]]:
    """Say what the caller's bucket holds and what is left of it (draft-ietf-httpapi-ratelimit-headers-10)."""
    own = charge.account.own
    left = b'"%b";r=%d;t=%d' % (own.name.encode(), charge.remaining, ceil(charge.seconds_to_full))
    return [(b"ratelimit-policy", _policy_of(own.name, own.capacity, own.per_second)), (b"ratelimit", left)]


def rate_limited(bucket: Bucket, retry_after_ms: int) -> list[tuple[bytes, bytes]]:
    """Say the same to whom that bucket refused: nothing is left until then."""
    left = b'"%b";r=0;t=%d' % (bucket.name.encode(), ceil(retry_after_ms / 1000))
    return [(b"ratelimit-policy", _policy_of(bucket.name, bucket.capacity, bucket.per_second)), (b"ratelimit", left)]


@lru_cache
def _policy_of(name: str, capacity: int, per_second: int) -> bytes:
    return b'"%b";q=%d;w=%d' % (name.encode(), capacity, ceil(capacity / per_second))


class Headers:
    """An ASGI wrapper that adds the headers to every HTTP answer."""

    def __init__(self, app: Any, settings: Settings) -> None:
        self._app = app
        self._always = always(settings)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = request_id_of(headers_of(scope))
        scope["headers"] = [*(pair for pair in scope["headers"] if pair[0] != b"x-request-id"), (b"x-request-id", request_id.encode())]
        added = [
            *self._always,
            (b"content-security-policy", _policy(scope["path"]).encode()),
            (b"permissions-policy", PERMISSIONS),
            (b"x-request-id", request_id.encode()),
        ]

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *added]}
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _policy(path: str) -> str:
    path = path.rstrip("/")  # as the router does
    if path.startswith("/graphiql"):
        return GRAPHIQL_POLICY
    if path == "/share" or path in MAILED or path.startswith(("/share/", "/account/")):
        return LINKED_POLICY
    return MAILS_POLICY if path == "/dev/mails" else API_POLICY
