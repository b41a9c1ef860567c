"""`penny migrate`: the database's schema, forwards and backwards."""

import asyncio
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import asyncpg
import rich_click as click
from rich.console import Console

from cli import environment, migrations
from cli.options import data_option
from cli.screen import working
from db.bootstrap import cluster_statements, database_statements
from db.migrating import MigrationFailed, migrate, unmigrate
from settings import PREFIX, Settings

# A process that only migrates is given no other address.
UNUSED: Final = {f"{PREFIX}{name}": "unused" for name in ("DATABASE_URL", "DATABASE_SYSTEM_URL", "VALKEY_URL")}
SKELETON: Final = '''"""{sentence}."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from db.migrating import migration

ID = "{id}"
VERSION = "1.38.0"
DESCRIPTION = "{description}"

FORWARDS: list[str] = []
BACKWARDS: list[str] = []


async def forwards() -> MigrationManager:
    """Describe the migration to Piccolo."""
    return migration(ID, forwards=FORWARDS, backwards=BACKWARDS)
'''


@click.command("migrate")
@click.option("--undo-to", metavar="ID", help="Undo migrations down to and with this one; what they hold is lost.")
@click.option("--yes", is_flag=True, help="Undo without asking.")
@click.option("--print-bootstrap", is_flag=True, help="Print what a superuser does once, before the first migration.")
@click.option("--new", metavar="NAME", help="Write the skeleton of a new migration, named by an imperative: add_colour.")
@data_option
def command(*, undo_to: str | None, yes: bool, print_bootstrap: bool, new: str | None, data: Path) -> None:
    """Bring the database to the newest migration.

    Two at once wait for each other, and what is done already is left alone. Needs PENNY_DATABASE_OWNER_URL only.
    """
    if new is not None:
        click.echo(_write(new))
        return
    settings = _settings(environment.present(data))
    if print_bootstrap:
        click.echo(_bootstrap(settings.database_owner_url))
        return
    if not settings.database_owner_url:
        raise click.ClickException("PENNY_DATABASE_OWNER_URL is not set: migrations run as the role penny_owner.")
    if undo_to and not yes:
        click.confirm(f"Undo migrations down to and with {undo_to}? What their tables hold is lost.", abort=True)
    try:
        asyncio.run(_move(settings.database_owner_url, undo_to))
    except MigrationFailed as error:
        raise click.ClickException(str(error)) from error
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
        raise click.ClickException(f"PostgreSQL at {_place(settings.database_owner_url)}: {error or type(error).__name__}") from error


async def _move(owner_url: str, undo_to: str | None) -> None:
    console = Console(highlight=False)
    before = await migrations.applied(owner_url)
    with working("Undoing migrations" if undo_to else "Migrating", console):
        await (unmigrate(owner_url, undo_to) if undo_to else migrate(owner_url))
    after = await migrations.applied(owner_url)
    for migration in sorted({*before} ^ {*after}):
        console.print(f"  {migration} {'undone' if migration in before else 'done'}")
    console.print(f"The database has {len(after)} of {len(migrations.written())} migrations.")


def _settings(given: Mapping[str, str]) -> Settings:
    return Settings.from_environment({name: value for name, value in UNUSED.items() if f"{name}_FILE" not in given} | dict(given))


def _bootstrap(owner_url: str) -> str:
    database = (urlsplit(owner_url).path if owner_url else "").lstrip("/") or environment.DATABASE
    lines = ["-- As a superuser, once for the server:", *(f"{statement};" for statement in cluster_statements())]
    lines += [f"-- and once inside the database {database}:", *(f"{statement};" for statement in database_statements(database))]
    return "\n".join(lines)


def _place(url: str) -> str:
    """Say where a server is, without the password."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] or parts.query or "?"


def _write(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise click.ClickException("A migration is named by an imperative in lower case with underscores: add_colour.")
    identifier = f"m{datetime.now(UTC):%Y%m%d_%H%M}_{name}"
    words = name.replace("_", " ")
    path = migrations.FOLDER / f"{identifier}.py"
    path.write_text(SKELETON.format(id=identifier, sentence=words.capitalize(), description=words))
    return str(path)
