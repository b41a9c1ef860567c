"""`python -m bench`: start everything, measure, and say what was found."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any, TypeVar

import rich_click as click
import uvloop
from rich.console import Console

from bench import answers, fanout, gateway, pages, profiling, repeats, talks, targets, wires
from bench.answers import FirstWords
from bench.comparisons import Cell, Comparison, Question
from bench.crowds import Pace
from bench.operations import COMPARED, ONE, TWENTY, WHO
from bench.processes import PROC, Memory, memory
from bench.reports import CLIENTS, CROWDS, MANY, SINGLE, SIZES, SPREAD, STARTED_WEB, Report
from bench.sections import CROWD, PROCESSES, WIDTHS, given_again, passed, talking, wired
from bench.servers import SCRIPTED, Servers, started
from bench.targets import Running
from bench.worlds import Size
from cli.screen import working
from tests.running import Api, running, running_web

T = TypeVar("T")
Progress = Callable[[str], None]
WIDTH = 140  # of tables in a file


@dataclass(frozen=True)
class Plan:
    """How much is measured; `slot` is the seconds of one load, `warming` the most before the first, and rounds go there and back."""

    size: Size
    starts: int
    rounds: int
    slot: float
    warming: float
    crowds: tuple[int, ...]
    pace: Pace
    scripted: int
    embedded: int
    talks: talks.Plan
    wires: wires.Plan
    gateway: gateway.Plan
    repeats: gateway.Plan


FULL = Plan(
    Size(50, 400, 20), 3, 3, 0.7, 10.0, (1, 100, 1000), Pace(1, 2000, 3.0), scripted=100, embedded=20,
    talks=talks.FULL, wires=wires.FULL, gateway=gateway.FULL, repeats=repeats.FULL,
)  # fmt: skip
QUICK = Plan(
    Size(10, 120, 20), 1, 1, 0.2, 1.0, (1, 100), Pace(1, 200, 0.5), scripted=20, embedded=5,
    talks=talks.QUICK, wires=wires.QUICK, gateway=gateway.QUICK, repeats=repeats.QUICK,
)  # fmt: skip


@click.command("bench", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--quick", is_flag=True, help="Measure less, to see that it works; docs/performance.md stays as it is.")
@click.option("--only-talks", is_flag=True, help="Measure conversations alone, without peers; docs/performance.md stays as it is.")
@click.option("--only-gateway", is_flag=True, help="Measure what the gateway costs, alone; docs/performance.md stays as it is.")
@click.option("--only-wires", is_flag=True, help="Measure what providers' tokens cost, alone; docs/performance.md stays as it is.")
def main(*, quick: bool, only_talks: bool, only_gateway: bool, only_wires: bool) -> None:
    """Measure PENNY and its peers on an embedded stack of their own, in a quarter of an hour. Let the machine do nothing else meanwhile."""
    if not PROC.joinpath("self/smaps_rollup").exists():
        raise click.ClickException("CPU time and memory are read from /proc, as Linux has it.")
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    plan = QUICK if quick else FULL
    with working("Measuring", console) as progress, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if only_talks:
            pages.show_sections(talking(runner.run(_until_told(_talked(plan, progress)))), console)
            return
        if only_gateway:
            spent, repeated = runner.run(_until_told(_passed(plan, progress)))
            pages.show_sections([passed(spent), given_again(repeated)], console)
            return
        if only_wires:
            pages.show_sections([wired(runner.run(_until_told(wires.measure(plan.wires, _of("wires", progress)))))], console)
            return
        report = runner.run(_until_told(_measured(plan, progress)))
    pages.show(report, console)
    pages.write_json(report)
    if not quick:
        pages.write_page(report)


async def _until_told(measuring: Coroutine[Any, Any, T]) -> T:
    """Let SIGTERM end what was started, as Ctrl-C does."""
    task = asyncio.create_task(measuring)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


async def _talked(plan: Plan, progress: Progress) -> talks.Talks:
    async with started(plan.size, progress) as servers:
        return await talks.measure(servers, plan.talks, _of("talks", progress))


async def _passed(plan: Plan, progress: Progress) -> tuple[list[gateway.Spent], list[repeats.Repeated]]:
    async with started(plan.size, progress) as servers:
        return await _spent(plan, servers, progress)


async def _spent(plan: Plan, servers: Servers, progress: Progress) -> tuple[list[gateway.Spent], list[repeats.Repeated]]:
    """Measure the gateway's own work, and what it saves where answers are given again."""
    token = servers.people[0].token
    spent = await gateway.measure(servers.settings, token, plan.gateway, _of("gateway", progress))
    return spent, await repeats.measure(servers.settings, token, plan.repeats, _of("repeats", progress))


async def _measured(plan: Plan, progress: Progress) -> Report:
    loads = [os.getloadavg()[0]]
    async with started(plan.size, progress) as servers:
        comparison = Comparison(servers, seconds=plan.slot, warming=plan.warming, progress=progress)
        async with targets.all_running(targets.COMPARED, servers, progress) as everybody:
            cells = await _compared(plan, comparison, everybody)
        loads.append(os.getloadavg()[0])
        cells += await _by_processes(plan, servers, comparison, progress)
        profiles = await profiling.measure(servers, comparison, (TWENTY, ONE), seconds=8 * plan.slot, progress=_of("profile", progress))
        async with targets.all_running(targets.STREAMING, servers, progress) as streaming:
            deliveries = await fanout.measure(streaming, servers, plan.crowds, plan.pace, progress)
        loads.append(os.getloadavg()[0])
        spent, repeated = await _spent(plan, servers, progress)
        start, held, first_words = await _answers(plan, servers, progress)
        talked = await talks.measure(servers, plan.talks, _of("talks", progress))
    read = await wires.measure(plan.wires, _of("wires", progress))
    return Report(
        size=plan.size,
        cells=cells,
        deliveries=deliveries,
        first_words=first_words,
        memory=held,
        web_start=start,
        profiles=profiles,
        talks=talked,
        wires=read,
        gateway=spent,
        repeats=repeated,
        loads=loads,
    )


def _of(part: str, progress: Progress) -> Progress:
    return lambda step: progress(f"{part}: {step}")


async def _compared(plan: Plan, comparison: Comparison, everybody: Sequence[Running]) -> list[Cell]:
    """Compare many at once and one at a time, then follow PENNY, and the best of its peers, up and down."""
    await comparison.check([one for one in everybody if one.target is not targets.CONSTANT], COMPARED)
    named = {one.target: one for one in everybody}
    ours, reference, mercurius = (named[target] for target in (targets.COMPILED, targets.REFERENCE, targets.MERCURIUS))
    questions = [Question(one, read, CLIENTS) for read in COMPARED for one in everybody]
    cells = await comparison.measure(MANY, questions, rounds=plan.rounds)
    single = [Question(one, read, 1) for read in COMPARED for one in everybody]
    single += [Question(one, WHO, 1) for one in (ours, reference)]
    cells += await comparison.measure(SINGLE, single, rounds=1)
    wide = [Question(one, read, CLIENTS) for read in WIDTHS for one in (ours, mercurius)]
    cells += await comparison.measure(SIZES, wide, rounds=plan.rounds)
    crowds = [Question(ours, read, clients) for read in COMPARED for clients in CROWD]
    return cells + await comparison.measure(CROWDS, crowds, rounds=plan.rounds)


async def _by_processes(plan: Plan, servers: Servers, comparison: Comparison, progress: Progress) -> list[Cell]:
    """Ask one, two and four web processes."""
    async with targets.all_running(PROCESSES, servers, progress) as running:
        questions = [Question(one, read, CLIENTS) for read in COMPARED for one in running]
        return await comparison.measure(SPREAD, questions, rounds=plan.rounds)


async def _answers(plan: Plan, servers: Servers, progress: Progress) -> tuple[float, dict[str, Memory], list[FirstWords]]:
    """Start a web process a few times, then let it and a worker answer."""
    progress("starting web")
    starts = [await _start(servers) for _ in range(plan.starts - 1)]
    began = time.perf_counter()
    async with running_web(servers.variables) as (url, web), Api(url, servers.people[0].token) as api:
        starts.append((time.perf_counter() - began) * 1000)
        held = {STARTED_WEB: memory(web.pid)}
        asking = partial(answers.measure, api, progress=_of("answers", progress))
        async with running(servers.variables | SCRIPTED, "worker") as worker:
            await answers.first_answer(api)
            held["worker, first answer"] = memory(worker.pid)
            first_words = [await asking("scripted", goal=30, times=plan.scripted)]
            held |= {"web, at the end": memory(web.pid), "worker, at the end": memory(worker.pid)}
        async with running(servers.variables, "worker"):
            await answers.first_answer(api)
            first_words.append(await asking(servers.addresses.model_name, goal=600, times=plan.embedded))
    return median(starts), held, first_words


async def _start(servers: Servers) -> float:
    began = time.perf_counter()
    async with running_web(servers.variables):
        return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    sys.exit(main())
