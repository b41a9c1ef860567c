"""The servers that are measured: an embedded stack in a folder that is thrown away, and a database in it."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from cli import database, environment
from settings import Settings
from stack.addresses import Addresses
from stack.embedded import Stack

SCRIPTED = {"PENNY_MODEL_PROVIDER": "scripted", "PENNY_MODEL_NAME": "scripted"}


@dataclass(frozen=True)
class Servers:
    """A running stack with an empty database; `variables` are those of web and worker, with the embedded model."""

    addresses: Addresses
    variables: dict[str, str]
    postmaster: int

    @property
    def settings(self) -> Settings:
        return Settings.from_environment(self.variables)


@contextlib.asynccontextmanager
async def started(progress: Callable[[str], None]) -> AsyncIterator[Servers]:
    """Start everything but PENNY itself."""
    folder = Path(tempfile.mkdtemp(prefix="penny-bench-"))
    stack = Stack(folder, durable=False)
    try:
        addresses = await asyncio.to_thread(stack.start, progress)
        made = environment.made({"PENNY_LOG_LEVEL": "WARNING"}, addresses, started=environment.SERVERS, data=folder, port=0)
        await database.make(addresses, environment.DATABASE)
        await database.bring_up_to_date(Settings.from_environment(made))
        yield Servers(addresses, made, int((folder / "postgres.pid").read_text()))
    finally:
        await asyncio.to_thread(stack.stop)
        shutil.rmtree(folder, ignore_errors=True)
