"""`penny schema`: the API's schema as text, for git and for clients; what changed since the last release; and its reference."""

import difflib
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import rich_click as click
from graphql import build_schema

from cli.reference import pages
from schema import schema
from schema.evolution import breaking, undated

HERE: Final = Path(str(schema.__file__)).parent
COMMITTED: Final = HERE / "schema.graphql"
RELEASED: Final = HERE / "released.graphql"
BREAKING: Final = HERE / "breaking.txt"
SHOWN_LINES: Final = 40

FILE: Final = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.group("schema")
def command() -> None:
    """Write the API's schema and its reference, or compare it with what was committed and released."""


@command.command("export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), default=COMMITTED)
def export(*, file: Path) -> None:
    """Write the schema to FILE: `schema/schema.graphql` without one, the terminal for `-`."""
    if str(file) == "-":
        click.echo(schema.sdl(), nl=False)
    else:
        file.write_text(schema.sdl())


@command.command("check")
@click.option("--released", type=FILE, default=RELEASED, show_default="schema/released.graphql", help="The schema that clients have.")
@click.option("--known", type=FILE, default=BREAKING, show_default="schema/breaking.txt", help="What may break, and why.")
def check(*, released: Path, known: Path) -> None:
    """Compare the schema with the committed and the released one.

    Fails on any difference from the committed one, on what breaks clients of the last release without notice,
    and on deprecations without dates.
    """
    built = schema.sdl()
    _check_committed(built)
    new = build_schema(built)
    today = datetime.now(UTC).date()
    broken = breaking(build_schema(released.read_text()), new, today=today, known=known.read_text().splitlines())
    late = undated(new)
    for line in (*(f"breaks clients: {one}" for one in broken), *(f"has no dates: {one}" for one in late)):
        click.echo(line)
    if broken:
        raise click.ClickException(f"Deprecate first, or say in {BREAKING.name} why clients must bear it.")
    if late:
        raise click.ClickException("A deprecation reads `Since 2026-12-01, until 2027-04-01: use x.`, with 90 days between the two.")


def _check_committed(built: str) -> None:
    committed = COMMITTED.read_text() if COMMITTED.exists() else ""
    if built == committed:
        return
    difference = difflib.unified_diff(committed.splitlines(), built.splitlines(), "committed", "built", lineterm="", n=1)
    for line in list(difference)[:SHOWN_LINES]:
        click.echo(line)
    raise click.ClickException(f"{COMMITTED.name} is not what the code says: run `make schema` and look at the difference.")


@command.command("release")
def release() -> None:
    """Take the schema as it is for what clients have from now on: a part of every release."""
    RELEASED.write_text(schema.sdl())
    BREAKING.write_text("".join(line for line in BREAKING.read_text().splitlines(keepends=True) if line.startswith("#")))


@command.command("reference")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
def reference(*, directory: Path) -> None:
    """Write the API's reference into DIRECTORY: Markdown pages, made of the schema's own descriptions."""
    directory.mkdir(parents=True, exist_ok=True)
    made = pages(build_schema(schema.sdl()))
    for name, text in made.items():
        (directory / name).write_text(text)
    click.echo(f"{len(made)} pages in {directory}")
