"""`penny doctor`: checks every part."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import rich_click as click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli import environment
from cli.checks import findings
from cli.findings import FAIL, OK, WARN, Finding
from cli.options import data_option
from cli.screen import working
from settings import Settings, SettingsError

STYLES: Final = {OK: "green", WARN: "yellow", FAIL: "bold red"}


@click.command("doctor")
@data_option
def command(*, data: Path) -> int:
    """Check every part, and say what to do where one is not well.

    Looks at what the PENNY_… variables name or, without any, at the `penny dev` that runs. Fails when a part does.
    """
    console = Console(highlight=False)
    with working("Checking", console):
        found = _findings(data)
    if console.is_terminal:
        console.print(_table(found))
    else:
        for one in found:
            click.echo("  ".join([f"{one.level:4}", f"{one.part:18}", one.text, one.advice if one.level != OK else ""]).rstrip())
    return int(any(one.level == FAIL for one in found))


def _findings(data: Path) -> Sequence[Finding]:
    try:
        settings = Settings.from_environment(environment.present(data))
    except SettingsError as error:
        return [Finding("Settings", FAIL, str(error), "Set it, or start `penny dev`.")]
    return asyncio.run(findings(settings))


def _table(found: Sequence[Finding]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for one in found:
        text = Text(one.text)
        if one.level != OK and one.advice:
            text.append(f"\n{one.advice}", "dim")
        table.add_row(Text(one.level, STYLES[one.level]), one.part, text)
    return table
