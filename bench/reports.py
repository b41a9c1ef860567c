"""What was measured, for the terminal, for programs (JSON) and for readers of `docs/performance.md`."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from bench.answers import FirstWords
from bench.processes import Memory
from bench.reads import Read
from bench.seeds import Size

LATEST = Path("bench/results/latest.json")
PAGE = Path("docs/performance.md")
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
MEMORY_GOAL = 150
STARTED_WEB = "web, just started"


class Section(NamedTuple):
    """One table: its first column names what the others measure."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def _machine() -> str:
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()} {platform.machine()}"


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that one run measured; times are in milliseconds, memory is in MB."""

    size: Size
    reads: list[Read]
    first_words: list[FirstWords]
    memory: dict[str, Memory]
    web_start: float
    date: str = field(default_factory=lambda: datetime.now(UTC).date().isoformat())
    machine: str = field(default_factory=_machine)

    @property
    def heading(self) -> str:
        size = self.size
        chats = size.tenants * size.chats
        return f"{self.date}; {self.machine}; {size.tenants} tenants, {chats:,} chats, {chats * size.messages:,} messages."

    def sections(self) -> list[Section]:
        return [
            Section(
                "Reads, one at a time",
                ("read", "p50 ms", "p99 ms", "web CPU", "PostgreSQL CPU", "samples"),
                [(one.name, *map(_ms, (one.p50, one.p99, one.web_cpu, one.postgres_cpu)), f"{one.samples:,}") for one in self.reads],
            ),
            Section(
                "From `messageSend` to the first words at the reader",
                ("model", "answered", "began", "spoke", "p50 ms", "p99 ms", "goal", "samples"),
                [
                    (one.model, *map(_ms, (one.answered, one.started, one.spoke, one.p50, one.p99)), f"< {one.goal:g}", str(one.samples))
                    for one in self.first_words
                ],
            ),
            Section(
                "Processes",
                ("process", "RSS MB", "PSS MB", "goal", "start, ms"),
                [
                    (
                        name,
                        f"{one.rss:.0f}",
                        f"{one.pss:.0f}",
                        f"< {MEMORY_GOAL}",
                        f"{self.web_start:.0f}" if name == STARTED_WEB else "",
                    )
                    for name, one in self.memory.items()
                ],
            ),
        ]


def show(report: Report, console: Console) -> None:
    console.print(report.heading, highlight=False)
    for section in report.sections():
        table = Table(title=section.title.replace("`", ""), title_justify="left")
        for number, column in enumerate(section.columns):
            table.add_column(column, justify="right" if number else "left")
        for row in section.rows:
            table.add_row(*row)
        console.print(table)


def write_json(report: Report) -> None:
    LATEST.parent.mkdir(exist_ok=True)
    LATEST.write_text(json.dumps(asdict(report), indent=2) + "\n")


def write_page(report: Report) -> None:
    """Put the tables between the markers of the page; what stands around them is written by hand."""
    before, found, rest = PAGE.read_text().partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise ValueError(f"{PAGE} has no markers {BEGIN} and {END}.")
    parts = [BEGIN, report.heading, *(_markdown(section) for section in report.sections()), END]
    PAGE.write_text(before + "\n\n".join(parts) + after)


def _markdown(section: Section) -> str:
    lines = [section.columns, ["---", *("--:" for _ in section.columns[1:])], *section.rows]
    return "\n".join([f"## {section.title}", "", *("| " + " | ".join(line) + " |" for line in lines)])


def _ms(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"
