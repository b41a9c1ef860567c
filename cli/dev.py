"""`penny dev`: servers, database, demo account, web and worker on this machine, under one Ctrl-C."""

import asyncio
import contextlib
import importlib
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from http.client import HTTPConnection, HTTPException
from itertools import islice
from pathlib import Path
from typing import Any, Final

import rich_click as click
from rich.console import Console
from rich.text import Text

from cli import environment
from cli.options import data_option
from cli.screen import working
from cli.supervision import Child
from errors import PennyError
from settings import PREFIX, Settings
from stack.addresses import Addresses
from stack.embedded import Stack

PORT: Final = 8000
METRICS_PORT: Final = 9464
"""The first of those at which OpenTelemetry's exporters for Prometheus are looked for."""
LAST_PORT: Final = 65535
METRICS: Final = "METRICS_ADDRESS"
READY_SECONDS: Final = 60.0
# What a child may take beyond the time that its settings give to requests and answers.
GRACE_SECONDS: Final = 5.0
INTERRUPTED: Final = 130
EMAIL: Final = "demo@penny.example"
PASSWORD: Final = "open the door"  # noqa: S105 - printed for everybody, and made in the embedded database only
STYLES: Final = {"web": "cyan", "worker": "magenta"}


@click.command("dev")
@click.option("--port", type=click.IntRange(0, 65535), help=f"Port of the API; {PORT}, or a free one where that is taken.")
@click.option("--model/--no-model", default=True, help="Start the embedded language model, or answer with the scripted one.")
@data_option
def command(*, port: int | None, model: bool, data: Path) -> None:
    """Run everything on this machine, servers included, for development.

    PostgreSQL, Valkey, S3 and a language model are started with their data in one folder. Where PENNY_DATABASE_URL,
    PENNY_VALKEY_URL, PENNY_S3_ENDPOINT or PENNY_MODEL_BASE_URL name a server of your own, that one is used instead.
    """
    given = environment.given()
    if given.get("PENNY_ENVIRONMENT") == "production":
        raise click.ClickException("PENNY_ENVIRONMENT is production, and `penny dev` is for development only.")
    host = given.get("PENNY_HOST", "127.0.0.1")
    if port is not None:
        given["PENNY_PORT"] = str(port)
    asked = int(given["PENNY_PORT"]) if given.get("PENNY_PORT", "").isdigit() else None
    wanted = environment.servers_to_start(given, model=model)
    asyncio.run(Development(given, wanted=wanted, data=data, choose_port=partial(_port, host, asked)).run())


class Development:
    """Everything that runs between the start and Ctrl-C; a second Ctrl-C ends it at once."""

    def __init__(self, given: Mapping[str, str], *, wanted: Collection[str], data: Path, choose_port: Callable[[], int]) -> None:
        self._given = given
        self._wanted = wanted
        self._data = data
        self._choose_port = choose_port
        self._console = Console(highlight=False)
        self._stop = asyncio.Event()
        self._ending = contextlib.AsyncExitStack()
        self._children: list[Child] = []
        self._metrics: dict[str, str] = {}

    async def run(self) -> None:
        """Start, say where everything is, and stop again when told to, in order: web, worker, servers."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._on_signal)
        began = time.monotonic()
        async with self._ending:
            addresses = await self._start_servers()
            self._port = self._choose_port()  # only now: a second `penny dev` was told that one runs, not that its port is taken
            if not self._stop.is_set():
                self._start_children(await self._prepare_database(addresses))
                await self._be_ready(began)
            await self._stop.wait()
            self._say("Stopping; Ctrl-C again ends everything at once.")

    def _on_signal(self) -> None:
        if not self._stop.is_set():
            self._stop.set()
            return
        for child in self._children:
            child.kill()
        environment.withdraw(self._data)
        os._exit(INTERRUPTED)  # The servers have asked the kernel to end them with us.

    async def _start_servers(self) -> Addresses:
        stack = Stack(self._data, wanted=self._wanted)
        self._ending.push_async_callback(asyncio.to_thread, stack.stop)
        with working("Starting the servers", self._console) as progress:
            # Its imports take as long as the servers do.
            loading = asyncio.to_thread(importlib.import_module, "cli.database")
            addresses, self._database = await asyncio.gather(asyncio.to_thread(stack.start, progress), loading)
        return addresses

    async def _prepare_database(self, addresses: Addresses) -> Settings:
        made = environment.made(self._given, addresses, started=self._wanted, data=self._data, port=self._port)
        settings = Settings.from_environment(made)
        with working("Preparing the database", self._console):
            if "postgres" in self._wanted:
                await self._database.make(addresses, environment.DATABASE)
            if settings.database_owner_url:
                await self._database.bring_up_to_date(settings)
        self._settings = settings
        self._environment = made
        return settings

    def _start_children(self, settings: Settings) -> None:
        environment.publish(self._environment, self._data)
        self._ending.callback(environment.withdraw, self._data)
        if not environment.has(self._given, METRICS):
            ports = _free_ports(METRICS_PORT, len(STYLES))
            self._metrics = {name: f"127.0.0.1:{port}" for name, port in zip(STYLES, ports, strict=True)}
        # What was started last is stopped first.
        self._start_child("worker", "worker", settings.run_stop_seconds)
        self._start_child("web", "serve", settings.web_stop_seconds)

    def _start_child(self, name: str, command: str, patience: float) -> None:
        others = {key: value for key, value in os.environ.items() if not key.startswith("PENNY_")}
        program = [sys.executable, "-P", "-m", "cli.main", command]
        shown = {PREFIX + METRICS: self._metrics[name]} if name in self._metrics else {}
        child = Child(program, {**others, **self._environment, **shown, "PYTHONUNBUFFERED": "1"}, partial(self._pass_on, name))
        running = asyncio.create_task(child.keep(), name=name)
        self._children.append(child)
        self._ending.push_async_callback(lambda: running)
        self._ending.push_async_callback(child.stop, patience + GRACE_SECONDS)

    async def _be_ready(self, began: float) -> None:
        with working("Starting web and worker", self._console):
            ready, _ = await asyncio.gather(self._answers(), self._sign_up_once())
        if self._stop.is_set():
            return
        if not ready:
            self._say(f"The API is not ready after {READY_SECONDS:g} s; the lines above say why.")
        self._announce(time.monotonic() - began)

    async def _answers(self) -> bool:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and not self._stop.is_set():
            if await asyncio.to_thread(_is_ready, self._settings.host, self._port):
                return True
            await asyncio.sleep(0.05)
        return False

    async def _sign_up_once(self) -> None:
        """Not in a database of one's own: everybody knows the password."""
        if "postgres" not in self._wanted or await self._database.has_account(self._settings, EMAIL):
            return
        demo: Any = await asyncio.to_thread(importlib.import_module, "cli.demo")
        try:
            await demo.sign_up(self._settings, email=EMAIL, password=PASSWORD)
        except PennyError as error:
            self._say(f"The demo account could not be made: {error}")

    def _announce(self, seconds: float) -> None:
        url = self._settings.public_url
        lines = {"GraphiQL": f"{url}/graphiql", "Mails": f"{url}/dev/mails"}
        if "postgres" in self._wanted:
            lines["Sign in"] = f"{EMAIL} with the password: {PASSWORD}"
        lines["Terminal"] = "penny chat"
        if self._metrics:
            lines["Metrics"] = ", ".join(f"http://{address}/metrics ({name})" for name, address in self._metrics.items())
        self._say(f"\nPENNY runs, after {seconds:.1f} s. Ctrl-C stops it.\n")
        for name, value in lines.items():
            self._say(f"  {name:9} {value}")
        self._say("")

    def _pass_on(self, name: str, line: str) -> None:
        self._console.print(Text.assemble((f"{name:6} | ", STYLES[name]), line), soft_wrap=True)

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)


def _port(host: str, asked: int | None) -> int:
    """Return the port that was asked for, which must be free, or else the usual one, or else any."""
    if asked:
        if not _is_free(host, asked):
            raise click.ClickException(f"Port {asked} is taken; leave it out, and a free one is chosen.")
        return asked
    if asked is None and _is_free(host, PORT):
        return PORT
    with socket.create_server((host, 0)) as free:
        return int(free.getsockname()[1])


def _free_ports(first: int, count: int) -> list[int]:
    """Return the next ports of this machine that are free."""
    return list(islice((port for port in range(first, LAST_PORT + 1) if _is_free("127.0.0.1", port)), count))


def _is_free(host: str, port: int) -> bool:
    try:
        socket.create_server((host, port)).close()
    except OSError:
        return False
    return True


def _is_ready(host: str, port: int) -> bool:
    anywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - an address to bind to is none to ask at
    connection = HTTPConnection(anywhere.get(host, host), port, timeout=2.0)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
