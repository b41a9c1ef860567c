"""`penny search`: the index by which messages and chats are found."""

import asyncio
from pathlib import Path

import rich_click as click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from chat.indexing import Indexing
from cli import environment
from cli.options import data_option
from settings import Settings
from web.works import open_works


@click.group("search")
def command() -> None:
    """Look after the index of search."""


@command.command("reindex")
@click.option("--again", is_flag=True, help="Index everything anew, not only what the index lacks.")
@data_option
def reindex(*, again: bool, data: Path) -> None:
    """Index messages and titles that the index lacks, or has under an old key, of all tenants.

    It may run beside everything else, and be stopped and begun again: what is done stays done.
    """
    settings = Settings.from_environment(environment.present(data))
    click.echo(f"Indexed {asyncio.run(_reindex(settings, again=again)):,} messages and titles.")


async def _reindex(settings: Settings, *, again: bool) -> int:
    columns = (TextColumn("Indexing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    async with open_works(settings, application="penny search") as process:
        indexing = Indexing(scopes=process.works.scopes, system=process.system, keyring=process.works.keyring)
        tenants = await indexing.tenants()
        total = sum([await indexing.count(tenant_id, again=again) for tenant_id in tenants])
        done = 0
        with Progress(*columns, console=Console(stderr=True)) as progress:
            bar = progress.add_task("", total=total)
            for tenant_id in tenants:
                async for step in indexing.index(tenant_id, again=again):
                    done += step
                    progress.update(bar, completed=done)
        return done
