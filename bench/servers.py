"""The servers that are measured: an embedded stack on a copy of a filled folder, which is kept from one run to the next."""

import asyncio
import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from bench import seeds, worlds
from bench.worlds import Person, Size
from cli import database, environment
from settings import Settings
from stack.addresses import Addresses
from stack.embedded import SERVERS as EVERY
from stack.embedded import Stack

KEPT = environment.DATA / "bench"
PEOPLE = "people.json"
SCRIPTED = {"PENNY_MODEL_PROVIDER": "scripted", "PENNY_MODEL_NAME": "scripted"}


@dataclass(frozen=True)
class Servers:
    """A running stack with a filled database; `variables` are those of web and worker, with the embedded model."""

    addresses: Addresses
    variables: dict[str, str]
    folder: Path
    people: list[Person]

    @property
    def settings(self) -> Settings:
        return Settings.from_environment(self.variables)

    @property
    def postmaster(self) -> int:
        return self._pid("postgres")

    @property
    def valkey(self) -> int:
        return self._pid("valkey")

    def _pid(self, server: str) -> int:
        return int((self.folder / f"{server}.pid").read_text())


@contextlib.asynccontextmanager
async def started(size: Size, progress: Callable[[str], None]) -> AsyncIterator[Servers]:
    """Start everything but PENNY itself, on a copy of what was filled in: a run leaves nothing behind for the next."""
    kept = KEPT / f"{size.name}-{seeds.fingerprint(size)}"
    if not kept.exists():
        await _fill(kept, size, progress)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=KEPT))
    try:
        progress("copying the filled database")
        # With its owners: PostgreSQL may be another user here. (shutil copies everything but those.)
        await asyncio.to_thread(subprocess.run, ["cp", "--archive", f"{kept}/.", str(folder)], check=True)
        async with _stack(folder, EVERY, progress) as (addresses, variables):
            await _allow_peers(addresses)
            yield Servers(addresses, variables, folder, worlds.read(folder / PEOPLE))
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def _stack(folder: Path, wanted: Collection[str], progress: Callable[[str], None]) -> AsyncIterator[tuple[Addresses, dict[str, str]]]:
    stack = Stack(folder, durable=False, wanted=wanted)
    try:
        addresses = await asyncio.to_thread(stack.start, progress)
        made = environment.made({"PENNY_LOG_LEVEL": "WARNING"}, addresses, started=wanted, data=folder, port=0)
        await database.make(addresses, environment.DATABASE)
        await database.bring_up_to_date(Settings.from_environment(made))
        yield addresses, made
    finally:
        await asyncio.to_thread(stack.stop)


async def _fill(kept: Path, size: Size, progress: Callable[[str], None]) -> None:
    """Fill a folder, which gets its name when it is whole; what earlier code filled in at this size goes."""
    for old in (*KEPT.glob(f"{size.name}-*"), *KEPT.glob("new-*"), *KEPT.glob("run-*")):
        await asyncio.to_thread(shutil.rmtree, old, ignore_errors=True)
    KEPT.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix="new-", dir=KEPT))
    try:
        async with _stack(unfinished, set(EVERY) - {"model"}, progress) as (addresses, variables):
            worlds.write(await seeds.seed(addresses, variables, size, progress), unfinished / PEOPLE)
        await asyncio.to_thread(unfinished.rename, kept)
    finally:
        await asyncio.to_thread(shutil.rmtree, unfinished, ignore_errors=True)


async def _allow_peers(addresses: Addresses) -> None:
    """Let PostGraphile name the tenant: it knows no other way than set_config, which PENNY's roles may not call."""
    connection = await asyncpg.connect(addresses.database_url("postgres", environment.DATABASE))
    await connection.execute("GRANT EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) TO penny_app")
    await connection.close()
