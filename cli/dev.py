"""`penny dev`: servers, database, demo account, web and worker on this machine, under one Ctrl-C."""

from pathlib import Path
from typing import Final

import rich_click as click

from cli import environment

PORT: Final = 8000
READY_SECONDS: Final = 60.0
# What a child may take beyond the time that its settings give to requests and answers.
GRACE_SECONDS: Final = 5.0
STYLES: Final = {"web": "cyan", "worker": "magenta"}


@click.command("dev")
@click.option("--port", type=click.IntRange(0, 65535), help=f"Port of the API; {PORT}, or a free one where that is taken.")
@click.option("--model/--no-model", default=True, help="Start the embedded language model, or answer with the scripted one.")
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), default=environment.DATA, show_default=True, help="Where data are kept.")
def command(*, port: int | None, model: bool, data: Path) -> None:
    """Run everything on this machine, servers included, for development.

    PostgreSQL, Valkey, S3 and a language model are started with their data in one folder. Where PENNY_DATABASE_URL,
    PENNY_VALKEY_URL, PENNY_S3_ENDPOINT or PENNY_MODEL_BASE_URL name a server of your own, that one is used instead.
    """
    given = environment.given()
    if given.get("PENNY_ENVIRONMENT") == "production":
        raise click.ClickException("PENNY_ENVIRONMENT is production, and `penny dev` is for development only.")
    asked = int(given["PENNY_PORT"]) if port is None and given.get("PENNY_PORT", "").isdigit() else port
