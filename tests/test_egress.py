"""Neither door follows redirects or the environment, and the public one reaches nothing inside, however it is spelled."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from aiohttp import ClientConnectorError, ClientSession, InvalidUrlClientError, TCPConnector, web
from aiohttp.abc import AbstractResolver, ResolveResult

import egress
from egress import (
    AddressIsNotPublic,
    AnswerIsTooLong,
    EgressRefused,
    ServerRedirects,
    UrlIsNotAllowed,
    check_public_url,
    is_public,
    open_operator_session,
    open_public_session,
    public_socket,
    read_bounded,
)

# These lead to the canary when nobody guards the way; the last ones only where the C library reads old spellings.
LEADS_TO_LOOPBACK = (
    "127.0.0.1",
    "localhost",
    "LOCALHOST",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "127。0。0。1",
    "①②⑦.⓪.⓪.①",
    "0.0.0.0",
    "0x7f000001",
    "0x7f.1",
)
INSIDE = (
    *LEADS_TO_LOOPBACK,
    "127.0.0.1.",
    "127.255.255.254",
    "127.1",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "0",
    "[::]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "[fe80::1]",
    "[fec0::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "[100::1]",
    "[2001:db8::1]",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.192",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
)


class Canary:
    """Counts who connects to loopback on `port`, in both families where there are two, and says 204 to plain HTTP."""

    visits = 0
    port = 0
    hears_v6 = True

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as servers:
            first = await servers.enter_async_context(await asyncio.start_server(self._visit, "127.0.0.1", 0))
            self.port = first.sockets[0].getsockname()[1]
            try:
                await servers.enter_async_context(await asyncio.start_server(self._visit, "::1", self.port))
            except OSError:
                self.hears_v6 = False
            yield

    async def _visit(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        writer.close()


@pytest.fixture
async def canary() -> AsyncIterator[Canary]:
    one = Canary()
    async with one.listening():
        yield one


@pytest.mark.parametrize("host", INSIDE)
async def test_the_public_door_reaches_nothing_inside(canary: Canary, host: str) -> None:
    async with open_public_session(allowed_ports={canary.port}) as session:
        with pytest.raises(AddressIsNotPublic):
            await session.get(f"https://{host}:{canary.port}/")
    assert canary.visits == 0


@pytest.mark.parametrize("host", INSIDE)
async def test_the_check_at_connect_time_holds_without_the_check_of_the_url(canary: Canary, host: str) -> None:
    connector = TCPConnector(socket_factory=public_socket, happy_eyeballs_delay=None)
    async with ClientSession(connector=connector) as session:
        # aiohttp itself refuses the numbers that only the C library would read as addresses.
        with pytest.raises((AddressIsNotPublic, InvalidUrlClientError)):
            await session.get(f"http://{host}:{canary.port}/")
    assert canary.visits == 0


@pytest.mark.parametrize("host", LEADS_TO_LOOPBACK)
async def test_the_operators_door_reaches_loopback(canary: Canary, host: str) -> None:
    if host.startswith("[") and not canary.hears_v6:
        pytest.skip("this machine has no IPv6")
    async with open_operator_session(connect_seconds=5) as session, session.get(f"http://{host}:{canary.port}/") as response:
        assert response.status == 204
    assert canary.visits == 1


class Rebinds(AbstractResolver):
    """Answers with addresses that it is given, whatever the name."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        return [{"hostname": host, "host": address, "port": port, "family": family, "proto": 0, "flags": 0} for address in self._addresses]

    async def close(self) -> None: ...


def resolve_by(session: ClientSession, resolver: AbstractResolver) -> None:
    assert isinstance(session.connector, TCPConnector)
    session.connector._resolver = resolver


@pytest.mark.parametrize("addresses", [("127.0.0.1",), ("10.0.0.1", "127.0.0.1"), ("169.254.169.254", "8.8.8.8")])
async def test_a_name_that_turns_out_to_be_inside_is_refused(canary: Canary, addresses: tuple[str, ...]) -> None:
    async with open_public_session(allowed_ports={canary.port}) as session:
        resolve_by(session, Rebinds(*addresses))
        with pytest.raises(AddressIsNotPublic) as caught:
            await session.get(f"https://rebind.example:{canary.port}/")
    assert canary.visits == 0
    assert not [address for address in addresses if address in str(caught.value)]


async def test_only_the_address_keeps_the_public_door_shut(canary: Canary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress, "is_public", lambda _: True)
    async with open_public_session(allowed_ports={canary.port}) as session:
        resolve_by(session, Rebinds("127.0.0.1"))
        with pytest.raises(ClientConnectorError):  # the canary speaks no TLS
            await session.get(f"https://rebind.example:{canary.port}/")
    assert canary.visits == 1


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "2001:4860:4860::8888", "::ffff:8.8.8.8", "100.128.0.1"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com:443/hook?x=1#y",
        "https://EXAMPLE.com./",
        "https://xn--bcher-kva.example/",
        "https://bücher.example/",
        "https://a_b-c.example/",
        "https://8.8.8.8/",
        "https://[2606:4700:4700::1111]/",
        "https://1.2.3.4.example/",
        "https://0x7f.example/",
    ],
)
def test_plain_https_addresses_may_be_given(url: str) -> None:
    assert check_public_url(url).scheme == "https"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "//example.com/",
        "http://example.com/",
        "wss://example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "https:///path",
        "https:example.com",
        "https://example.com:22/",
        "https://example.com:6379/",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://user@example.com/",
        "https://user:secret@example.com/",
        "https://:secret@example.com/",
        "https://example.com@127.0.0.1/",
        "https://1.1.1.1\\@127.0.0.1/",
        "https://exa mple.com/",
        "https://exa\tmple.com/",
        "https://example.com/\r\nX-Injected: yes",
        "https://example.com/\x00",
        " https://example.com/",
        "https://[::1",
        "https://%31%32%37.0.0.1/",
        "https://127.0.0.1%2f.example.com/",
        "https://-/\\",
        "https://a..b/",
    ],
)
def test_other_urls_may_not_be_given(url: str) -> None:
    with pytest.raises(UrlIsNotAllowed):
        check_public_url(url)


@pytest.mark.parametrize("host", [host for host in INSIDE if "localhost" not in host.lower()])
def test_a_private_address_is_refused_where_it_is_saved(host: str) -> None:
    with pytest.raises(AddressIsNotPublic):
        check_public_url(f"https://{host}/")


def test_a_scoped_address_is_refused() -> None:
    with pytest.raises(EgressRefused):
        check_public_url("https://[fe80::1%25lo]/")


def test_further_ports_may_be_allowed() -> None:
    assert check_public_url("https://example.com:8443/", allowed_ports={443, 8443}).port == 8443
    with pytest.raises(UrlIsNotAllowed):
        check_public_url("https://example.com:8443/")


@pytest.fixture
def cookies_seen() -> list[str]:
    return []


@pytest.fixture
async def server(cookies_seen: list[str]) -> AsyncIterator[str]:
    """An honest web server on loopback; its address without a path."""

    async def redirect(request: web.Request) -> web.Response:
        return web.Response(status=int(request.match_info["status"]), headers={"Location": "/cookie"})

    async def cookie(request: web.Request) -> web.Response:
        cookies_seen.append(request.headers.get("Cookie", ""))
        return web.Response(text="x" * 100, headers={"Set-Cookie": "who=me"})

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * int(request.match_info["bytes"]))
            await asyncio.sleep(0.01)

    app = web.Application()
    app.add_routes([web.get("/redirect/{status}", redirect), web.get("/cookie", cookie), web.get("/endless/{bytes}", endless)])
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(server: str, cookies_seen: list[str], status: int) -> None:
    async with open_operator_session(connect_seconds=5) as session:
        with pytest.raises(ServerRedirects) as caught:
            await session.get(f"{server}/redirect/{status}")
    assert caught.value.status == status
    assert not cookies_seen


async def test_no_cookie_is_kept(server: str, cookies_seen: list[str]) -> None:
    async with open_operator_session(connect_seconds=5) as session:
        for _ in range(2):
            # By name: a jar keeps no cookies of bare addresses anyway.
            async with session.get(f"{server.replace('127.0.0.1', 'localhost')}/cookie") as response:
                assert "Set-Cookie" in response.headers
    assert cookies_seen == ["", ""]


@pytest.fixture
def proxy_in_the_environment(canary: Canary, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{canary.port}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("proxy_in_the_environment")
async def test_a_proxy_in_the_environment_is_not_used(server: str, canary: Canary) -> None:
    async with open_operator_session(connect_seconds=5) as session, session.get(f"{server}/cookie") as response:
        assert response.status == 200
    async with open_public_session() as session:
        assert not session.trust_env
    assert canary.visits == 0
    async with ClientSession(trust_env=True) as believing, believing.get(f"{server}/cookie") as response:
        assert response.status == 204
    assert canary.visits == 1


async def test_a_body_is_read_up_to_its_limit_and_no_further(server: str) -> None:
    async with open_operator_session(connect_seconds=5) as session:
        async with session.get(f"{server}/cookie") as response:
            assert await read_bounded(response, 100) == b"x" * 100
        async with session.get(f"{server}/cookie") as response:
            with pytest.raises(AnswerIsTooLong):
                await read_bounded(response, 99)
        async with asyncio.timeout(5), session.get(f"{server}/endless/65536") as response:
            with pytest.raises(AnswerIsTooLong):
                await read_bounded(response, 200_000)


async def test_a_body_that_drips_is_cut_in_time(server: str) -> None:
    async with open_operator_session(connect_seconds=5, total_seconds=0.3) as session, session.get(f"{server}/endless/1") as response:
        with pytest.raises(TimeoutError):
            await read_bounded(response, 1_000_000)


async def test_the_public_door_unpacks_nothing() -> None:
    async with open_public_session() as session:
        assert not session.auto_decompress
        assert session.headers["Accept-Encoding"] == "identity"
