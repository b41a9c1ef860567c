"""`penny schema`: the API's schema as text, for git and for clients."""

import difflib
from pathlib import Path
from typing import Final

import rich_click as click
from graphql import build_schema, find_breaking_changes

from schema import schema

COMMITTED: Final = Path(str(schema.__file__)).with_name("schema.graphql")
SHOWN_LINES: Final = 40


@click.group("schema")
def command() -> None:
    """Write the API's schema, or compare it with the one that is committed."""


@command.command("export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), default=COMMITTED)
def export(*, file: Path) -> None:
    """Write the schema to FILE: `schema/schema.graphql` without one, the terminal for `-`."""
    if str(file) == "-":
        click.echo(schema.sdl(), nl=False)
    else:
        file.write_text(schema.sdl())


@command.command("check")
def check() -> None:
    """Compare the schema with the committed one, and name what would break clients; fails on any difference."""
    committed = COMMITTED.read_text() if COMMITTED.exists() else ""
    built = schema.sdl()
    if built == committed:
        return
    for line in list(difflib.unified_diff(committed.splitlines(), built.splitlines(), "committed", "built", lineterm="", n=1))[
        :SHOWN_LINES
    ]:
        click.echo(line)
    if committed:
        for change in find_breaking_changes(build_schema(committed), build_schema(built)):
            click.echo(f"breaks clients: {change.description}")
    raise click.ClickException(f"{COMMITTED.name} is not what the code says: run `make schema` and look at the difference.")
