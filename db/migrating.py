"""Runs statements of a migration, and the migrations themselves under an advisory lock."""

import contextlib
import io
from collections.abc import Awaitable, Callable, Sequence

import asyncpg
from piccolo.apps.migrations.auto.migration_manager import MigrationManager
from piccolo.apps.migrations.commands.backwards import run_backwards
from piccolo.apps.migrations.commands.forwards import run_forwards

from piccolo_conf import DB

# Any number that nothing else locks: the first eight bytes of SHA-256("penny migrations"), halved to fit a bigint.
LOCK = 0x3F1C_55A0_9D2E_7B41


class MigrationFailed(Exception):
    """A migration did not run to its end; the database is as it was before it."""


def statements(*sql: str) -> Callable[[], Awaitable[None]]:
    """Make the function that a migration hands to Piccolo: the statements one by one, in its transaction."""

    async def run() -> None:
        transaction = DB.current_transaction.get()
        assert transaction is not None, "Piccolo wraps a migration in a transaction"
        for one in ("SET LOCAL lock_timeout = '5s'", *sql):
            await transaction.connection.execute(one)

    return run


def migration(migration_id: str, *, forwards: Sequence[str], backwards: Sequence[str]) -> MigrationManager:
    """Make a reversible migration out of statements; its id is its file's name without the folder."""
    manager = MigrationManager(migration_id=migration_id, app_name="penny", description="")
    manager.add_raw(statements(*forwards))
    manager.add_raw_backwards(statements(*backwards))
    return manager


async def migrate(owner_url: str) -> str:
    """Bring the database to the newest migration; two at once wait for each other. Returns what Piccolo printed."""

    async def run() -> None:
        await run_forwards(app_name="penny")
        await _begin_era(owner_url)

    return await _locked(owner_url, run)


async def unmigrate(owner_url: str, migration_id: str = "all") -> str:
    """Undo migrations down to and with the named one."""
    return await _locked(owner_url, lambda: run_backwards(app_name="penny", migration_id=migration_id, auto_agree=True))


async def _locked(owner_url: str, run: Callable[[], Awaitable[object]]) -> str:
    DB.config["dsn"] = owner_url
    lock = await asyncpg.connect(owner_url, timeout=10)
    printed = io.StringIO()
    try:
        await lock.execute(f"SELECT pg_advisory_lock({LOCK})")
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            await run()
    except SystemExit as stop:
        if stop.code:
            raise MigrationFailed(printed.getvalue().strip() or "Piccolo gave up without a word.") from stop
    finally:
        await lock.close()
    return printed.getvalue()


async def _begin_era(owner_url: str) -> None:
    """Begin another era where the database has come into another cluster, whose numbers of transactions are others."""
    owner = await asyncpg.connect(owner_url, timeout=10)
    try:
        await owner.execute(
            """
            INSERT INTO directory.eras (number, cluster)
            SELECT newest.number + 1, here.system_identifier
            FROM pg_control_system() AS here, (SELECT * FROM directory.eras ORDER BY number DESC LIMIT 1) AS newest
            WHERE newest.cluster <> here.system_identifier
            """
        )
    finally:
        await owner.close()
