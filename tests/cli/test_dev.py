"""`penny dev`: everything runs, one at a time, is kept running, and leaves nothing behind."""

import asyncio
import contextlib
import os
import re
import select
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from cli.dev import EMAIL, PASSWORD
from stack.processes import command_line
from tests.running import ROOT, Api
from tests.telemetry.collector import scraped

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
SIGN_IN = "mutation ($input: SignInInput!) { signIn(input: $input) { tokenOnce errors { message } } }"


class Dev:
    """A running `penny dev`, and what it has said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said = ""

    async def until(self, pattern: str, seconds: float = 60.0) -> "re.Match[str]":
        assert self.process.stdout is not None
        async with asyncio.timeout(seconds):
            while (found := re.search(pattern, self.said)) is None:
                line = await self.process.stdout.readline()
                assert line, f"penny dev ended:\n{self.said}"
                self.said += line.decode()
        return found

    async def end(self, seconds: float = 30.0) -> int:
        said, _ = await asyncio.wait_for(self.process.communicate(), seconds)
        self.said += said.decode()
        assert self.process.returncode is not None
        return self.process.returncode


async def start(data: Path) -> Dev:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PENNY_")}
    command = [sys.executable, "-m", "cli.main", "dev", "--no-model", "--data", str(data)]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=inherited, start_new_session=True, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    return Dev(process)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dev") / ".penny"


@pytest.fixture(scope="module")
async def dev(data: Path) -> AsyncIterator[Dev]:
    started = await start(data)
    try:
        await started.until("PENNY runs")
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            started.process.kill()
        await started.process.wait()


def descendants(pid: int) -> set[int]:
    """All processes that a process started, and those that they did."""
    parents = dict(_parents())
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def worker_of(dev: Dev) -> int:
    (found,) = [pid for pid in descendants(dev.process.pid) if command_line(pid).endswith(" cli.main worker ")]
    return found


def _parents() -> Iterator[tuple[int, int]]:
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            yield int(file.parent.name), int(file.read_text().rpartition(")")[2].split()[1])


def gone(pids: set[int], seconds: float = 20.0) -> bool:
    """Whether all processes end in time."""
    deadline = time.monotonic() + seconds
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            pidfd = os.pidfd_open(pid)
            waiting = select.poll()
            waiting.register(pidfd, select.POLLIN)
            ended = waiting.poll(max(0.0, deadline - time.monotonic()) * 1000)
            os.close(pidfd)
            if not ended:
                return False
    return True


def left_in(data: Path) -> list[str]:
    """What a stopped development must not leave in its folder."""
    return [str(path) for path in data.rglob("*") if path.is_socket() or path.suffix == ".pid" or path.name == "environment"]


async def test_everything_runs_and_the_demo_account_signs_in(dev: Dev) -> None:
    url = (await dev.until(r"GraphiQL +(http://localhost:\d+)/graphiql"))[1]
    await dev.until(r"Mails +http://localhost:\d+/dev/mails")
    await dev.until(f"Sign in +{EMAIL} with the password: {PASSWORD}")
    async with Api(url.replace("localhost", "127.0.0.1")) as api:
        answer = await api.data(SIGN_IN, input={"email": EMAIL, "password": PASSWORD, "transport": "BEARER"})
    assert answer["signIn"]["errors"] == []
    assert answer["signIn"]["tokenOnce"]


async def test_what_web_and_worker_count_is_shown_where_it_says(dev: Dev) -> None:
    found = await dev.until(r"Metrics +http://(127\.0\.0\.1:\d+)/metrics \(web\), http://(127\.0\.0\.1:\d+)/metrics \(worker\)")
    told = [dict(next(iter((await scraped(address))["target_info"]))) for address in found.groups()]
    assert [one["service_name"] for one in told] == ["penny-web", "penny-worker"]


async def test_a_second_one_is_refused_and_names_the_first(dev: Dev, data: Path) -> None:
    second = await start(data)
    assert await second.end() == 1
    assert f"already running in process {dev.process.pid}," in second.said
    assert "Traceback" not in second.said
    assert left_in(data)


async def test_a_worker_that_dies_is_started_again(dev: Dev) -> None:
    os.kill(worker_of(dev), signal.SIGKILL)
    await dev.until(r"worker \| was ended by SIGKILL; it starts again in 1 s\n(?s:.*)worker_ready")


async def test_ctrl_c_stops_all_and_leaves_nothing(dev: Dev, data: Path) -> None:
    started = descendants(dev.process.pid)
    assert len(started) > 5
    dev.process.send_signal(signal.SIGINT)
    assert await dev.end() == 0
    assert "Traceback" not in dev.said
    assert gone(started)
    assert not left_in(data)


async def test_it_starts_again_with_what_was_kept_and_a_second_ctrl_c_ends_it_at_once(dev: Dev, data: Path) -> None:
    if dev.process.returncode is None:  # where the test before ran elsewhere
        dev.process.send_signal(signal.SIGTERM)
        assert await dev.end() == 0
    again = await start(data)
    await again.until("PENNY runs")
    assert "Confirm your e-mail address" in dev.said
    assert "Confirm your e-mail address" not in again.said
    started = descendants(again.process.pid)
    # A stopped worker cannot end by itself: only the second signal does it.
    os.kill(worker_of(again), signal.SIGSTOP)
    again.process.send_signal(signal.SIGINT)
    await again.until("Ctrl-C again ends everything at once")
    again.process.send_signal(signal.SIGINT)
    assert await again.end(10) == 130
    assert gone(started)
    assert not [path for path in left_in(data) if path.endswith("environment")]
