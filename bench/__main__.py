"""`python -m bench`: start everything, measure, and say what was found."""

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import rich_click as click
from rich.console import Console

from bench import answers, reads, reports
from bench.processes import PROC, memory
from bench.seeds import Size, seed
from bench.servers import SCRIPTED, Servers, started
from cli.screen import working
from tests.running import Api, running, running_web


@dataclass(frozen=True)
class Plan:
    """How much is measured at most; on a busy machine each part ends early."""

    size: Size
    starts: int
    rounds: int
    share: float
    scripted: int
    embedded: int


FULL = Plan(Size(tenants=20, chats=100, messages=20), starts=3, rounds=3, share=1.0, scripted=100, embedded=20)
QUICK = Plan(Size(tenants=5, chats=40, messages=12), starts=1, rounds=1, share=0.5, scripted=20, embedded=5)


@click.command("bench", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--quick", is_flag=True, help="Measure less, to see that it works; docs/performance.md stays as it is.")
def main(*, quick: bool) -> None:
    """Measure PENNY on an embedded stack of its own, in about a minute and a half. Let the machine do nothing else meanwhile."""
    if not PROC.joinpath("self/smaps_rollup").exists():
        raise click.ClickException("CPU time and memory are read from /proc, as Linux has it.")
    console = Console()
    with working("Measuring", console) as progress:
        report = asyncio.run(_until_told(_measured(QUICK if quick else FULL, progress)))
    reports.show(report, console)
    reports.write_json(report)
    if not quick:
        reports.write_page(report)


async def _until_told(measuring: Coroutine[Any, Any, reports.Report]) -> reports.Report:
    """Let SIGTERM end what was started, as Ctrl-C does."""
    task = asyncio.create_task(measuring)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


async def _measured(plan: Plan, progress: Callable[[str], None]) -> reports.Report:
    async with started(progress) as servers:
        progress("starting web")
        starts = [await _start(servers) for _ in range(plan.starts - 1)]
        began = time.perf_counter()
        async with running_web(servers.variables) as (url, web), Api(url) as api:
            starts.append((time.perf_counter() - began) * 1000)
            held = {reports.STARTED_WEB: memory(web.pid)}
            people = await seed(servers, api, plan.size, lambda step: progress(f"filling the database: {step}"))
            asking = partial(answers.measure, people[0].api, progress=lambda step: progress(f"answers: {step}"))
            async with running(servers.variables | SCRIPTED, "worker") as worker:
                await answers.first_answer(people[0].api)
                held["worker, first answer"] = memory(worker.pid)
                warm = reads.Reads(url, people, web=web.pid, postmaster=servers.postmaster)
                found = warm.measure(plan.rounds, plan.share, lambda step: progress(f"reads: {step}"))
                first_words = [await asking("scripted", goal=30, times=plan.scripted)]
                held |= {"web, at the end": memory(web.pid), "worker, at the end": memory(worker.pid)}
            async with running(servers.variables, "worker"):
                await answers.first_answer(people[0].api)
                first_words.append(await asking(servers.addresses.model_name, goal=600, times=plan.embedded))
    return reports.Report(size=plan.size, reads=found, first_words=first_words, memory=held, web_start=median(starts))


async def _start(servers: Servers) -> float:
    began = time.perf_counter()
    async with running_web(servers.variables):
        return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    sys.exit(main())
