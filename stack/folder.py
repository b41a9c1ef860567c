"""The folder of a stack: claimed by one process at a time, with a private place for the sockets."""

import fcntl
import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from stack.processes import StackError

# `sun_path` holds 107 bytes and a zero on Linux, 103 on macOS.
SOCKET_PATH_MAX = 103
LONGEST_SOCKET = ".s.PGSQL.5432"


class StackIsRunning(StackError):
    """Another process has claimed the folder; `pid` is that process."""

    def __init__(self, root: Path, pid: int, since: str) -> None:
        super().__init__(f"The embedded stack of {root} is already running in process {pid}, since {since}.")
        self.pid = pid


class Folder:
    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._lock: int | None = None

    def claim(self) -> None:
        """Take the folder; raises `StackIsRunning`. The kernel gives the lock back when the process dies."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.chmod(0o700)
        # A bare descriptor, so that a stack which nobody refers to any more keeps its claim as long as its servers.
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid, _, since = os.read(lock, 100).decode().partition(" ")
            os.close(lock)
            raise StackIsRunning(self.path, int(pid or 0), since or "just now") from None
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()} {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC".encode())
        self._lock = lock

    def release(self) -> None:
        if self._lock is not None:
            self._remove_sockets()
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    def make_sockets(self) -> Path:
        """A fresh folder that only we can enter; behind a link into the temporary folder where the path would be too long."""
        self._remove_sockets()
        here = self.path / "sockets"
        if len(os.fsencode(here / LONGEST_SOCKET)) <= SOCKET_PATH_MAX:
            here.mkdir(mode=0o700)
            return here
        elsewhere = Path(tempfile.mkdtemp(prefix="penny-"))
        here.symlink_to(elsewhere)
        return elsewhere

    def _remove_sockets(self) -> None:
        here = self.path / "sockets"
        shutil.rmtree(here.resolve(), ignore_errors=True)
        if here.is_symlink():
            here.unlink()
