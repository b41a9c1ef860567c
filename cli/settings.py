"""`penny settings`: all that can be set."""

import rich_click as click

from settings import table


@click.command("settings")
def command() -> None:
    """List all settings.

    It is the Markdown table that `docs/settings.md` holds.
    """
    click.echo(table(), nl=False)
