"""The only HTTP client: two doors, one for addresses that the operator set and one for addresses that a user gave us.

Behind both doors a session reads no proxy, cookie or password from its surroundings and follows no redirect. Behind the
public one it reaches public addresses only, which is checked on the address that is about to be dialled: a name that
resolves differently the second time gains nothing. In production a network without a route inside stands behind this check.
"""

import re
import socket
from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from aiohttp import (
    AddrInfoType,
    ClientHandlerType,
    ClientRequest,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
)
from yarl import URL

from errors import Invalid

HTTPS_PORTS = frozenset({443})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HEADERS = {"User-Agent": "PENNY", "Accept-Encoding": "identity"}

# Python calls these global: IETF protocol assignments with Oracle's metadata (192.0.0.192), the retired 6to4 relays
# (RFC 7526), and the host that Azure puts beside every virtual machine.
_NOT_FOR_US_V4 = tuple(map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")))
# Only global unicast (RFC 4291) is public, so NAT64, IPv4-compatible, local and multicast addresses never are;
# within it: protocol assignments with Teredo, 6to4 (an IPv4 address in disguise), documentation.
_GLOBAL_V6 = ip_network("2000::/3")
_NOT_FOR_US_V6 = tuple(map(ip_network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")))

_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?", re.ASCII | re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII | re.IGNORECASE)
_INVISIBLE = re.compile(r"[\x00-\x20\x7f\\]")


class EgressRefused(Invalid):
    """PENNY does not talk to this address, or not in this way; the text names no address that was resolved."""


class UrlIsNotAllowed(EgressRefused):
    """The URL's scheme, port or spelling is not one that PENNY dials."""


class AddressIsNotPublic(EgressRefused):
    """The host is, or resolves to, an address inside somebody's network."""


class ServerRedirects(EgressRefused):
    """The server sent us elsewhere, and PENNY does not follow."""

    def __init__(self, status: int) -> None:
        super().__init__("The server answered with a redirect, which PENNY does not follow.")
        self.status = status


class AnswerIsTooLong(EgressRefused):
    """The server's answer is longer than `limit` bytes; the connection is closed."""

    def __init__(self, limit: int) -> None:
        super().__init__("The server's answer is too long.", constraint=f"max_bytes={limit}")


def open_operator_session(
    *, connect_seconds: float, silence_seconds: float | None = None, total_seconds: float | None = None
) -> ClientSession:
    """A session for addresses out of Settings, loopback included; to be opened in a running event loop and closed by the caller.

    `silence_seconds` bounds the wait for each next byte, `total_seconds` a whole exchange. The number of connections is
    not bounded here: whoever dials knows how much it does at once.
    """
    return ClientSession(
        connector=TCPConnector(limit=0),
        timeout=ClientTimeout(total=total_seconds, connect=connect_seconds, sock_read=silence_seconds),
        headers=_HEADERS,
        cookie_jar=DummyCookieJar(),
        trust_env=False,
        middlewares=(_refuse_redirects,),
    )


def open_public_session(
    *,
    connect_seconds: float = 5.0,
    silence_seconds: float | None = None,
    total_seconds: float | None = 10.0,
    connections: int = 100,
    allowed_ports: Collection[int] = HTTPS_PORTS,
) -> ClientSession:
    """A session for addresses that a user gave: https to public addresses only; every request raises `EgressRefused` otherwise.

    Bodies come as they are sent, never unpacked: read them with `read_bounded`. Beyond `connections` at once (0: no bound) a
    request waits.
    """

    async def refuse_other_urls(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        check_public_url(request.url, allowed_ports=allowed_ports)
        return await handler(request)

    return ClientSession(
        # One address after the other: racing them would swallow the refusal that `public_socket` raises.
        connector=TCPConnector(limit=connections, socket_factory=public_socket, happy_eyeballs_delay=None),
        timeout=ClientTimeout(total=total_seconds, connect=connect_seconds, sock_read=silence_seconds),
        headers=_HEADERS,
        cookie_jar=DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        middlewares=(refuse_other_urls, _refuse_redirects),
    )


def check_public_url(url: str | URL, *, allowed_ports: Collection[int] = HTTPS_PORTS) -> URL:
    """The URL, if a user may give it: https, an allowed port, no credentials, a plain host that is no private address.

    Names are not resolved here, so this also serves where an address is saved; the address is checked when it is dialled.
    """
    if _INVISIBLE.search(str(url)):
        raise UrlIsNotAllowed("The URL has spaces, control characters or backslashes.", constraint="url")
    try:
        parsed = URL(url)
    except ValueError:
        raise UrlIsNotAllowed("This is not a URL.", constraint="url") from None
    if parsed.scheme != "https":
        raise UrlIsNotAllowed("The URL must begin with https://.", constraint="scheme=https")
    if parsed.raw_user is not None or parsed.raw_password is not None:
        raise UrlIsNotAllowed("The URL must not carry a user name or a password.", constraint="no_credentials")
    if parsed.port not in allowed_ports:
        ports = ",".join(map(str, sorted(allowed_ports)))
        raise UrlIsNotAllowed("The URL's port is not one that PENNY dials.", constraint=f"ports={ports}")
    _check_host(parsed.raw_host or "")
    return parsed


def _check_host(host: str) -> None:
    """Refuse a private literal, and every spelling of an address that only the C library would understand (`0x7f.1`)."""
    if ":" not in host and not _NAME.fullmatch(host):
        raise UrlIsNotAllowed("The URL's host is not a plain name or address.", constraint="host")
    is_literal = ":" in host or _NUMBER.fullmatch(host.rstrip(".").rsplit(".", 1)[-1])
    if is_literal and not is_public(host):
        raise AddressIsNotPublic("The URL's host is not a public address.", constraint="public_address")


def is_public(address: str) -> bool:
    """Whether this literal address, canonically spelled, belongs to the public internet."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if not ip.is_global or ip.is_multicast:
        return False
    if isinstance(ip, IPv4Address):
        return not any(ip in network for network in _NOT_FOR_US_V4)
    return ip in _GLOBAL_V6 and not any(ip in network for network in _NOT_FOR_US_V6)


def public_socket(address: AddrInfoType) -> socket.socket:
    """The connector's socket for this resolved address; the one place that every dialled address passes, literals too."""
    family, kind, protocol, _, target = address
    if family not in (socket.AF_INET, socket.AF_INET6) or not is_public(str(target[0])):
        raise AddressIsNotPublic("The URL's host is not a public address.", constraint="public_address")
    return socket.socket(family=family, type=kind, proto=protocol)


async def read_bounded(response: ClientResponse, limit: int) -> bytes:
    """The body, if it is at most `limit` bytes; raises `AnswerIsTooLong` as soon as it is longer."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit:
            response.close()
            raise AnswerIsTooLong(limit)
    return bytes(body)


async def _refuse_redirects(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    response = await handler(request)
    if response.status in _REDIRECTS:
        response.close()
        raise ServerRedirects(response.status)
    return response
