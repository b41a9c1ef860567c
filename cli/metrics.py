"""`penny metrics`: everything that is counted."""

from typing import Final

import rich_click as click

from telemetry.instruments import table
from web import app

COUNTING: Final = (app,)
"""Whoever counts declares it when imported: this imports all that a web process and a worker do."""


@click.command("metrics")
def command() -> None:
    """List all metrics.

    It is the Markdown that `docs/metrics.md` holds.
    """
    click.echo(text(), nl=False)


def text() -> str:
    """Return the page."""
    return f"""# Metrics

Made by `penny metrics`; a test keeps it true. `docs/operating.md` says how to see them. Names follow OpenTelemetry's semantic conventions
where those have one; Prometheus is shown them in its own way: `http.server.request.duration` in `s` is
`http_server_request_duration_seconds`. No attribute names a tenant, a person or a chat, or holds what somebody wrote; whatever is not
listed is told as `_OTHER`.

{table()}"""
