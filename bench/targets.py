"""Who is measured: PENNY in both of its modes, its peers, an endpoint by hand and a constant answer; each one process by default."""

import asyncio
import contextlib
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import operations
from bench.operations import Asking
from bench.processes import cpu_ms
from bench.servers import Servers
from tests.running import ROOT, free_port, ready

PEERS = Path("bench/peers").resolve()
PYTHON = PEERS / ".venv" / "bin" / "python"
PENNY = (sys.executable, "-m", "cli.main", "serve")
# A load asks far more than people may. It is charged all the same, from buckets that it cannot empty.
LIMITS = {
    "PENNY_RATE_LIMIT_PRINCIPAL_POINTS": "1000000000",
    "PENNY_RATE_LIMIT_TENANT_POINTS": "1000000000",
    "PENNY_RATE_LIMIT_ADDRESS_POINTS": "1000000000",
    "PENNY_RATE_LIMIT_CREDENTIAL_POINTS": "1000000000",
    "PENNY_ADDRESS_MAX_CONNECTIONS": "1000000",
}
READY_SECONDS = 30.0
STOP_SECONDS = 15.0


@dataclass(frozen=True)
class Running:
    """A server that answers; `tokens` is where a peer is told to publish one."""

    target: "Target"
    port: int
    pid: int
    tokens: int = 0

    @property
    def cpu_ms(self) -> float:
        return cpu_ms(self.pid)


@dataclass(frozen=True)
class Target:
    """Somebody who is measured; `variables` are PENNY's settings, `command` starts a peer.

    A program is warm after so many operations: V8 compiles again and again what is called often, Python hardly ever.
    """

    name: str
    title: str
    asking: Asking
    command: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    processes: int = 1
    warm_after: int = 50

    @contextlib.asynccontextmanager
    async def running(self, servers: Servers) -> AsyncIterator[Running]:
        """Start it and wait until it answers."""
        port, tokens = free_port(), free_port() if self.command else 0
        arguments = [one.replace("{port}", str(port)) for one in self.command] or [*PENNY, "--workers", str(self.processes)]
        given = _peer(servers, port, tokens) if self.command else penny(servers, port, self.variables)
        async with process(arguments, given) as started:
            await (_answers(port, started) if self.command else _ready(f"http://127.0.0.1:{port}"))
            yield Running(self, port, started.pid, tokens)


def node() -> str:
    """The Node that `make` chose, or the machine's own."""
    return os.environ.get("BENCH_NODE") or shutil.which("node") or "node"


def _uvicorn(app: str) -> tuple[str, ...]:
    options = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--no-server-header", "--log-level", "warning")
    return (str(PYTHON), "-m", "uvicorn", f"bench.peers.{app}:app", *options, "--port", "{port}")


def _node(script: str) -> tuple[str, ...]:
    return (node(), str(PEERS / script))


V8 = 600
COMPILED = Target("compiled", "PENNY", operations.as_penny, variables=(("PENNY_EXECUTION", "compiled"),))
REFERENCE = Target("reference", "PENNY, reference mode", operations.as_penny, variables=(("PENNY_EXECUTION", "reference"),))
MERCURIUS = Target("mercurius", "Mercurius + graphql-jit", operations.as_peer, _node("mercurius.mjs"), warm_after=V8)
POSTGRAPHILE = Target("postgraphile", "PostGraphile 5", operations.as_postgraphile, _node("postgraphile.mjs"), warm_after=V8)
FASTAPI = Target("fastapi", "FastAPI + Strawberry", operations.as_peer, _uvicorn("fastapi_strawberry"))
BY_HAND = Target("by_hand", "written by hand (Python)", operations.by_hand, _uvicorn("by_hand"))
CONSTANT = Target("constant", "a constant answer", operations.constant, _uvicorn("by_hand"))
GRAPHQL_WS = Target("graphql_ws", "graphql-ws + graphql-js", operations.as_peer, _node("graphql_ws.mjs"))

COMPARED = (COMPILED, REFERENCE, MERCURIUS, POSTGRAPHILE, FASTAPI, BY_HAND, CONSTANT)
STREAMING = (COMPILED, MERCURIUS, GRAPHQL_WS)


@contextlib.asynccontextmanager
async def all_running(targets: Sequence[Target], servers: Servers, progress: Callable[[str], None]) -> AsyncIterator[list[Running]]:
    """Start them one after the other, so that none starts slowly because of another."""
    async with contextlib.AsyncExitStack() as stack:
        found = []
        for target in targets:
            progress(f"starting {target.title}")
            found.append(await stack.enter_async_context(target.running(servers)))
        yield found


@contextlib.asynccontextmanager
async def process(command: Sequence[str], given: Mapping[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program with these variables and none of PENNY's that this process has; stop it at the end."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PENNY_")}
    started = await asyncio.create_subprocess_exec(*command, env={**inherited, **given}, cwd=ROOT)
    try:
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            started.terminate()
        try:
            await asyncio.wait_for(started.wait(), STOP_SECONDS)
        except TimeoutError:
            started.kill()
            await started.wait()


def penny(servers: Servers, port: int, variables: Iterable[tuple[str, str]] = ()) -> dict[str, str]:
    """The settings of a web process."""
    return {**servers.variables, **LIMITS, "PENNY_PORT": str(port), "PENNY_PUBLIC_URL": f"http://127.0.0.1:{port}", **dict(variables)}


def _peer(servers: Servers, port: int, tokens: int) -> dict[str, str]:
    """The same database as the same role as PENNY's, and the keys of what is encrypted in it."""
    addresses = servers.addresses
    libpq = {"PGHOST": addresses.postgres_socket_dir, "PGPORT": str(addresses.postgres_port), "PGUSER": "penny_app", "PGDATABASE": "penny"}
    ports = {"PORT": str(port), "TOKENS_PORT": str(tokens)}
    keys = str(servers.folder.resolve() / "keys.json")
    return libpq | ports | {"BENCH_KEYS": keys, "NODE_ENV": "production", "PYTHONDONTWRITEBYTECODE": "1"}


async def _ready(url: str) -> None:
    """Wait twice as long as tests do: several processes start one behind the other where cores are few."""
    with contextlib.suppress(TimeoutError):
        await ready(url)
        return
    await ready(url)


async def _answers(port: int, server: asyncio.subprocess.Process) -> None:
    """Wait until a server listens."""
    deadline = asyncio.get_running_loop().time() + READY_SECONDS
    while asyncio.get_running_loop().time() < deadline and server.returncode is None:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.05)
    raise RuntimeError(f"A peer did not start (status {server.returncode}); `make bench` installs what the peers need.")
