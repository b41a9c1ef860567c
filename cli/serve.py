"""`penny serve`: a web process."""

import contextlib
import resource

import rich_click as click
import uvicorn

from settings import Settings


@click.command("serve")
@click.option("--host", help="Address to bind to, instead of PENNY_HOST.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to bind to, instead of PENNY_PORT.")
@click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes that share the port.")
def command(*, host: str | None, port: int | None, workers: int) -> None:
    """Answer the API. SIGTERM lets requests finish and asks the clients of WebSockets to come again elsewhere."""
    settings = Settings.from_environment()
    _let_many_in()
    uvicorn.run(
        "web.app:create_app",
        factory=True,
        host=host or settings.host,
        port=settings.port if port is None else port,
        workers=workers,
        loop="uvloop",
        http="web.connections:BoundedProtocol",
        ws="web.protocol:FramesProtocol",
        ws_per_message_deflate=False,
        ws_max_size=settings.socket_max_message_bytes,
        access_log=False,
        server_header=False,
        # PENNY itself decides whose word on the client's address it takes: `trusted_proxies`.
        proxy_headers=False,
        timeout_keep_alive=settings.web_keep_alive_seconds,
        timeout_graceful_shutdown=settings.web_stop_seconds,
        log_config=None,
        # Below, uvicorn writes lines for every WebSocket.
        log_level="info" if settings.log_level == "DEBUG" else "warning",
    )


def _let_many_in() -> None:
    """Take as many connections as the machine lets this process have: shells begin with a limit of 1,024 open files."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
