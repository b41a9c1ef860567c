"""A child process that is started again when it dies, and whose lines are passed on."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from stack.processes import setpriv

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 30.0
# A child that lived so long begins with a short pause again.
STEADY_SECONDS: Final = 30.0
LONGEST_LINE: Final = 65536


class Child:
    """One program; `tell` is given each line that it writes, and what becomes of it.

    It has a session of its own, so that Ctrl-C in the terminal reaches us only, and it dies with us (where there is setpriv).
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], tell: Callable[[str], None]) -> None:
        program = setpriv()
        self._command = [*([program, "--pdeathsig", "TERM", "--"] if program else []), *command]
        self._environment = environment
        self._tell = tell
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()

    async def keep(self) -> None:
        """Run the program, and again whenever it ends, until `stop`."""
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            began = time.monotonic()
            status = await self._run()
            if self._stopping.is_set():
                return
            pause = FIRST_PAUSE if time.monotonic() - began > STEADY_SECONDS else pause
            self._tell(f"{_ended(status)}; it starts again in {pause:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def stop(self, patience: float) -> None:
        """Ask it to end, wait for `patience` seconds, then kill it."""
        self._stopping.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), patience)
        except TimeoutError:
            self._tell(f"did not end within {patience:g} s and is killed")
            self.kill()
            await process.wait()

    def kill(self) -> None:
        """End it, and what it started, at once."""
        self._stopping.set()
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def _run(self) -> int:
        process = self._process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdout is not None
        await _pass_on(process.stdout, self._tell)
        return await process.wait()


async def _pass_on(output: asyncio.StreamReader, tell: Callable[[str], None]) -> None:
    """Pass lines on as they come; one that is too long comes in pieces."""
    rest = b""
    while chunk := await output.read(LONGEST_LINE):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > LONGEST_LINE:
            lines, rest = [*lines, rest], b""
        for line in lines:
            tell(line.decode(errors="replace"))
    if rest:
        tell(rest.decode(errors="replace"))


def _ended(status: int) -> str:
    return f"ended with status {status}" if status >= 0 else f"was ended by {signal.Signals(-status).name}"
