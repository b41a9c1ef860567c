"""A streaming replica of the tests' PostgreSQL, to be paused, killed, hung and started again."""

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

    async def backends(self, application: str) -> list[int]:
        """Return the processes that serve connections of this application."""
        async with connected(self.addresses, "postgres", "postgres") as admin:
            rows = await admin.fetch("SELECT pid FROM pg_stat_activity WHERE application_name = $1", application)
        return [row["pid"] for row in rows]


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
