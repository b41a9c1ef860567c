"""`penny worker`: a process that makes answers."""

import asyncio
import signal

import rich_click as click
import uvloop

from settings import Settings
from web.logs import configure_logs
from web.works import run_worker


@click.command("worker")
def command() -> None:
    """Make answers and send mails. SIGTERM lets answers finish for a while; a second one ends the process at once."""
    settings = Settings.from_environment()
    configure_logs(settings)
    uvloop.run(_work(settings))


async def _work(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def finish() -> None:
        stop.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, finish)
    await run_worker(settings, stop)
