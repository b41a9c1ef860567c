"""Who calls: the credential of a request or a socket, the client's address, and which origins may use cookies."""

import ipaddress
from collections.abc import Mapping
from secrets import token_hex
from typing import Any, Final
from urllib.parse import urlsplit

from auth.api_keys import ApiKeys
from auth.sessions import Sessions
from auth.tokens import API_KEY
from auth.viewers import Viewer
from errors import Unauthenticated
from resolvers.operations import Caller, Works
from settings import Settings

Scope = Mapping[str, Any]
MOST_USER_AGENT: Final = 256
MOST_REQUEST_ID: Final = 64


def headers_of(scope: Scope) -> dict[str, str]:
    """Return the request's headers by lower-case name; the last of several wins."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


def cookie_name(settings: Settings) -> str:
    """Name the session cookie; the `__Host-` prefix makes browsers refuse one that another host or path set."""
    return "__Host-penny_session" if settings.cookies_are_secure else "penny_session"


def cookie_token(headers: Mapping[str, str], settings: Settings) -> str | None:
    """Read the session cookie's token."""
    wanted = cookie_name(settings)
    for pair in headers.get("cookie", "").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == wanted and value:
            return value
    return None


def set_cookie(settings: Settings, token: str) -> str:
    """Make the `Set-Cookie` header; an empty token removes the cookie."""
    life = settings.session_hours * 3600 if token else 0
    secure = "; Secure" if settings.cookies_are_secure else ""
    return f"{cookie_name(settings)}={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age={life}{secure}"


def bearer_token(text: str) -> str:
    """Take the token out of an `Authorization` header."""
    scheme, _, token = text.strip().partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("The Authorization header must be `Bearer <token>`.")
    return token.strip()


def known_viewer(works: Works, token: str) -> Viewer | None:
    """Who a token stands for, if this process has just looked it up."""
    return _keeper(works, token).known(token)


async def viewer_of_token(works: Works, token: str) -> Viewer:
    """Find out who a token stands for; raises `Unauthenticated`."""
    return await _keeper(works, token).viewer_of(token)


def _keeper(works: Works, token: str) -> ApiKeys | Sessions:
    return works.api_keys if token.startswith(API_KEY) else works.sessions


def caller_of(scope: Scope, headers: Mapping[str, str], settings: Settings) -> Caller:
    """Describe where a request came from; `X-Forwarded-For` counts only behind trusted proxies, read from its right end."""
    address = str(scope["client"][0]) if scope.get("client") else "127.0.0.1"
    if address in settings.trusted_proxies:
        for hop in reversed([part.strip() for part in headers.get("x-forwarded-for", "").split(",") if part.strip()]):
            if not _is_address(hop):
                break
            address = hop
            if hop not in settings.trusted_proxies:
                break
    agent = headers.get("user-agent")
    return Caller(address=address, user_agent=agent and agent[:MOST_USER_AGENT], request_id=request_id_of(headers))


def request_id_of(headers: Mapping[str, str]) -> str:
    """Take over the caller's request id where it is a plain one, else make one."""
    given = headers.get("x-request-id", "")
    if 8 <= len(given) <= MOST_REQUEST_ID and given.isascii() and given.replace("-", "").replace("_", "").isalnum():
        return given
    return token_hex(16)


def origin_may_use_cookies(headers: Mapping[str, str], settings: Settings) -> bool:
    """Whether the page that sent this may speak for the cookie's owner: our own pages and the allowed origins."""
    origin = headers.get("origin")
    if origin is None:  # browsers leave it out of GET requests, and then say where they come from in another way
        return headers.get("sec-fetch-site", "none") in ("same-origin", "none")
    public = urlsplit(settings.public_url)
    # On plain HTTP the host may have several names; behind HTTPS a page that came without it must not speak for the cookie.
    same_host = not settings.cookies_are_secure and urlsplit(origin).netloc == headers.get("host")
    return same_host or origin == f"{public.scheme}://{public.netloc}" or origin in settings.allowed_origins


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
