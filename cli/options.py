"""Options that several commands share."""

from pathlib import Path
from typing import Final

import rich_click as click

from cli import environment

data_option: Final = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=environment.DATA,
    show_default=True,
    help="Folder of the data of `penny dev`.",
)
