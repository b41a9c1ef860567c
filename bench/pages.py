"""The report written down: a file for programs, the page with its charts for people, and the profiles beside it."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import charts, targets
from bench.charts import Bar
from bench.operations import COMPARED, Operation
from bench.profiling import Profile
from bench.reports import CROWDS, SIZES, SPREAD, Report
from bench.sections import CROWD, PROCESSES, WIDTHS, Section, sections

LATEST = Path("bench/results/latest.json")
PAGE = Path("docs/performance.md")
FOLDER = Path("docs/performance")
PROFILES = FOLDER / "profiles.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


def show(report: Report, console: Console) -> None:
    """Print the tables."""
    console.print(report.heading, highlight=False)
    show_sections(sections(report), console)


def show_sections(found: Iterable[Section], console: Console) -> None:
    for section in found:
        table = Table(title=section.title.replace("`", ""), title_justify="left")
        for number, column in enumerate(section.columns):
            table.add_column(column, justify="right" if number else "left")
        for row in section.rows:
            table.add_row(*row)
        console.print(table)


def write_json(report: Report) -> None:
    LATEST.parent.mkdir(exist_ok=True)
    LATEST.write_text(json.dumps(report.as_dict(), indent=2) + "\n")


def write_page(report: Report) -> None:
    """Put the tables between the markers of the page; what stands around them is written by hand."""
    before, found, rest = PAGE.read_text().partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise ValueError(f"{PAGE} has no markers {BEGIN} and {END}.")
    parts = [BEGIN, report.heading, *(_markdown(section) for section in sections(report)), END]
    PAGE.write_text(before + "\n\n".join(parts) + after)
    FOLDER.mkdir(exist_ok=True)
    for name, drawn in _charts(report):
        (FOLDER / f"{name}.svg").write_text(drawn)
    PROFILES.write_text("\n\n".join(_profiles(report)) + "\n")


def _markdown(section: Section) -> str:
    table = [section.columns, ["---", *("--:" for _ in section.columns[1:])], *section.rows]
    lines = ["| " + " | ".join(line) + " |" for line in table]
    picture = [f"![{section.title}](performance/{section.chart}.svg)", ""] if section.chart else []
    return "\n".join([f"## {section.title}", "", *picture, *lines])


def _charts(report: Report) -> Iterator[tuple[str, str]]:
    for operation in COMPARED:
        rows = []
        for target in targets.COMPARED:
            cell = report.cell(target, operation)
            rows.append(Bar(target.title, (cell.server, cell.postgres), ours=target is targets.COMPILED))
        note = "CPU milliseconds an operation, 16 at once; less is better"
        yield operation.name, charts.bars(_capital(operation), note, ("server", "PostgreSQL"), rows)
    titles = {target.name: target.title for target in targets.STREAMING}
    # One socket bears what a token costs however many follow it; on that scale the crowds could not be seen.
    rows = [
        Bar(f"{one.sockets:,}: {titles[one.target]}", (one.cpu_us,), ours=one.target == targets.COMPILED.name)
        for one in report.deliveries
        if one.sockets > 1
    ]
    yield "tokens", charts.bars("Tokens to many sockets", "CPU microseconds a delivery, by sockets; less is better", ("server",), rows)
    yield from _curves(report)


def _curves(report: Report) -> Iterator[tuple[str, str]]:
    two = (targets.COMPILED, targets.MERCURIUS)
    sizes = {target.title: [report.cell(target, one, SIZES).cpu / one.first for one in WIDTHS] for target in two}
    yield (
        "sizes",
        charts.lines(
            "By size", "CPU milliseconds a chat with its 10 messages, by the chats of a page", [str(one.first) for one in WIDTHS], sizes
        ),
    )
    # On one scale a page of chats would flatten the rest, so each is drawn against its own cost at one client or process.
    clients = {one.title: _relative([report.cell(targets.COMPILED, one, CROWDS, count).cpu for count in CROWD]) for one in COMPARED}
    yield "clients", charts.lines("By clients", "CPU an operation, against one client", [f"{count}" for count in CROWD], clients)
    ticks = [str(one.processes) for one in PROCESSES]
    processes = {one.title: _relative([report.cell(target, one, SPREAD).cpu for target in PROCESSES]) for one in COMPARED}
    yield "processes", charts.lines("By web processes", "CPU an operation, against one process", ticks, processes)


def _relative(values: list[float]) -> list[float]:
    return [value / values[0] for value in values]


def _profiles(report: Report) -> Iterator[str]:
    yield "# Profiles"
    yield (
        "Where the own time of a web process goes, sampled every millisecond of its CPU time while 16 clients ask; `make bench` writes "
        "this page. Time in C counts for the Python function that called it. PostgreSQL's time is not in here."
    )
    yield report.heading
    for profile in report.profiles:
        yield from _profile(profile)


def _profile(profile: Profile) -> Iterator[str]:
    yield f"## {_capital(profile.operation)}"
    yield "\n".join(["| package | own time |", "| --- | --: |", *(f"| {name} | {share:.1%} |" for name, share in profile.packages)])
    rows = [f"| `{place.function}` | {place.itself:.1%} | {place.whole:.1%} |" for place in profile.places]
    yield "\n".join(["| function | own time | with what it calls |", "| --- | --: | --: |", *rows])


def _capital(operation: Operation) -> str:
    return operation.title[0].upper() + operation.title[1:]
