"""A terminal with a program in it, and a line to a server that can be cut."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Self

from tests.running import ROOT

# The program becomes the owner of its terminal, so that Ctrl-C reaches it and passwords are asked for there.
START = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.executable, [sys.executable, '-m', 'cli.main', *sys.argv[1:]])"
)
STEERING = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
CTRL_C = "\x03"


class Terminal:
    """What a person types, and what they have seen so far."""

    def __init__(self, master: int, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.shown = ""
        self._seen = 0
        self._master = master
        self._more = asyncio.Event()
        os.set_blocking(master, False)
        asyncio.get_running_loop().add_reader(master, self._read)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    async def until(self, text: str, seconds: float = 20.0) -> str:
        """Return what is shown from where the last call ended up to and with a text."""
        try:
            async with asyncio.timeout(seconds):
                while (found := self.shown.find(text, self._seen)) < 0:
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            raise AssertionError(f"{text!r} was not shown; {self.shown[self._seen :]!r} was") from None
        told = self.shown[self._seen : found + len(text)]
        self._seen = found + len(text)
        return told

    async def interrupt_until_it_ends(self) -> int:
        """Press Ctrl-C, and again: Python misses one that comes between the prompt and the wait for a line."""
        async with asyncio.timeout(20):
            while True:
                self.type(CTRL_C)
                with contextlib.suppress(TimeoutError):
                    return await asyncio.wait_for(self.process.wait(), 1)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)

    def _read(self) -> None:
        try:
            text = os.read(self._master, 65536).decode(errors="replace")
        except OSError:  # Linux says EIO when the last program has left the terminal.
            asyncio.get_running_loop().remove_reader(self._master)
            text = ""
        self.shown = STEERING.sub("", self.shown + text)
        self._more.set()


@contextlib.asynccontextmanager
async def terminal(environment: Mapping[str, str], *command: str) -> AsyncIterator[Terminal]:
    """Run `penny <command>` in a terminal of its own."""
    master, slave = os.openpty()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PENNY_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", START, *command, cwd=ROOT, env={**inherited, "TERM": "xterm", **environment},
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    opened = Terminal(master, process)
    try:
        yield opened
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        opened.close()


class Line:
    """A TCP line to a server: passes everything on, until it is cut."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writers: set[asyncio.StreamWriter] = set()
        self.lost_answers_to: bytes = b""
        self.connections = 0

    async def open(self) -> Self:
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        return self

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """End every connection without a goodbye; new ones work."""
        for writer in self._writers:
            writer.transport.abort()

    async def close(self) -> None:
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers |= {writer, far_writer}
        asked = bytearray()

        async def forth() -> None:
            while chunk := await reader.read(65536):
                asked.extend(chunk)
                far_writer.write(chunk)
            far_writer.close()

        async def back() -> None:
            while chunk := await far_reader.read(65536):
                if self.lost_answers_to and self.lost_answers_to in asked:
                    self.lost_answers_to = b""
                    writer.transport.abort()
                    far_writer.transport.abort()
                    return
                writer.write(chunk)
            writer.close()

        await asyncio.gather(forth(), back(), return_exceptions=True)
        self._writers -= {writer, far_writer}
