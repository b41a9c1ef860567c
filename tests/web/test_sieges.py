"""Thousands who connect and say nothing, or half of what they should: others are answered, and all of them are gone in time.

`make siege` sends ten thousand of each kind and prints what they cost; `PENNY_SIEGE` says how many.
"""

import asyncio
import os
import resource
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from bench.processes import PROC, cpu_ms, memory
from tests.running import Api, running_web
from tests.web.test_connections import HEAD
from tests.web.test_socket_crowds import steps_of

SHORT = 200
CROWD = int(os.environ.get("PENNY_SIEGE", SHORT))
OF_AN_ADDRESS, SOCKETS_OF_AN_ADDRESS = CROWD * 2 // 5, CROWD // 5  # as 4,000 and 2,000 are to 10,000
ADDRESSES = 10
AT_ONCE = 100
# Long enough that ten thousand are there at once, and short enough that nobody waits for long where it is few.
SECONDS = 0.5 if CROWD == SHORT else 30.0
# More than a connection takes, with its head, its buffers and its tasks; and what a process takes anyway.
MOST_BYTES, OTHERWISE = 60_000, 50_000_000


class Siege(NamedTuple):
    """The server that is besieged, and its process."""

    url: str
    pid: int


@pytest.fixture(scope="module")
async def siege(environment: dict[str, str]) -> AsyncIterator[Siege]:
    limits = {
        "HTTP_REQUEST_SECONDS": str(SECONDS), "SOCKET_INIT_SECONDS": str(SECONDS), "HTTP_ADDRESS_CONNECTIONS": str(OF_AN_ADDRESS),
        "ADDRESS_MAX_CONNECTIONS": str(SOCKETS_OF_AN_ADDRESS),
    }  # fmt: skip
    async with running_web(environment | {f"PENNY_{name}": value for name, value in limits.items()}) as (url, process):
        yield Siege(url, process.pid)


class Besieger(asyncio.Protocol):
    """A connection that says one thing, answers nothing and never hangs up."""

    def __init__(self, said: bytes) -> None:
        self._said = said
        self._heard = b""
        self.gone = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._said)

    def data_received(self, data: bytes) -> None:
        self._heard += data[: 1024 - len(self._heard)]

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set_result(None)

    @property
    def is_held(self) -> bool:
        """Whether the server keeps it and has not told it to go: a refusal is an answer, or a frame that closes."""
        return not (self.gone.done() or b" 429 " in self._heard or b"\x88" in self._heard)


def handshake() -> bytes:
    return steps_of("", "")[0][0]


SAID: dict[str, Callable[[], bytes]] = {
    "nothing": bytes,
    "half a head": lambda: HEAD,
    "half a body": lambda: HEAD + b"content-length: 1000\r\n\r\n{",
    "no connection_init": handshake,
}


async def gathered(siege: Siege, say: Callable[[], bytes], addresses: int) -> list[Besieger]:
    """Connect, a few at a time."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    loop, port, crowd = asyncio.get_running_loop(), urlsplit(siege.url).port, list[Besieger]()
    assert port is not None
    while len(crowd) < CROWD:
        places = [f"127.0.1.{1 + (len(crowd) + number) % addresses}" for number in range(AT_ONCE)]
        made = [loop.create_connection(lambda: Besieger(say()), "127.0.0.1", port, local_addr=(place, 0)) for place in places]
        crowd += [protocol for _, protocol in await asyncio.gather(*made)]
    return crowd


@pytest.mark.skipif(not PROC.joinpath("self/smaps_rollup").exists(), reason="Memory is read as Linux tells it.")
@pytest.mark.parametrize("addresses", [ADDRESSES, 1], ids=["many addresses", "one address"])
@pytest.mark.parametrize("said", SAID if CROWD != SHORT else ["half a head", "no connection_init"])
async def test_a_siege_keeps_nobody_out_and_ends(siege: Siege, said: str, addresses: int) -> None:
    cpu, before = cpu_ms(siege.pid), memory(siege.pid).rss
    crowd = await gathered(siege, SAID[said], addresses)
    async with Api(siege.url) as api:
        waits = [await asked(api) for _ in range(20)]
    held = sum(one.is_held for one in crowd)
    grown, spent = memory(siege.pid).rss - before, cpu_ms(siege.pid) - cpu
    print(  # noqa: T201 - what `make siege` is for
        f"\n{said}, {addresses} address(es): {CROWD:,} came, {held:,} were held, {1000 * grown / max(1, held):.1f} KB each; "
        f"{spent / CROWD:.2f} ms of CPU each; others waited {1000 * max(waits):.0f} ms at most"
    )
    assert grown * 1e6 < MOST_BYTES * CROWD + OTHERWISE
    if addresses == 1:
        assert held <= (SOCKETS_OF_AN_ADDRESS if said == "no connection_init" else OF_AN_ADDRESS)
    async with asyncio.timeout(120):
        await asyncio.gather(*(one.gone for one in crowd))


async def asked(api: Api) -> float:
    """Ask something; return the seconds until the answer."""
    began = asyncio.get_running_loop().time()
    assert await api.data("{ __typename }") == {"__typename": "Query"}
    return asyncio.get_running_loop().time() - began
