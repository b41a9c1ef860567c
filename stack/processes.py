"""Server processes that never outlive PENNY: started with a death signal, recorded by pid, stopped within a bound."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Lock, Thread

# PostgreSQL's numbering serves all four: SIGINT ends politely ("fast"), SIGQUIT at once; seconds of patience after each.
ESCALATION = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 6.0), (signal.SIGKILL, 5.0))
INHERITED = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH")
START_SECONDS = 60.0
LOG_TAIL_LINES = 15


class StackError(Exception):
    """The embedded stack cannot do what was asked; the text is for the person who starts PENNY."""


class ServerFailed(StackError):
    """A server did not come up; the text ends with the last lines of its log. `status` is its exit status, if it ended."""

    def __init__(self, message: str, log: Path, status: int | None = None) -> None:
        lines = log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:] if log.exists() else []
        super().__init__("\n".join([message, *(f"  {line}" for line in lines)]))
        self.status = status


class Child:
    """One running process."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], pid_file: Path, log: Path) -> None:
        self.name = name
        self.log = log
        self._process = process
        self._pid_file = pid_file
        pid_file.write_text(f"{process.pid}\n")

    def wait(self, seconds: float = START_SECONDS) -> None:
        """Wait for the end; raises `ServerFailed` unless it is a success in time."""
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise ServerFailed(f"{self.name} did not end within {seconds:g} seconds:", self.log) from None
        if status:
            raise self._ended(status)

    def wait_until(self, is_ready: Callable[[], bool], seconds: float = START_SECONDS) -> None:
        """Wait until the server answers; raises `ServerFailed` when it ends or takes too long."""
        deadline = time.monotonic() + seconds
        while not is_ready():
            with suppress(subprocess.TimeoutExpired):
                raise self._ended(self._process.wait(0.02))
            if time.monotonic() > deadline:
                raise ServerFailed(f"{self.name} did not answer within {seconds:g} seconds:", self.log)

    def end(self) -> None:
        _end(self._process.pid, lambda: self._process.poll() is not None)
        self._pid_file.unlink(missing_ok=True)

    def _ended(self, status: int) -> ServerFailed:
        return ServerFailed(f"{self.name} ended with status {status}:", self.log, status)


class Children:
    """The processes of one stack; pids and logs are kept in its folder as `<file>.pid` and `<file>.log`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = Lock()
        self._children: list[Child] = []
        self._closed = False
        self._tasks: SimpleQueue[tuple[Future[Child], Callable[[], Child]] | None] = SimpleQueue()
        # Linux sends the death signal when the *thread* that forked ends, so one thread forks all and lives as long as they do
        # (an executor's would not: it ends with the last reference to the executor).
        Thread(target=_carry_out, args=(self._tasks,), name="stack", daemon=True).start()

    def start(
        self, name: str, file: str, command: Sequence[str], *, environment: Mapping[str, str] | None = None, privileges: Sequence[str] = ()
    ) -> Child:
        """Start a process; `privileges` are further options of setpriv. Thread-safe; refused once `stop` was called."""
        started: Future[Child] = Future()
        task = partial(self._fork, name, file, [*_prefix(privileges), *command], environment or {})
        with self._lock:
            self._refuse_when_closed()  # Nobody would carry it out.
            self._tasks.put((started, task))
        return started.result()

    def stop(self) -> None:
        """End all processes at once and refuse new ones; may be called again."""
        with self._lock:
            self._closed = True
            children, self._children = self._children, []
        with ThreadPoolExecutor(max(1, len(children))) as pool:
            list(pool.map(Child.end, children))
        self._tasks.put(None)

    def _fork(self, name: str, file: str, command: Sequence[str], environment: Mapping[str, str]) -> Child:
        inherited = {key: os.environ[key] for key in INHERITED if key in os.environ}
        log = self._root / f"{file}.log"
        with self._lock, log.open("wb") as output:
            self._refuse_when_closed()
            process = subprocess.Popen(
                command,
                env={**inherited, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C in the terminal reaches PENNY only, which then stops its servers in order.
            )
            child = Child(name, process, self._root / f"{file}.pid", log)
            self._children.append(child)
        return child

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise StackError("The embedded stack is stopping.")


def _carry_out(tasks: SimpleQueue[tuple[Future[Child], Callable[[], Child]] | None]) -> None:
    while task := tasks.get():
        future, call = task
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - it is raised again where the result is awaited
            future.set_exception(error)


def end_leftovers(root: Path) -> None:
    """End what a crashed stack of this folder left running; call it only while the folder is claimed."""
    for file in root.glob("*.pid"):
        text = file.read_text().strip()
        if text.isdigit():
            _end(int(text), partial(_is_foreign, int(text), root))
        file.unlink()


def _is_foreign(pid: int, root: Path) -> bool:
    return f"{root}/" not in command_line(pid)


def command_line(pid: int) -> str:
    """The command of a running process; empty for one that is gone."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    return subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout


def setpriv() -> str | None:
    """The program setpriv of util-linux, if this machine has it; BusyBox's lacks what is needed here."""
    program = shutil.which("setpriv") if sys.platform == "linux" else None
    if program is None:
        return None
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    return program if "util-linux" in version else None


def _prefix(privileges: Sequence[str]) -> list[str]:
    program = setpriv()
    if program is None:
        return []  # Only the death signal is lost: the next start ends what a crash leaves behind.
    return [program, "--pdeathsig", "INT", *privileges, "--"]


def _end(pid: int, is_gone: Callable[[], bool]) -> None:
    for number, seconds in ESCALATION:
        if is_gone():
            return
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while not is_gone() and time.monotonic() < deadline:
            time.sleep(0.01)
