"""A streaming replica of the tests' PostgreSQL, to be paused, killed, started again, and reached over lines that fall silent."""

import asyncio
import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from stack.addresses import Addresses
from stack.postgres import ENVIRONMENT, privileges, program
from stack.processes import Child, Children
from tests.db.databases import connected

STANDBY = "standby"


class Lines:
    """Connections to a server's unix socket, through one of ours.

    A backend of PostgreSQL that is stopped itself stops more than its client: the standby replays nothing more as soon as anybody
    creates or drops a database, for which it waits until each process has closed its files.
    """

    def __init__(self, stack: Addresses, sockets: Path) -> None:
        self.addresses = replace(stack, postgres_socket_dir=str(sockets))
        self._name = f".s.PGSQL.{stack.postgres_port}"
        self._server = Path(stack.postgres_socket_dir, self._name)
        self._open: set[asyncio.Task[None]] = set()
        self._held: list[asyncio.StreamWriter] = []

    def fall_silent(self) -> None:
        """Carry nothing more over the lines that are open, and close none; new ones carry."""
        for line in self._open:
            line.cancel()

    @contextlib.asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Let clients in for a block."""
        async with await asyncio.start_unix_server(self._carry, Path(self.addresses.postgres_socket_dir, self._name)):
            try:
                yield
            finally:
                self.fall_silent()
                for writer in self._held:
                    writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._held.append(writer)
        try:
            server_reader, server_writer = await asyncio.open_unix_connection(self._server)
        except OSError:  # it is not there
            writer.close()
            return
        self._held.append(server_writer)
        for source, target in ((reader, server_writer), (server_reader, writer)):
            line = asyncio.create_task(_carry(source, target))
            self._open.add(line)
            line.add_done_callback(self._open.discard)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


class Standby:
    """Copied from the primary once; what it is asked, it logs."""

    def __init__(self, stack: Addresses, root: Path, sockets: Path) -> None:
        self.addresses = replace(stack, postgres_socket_dir=str(sockets))
        self._primary = stack
        self._root = root
        self._children = Children(root)
        self._server: Child | None = None

    def copy(self) -> None:
        """Make the copy and start it."""
        command = [str(program("pg_basebackup")), "-D", str(self._root / "data"), "-d", self._primary.admin_url, "-R", "-X", "stream"]
        command += ["-c", "fast", "--no-sync"]
        self._children.start("pg_basebackup", "pg_basebackup", command, environment=ENVIRONMENT, privileges=privileges()).wait()
        self.start()

    def start(self) -> None:
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": self.addresses.postgres_socket_dir,
            "max_connections": "200",
            "log_statement": "all",
            "fsync": "off",
        }
        command = [str(program("postgres")), "-D", str(self._root / "data")]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        self._server = self._children.start("standby", STANDBY, command, environment=ENVIRONMENT, privileges=privileges())
        ready = [str(program("pg_isready")), "-q", "-d", self.addresses.admin_url]
        self._server.wait_until(lambda: subprocess.run(ready, check=False).returncode == 0)

    def kill(self) -> None:
        """Let it end without a word to anybody."""
        assert self._server is not None
        os.kill(self._server._process.pid, signal.SIGQUIT)
        self._server._process.wait(20)

    def stop(self) -> None:
        self._children.stop()

    def asked(self, text: str) -> int:
        """Count the lines of its log with this text."""
        return (self._root / f"{STANDBY}.log").read_text(errors="replace").count(text)

    async def replay(self, *, paused: bool) -> None:
        async with connected(self.addresses, "postgres", "postgres") as admin:
            await admin.execute(f"SELECT pg_wal_replay_{'pause' if paused else 'resume'}()")
            while paused and await admin.fetchval("SELECT pg_get_wal_replay_pause_state()") != "paused":
                pass

    async def follow(self) -> None:
        """Wait until it has replayed what the primary has written by now."""
        async with connected(self._primary, "postgres", "postgres") as primary:
            position = await primary.fetchval("SELECT pg_current_wal_insert_lsn()::text")
        async with connected(self.addresses, "postgres", "postgres") as admin:
            while not await admin.fetchval(f"SELECT pg_last_wal_replay_lsn() >= '{position}'"):
                pass


@contextlib.asynccontextmanager
async def standing_by(stack: Addresses, root: Path) -> AsyncIterator[Standby]:
    """Run a replica for a block."""
    with tempfile.TemporaryDirectory(prefix="penny-sb") as sockets:  # a short path: sockets cannot have a long one
        standby = Standby(stack, root, Path(sockets))
        try:
            standby.copy()
            yield standby
        finally:
            standby.stop()


@contextlib.asynccontextmanager
async def lines_to(standby: Standby) -> AsyncIterator[Lines]:
    """Give a way to the replica that can fall silent, for a block."""
    with tempfile.TemporaryDirectory(prefix="penny-ln") as sockets:
        lines = Lines(standby.addresses, Path(sockets))
        async with lines.kept():
            yield lines
