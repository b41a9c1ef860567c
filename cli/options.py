"""Options that several commands share."""

from pathlib import Path
from typing import Final

import rich_click as click

from cli import environment

DEFAULT_URL: Final = "http://localhost:8000"

url_option: Final = click.option("--url", help=f"Address of PENNY; without it the `penny dev` that runs, or {DEFAULT_URL}.")
data_option: Final = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=environment.DATA,
    show_default=True,
    help="Folder of the data of `penny dev`.",
)


def address_of(url: str | None, data: Path) -> str:
    """Return the address of PENNY: the one that is given, or else where it runs on this machine."""
    return url or environment.present(data).get("PENNY_PUBLIC_URL") or DEFAULT_URL
