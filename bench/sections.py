"""The report in tables, for the terminal and for `docs/performance.md` alike."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bench import gateway, targets
from bench.comparisons import Cell
from bench.gateway import Spent
from bench.operations import COMPARED, WHO, Operation
from bench.repeats import Repeated
from bench.reports import CROWDS, SINGLE, SIZES, SPREAD, STARTED_WEB, Report
from bench.talks import PER_SECOND, Held, Talks
from bench.wires import GOAL, Wire

MEMORY_GOAL = 150
CROWD = (1, 4, 16, 64)
WIDTHS = tuple(Operation(f"chats{first}", f"first {first} with 10 messages", first=first, last=10) for first in (1, 10, 100))
PROCESSES = tuple(replace(targets.COMPILED, processes=count) for count in (1, 2, 4))


@dataclass(frozen=True)
class Section:
    """One table: its first column names what the others measure. `chart` names the picture above it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    chart: str = ""


def sections(report: Report) -> Iterator[Section]:
    """All tables, what matters most first."""
    yield _goals(report)
    for operation in COMPARED:
        yield _comparison(report, operation)
    yield _single(report)
    yield _deliveries(report)
    yield from _linearity(report)
    yield _first_words(report)
    yield from talking(report.talks)
    yield wired(report.wires)
    yield passed(report.gateway)
    yield given_again(report.repeats)
    yield _processes(report)


def _goals(report: Report) -> Section:
    rows = [(goal.what, goal.against, f"≥ {_times(goal.wanted)}", _times(goal.was), goal.verdict) for goal in report.goals()]
    return Section("Goals: how many times less CPU time PENNY takes", ("what", "against", "wanted", "measured", "goal"), rows)


def _comparison(report: Report, operation: Operation) -> Section:
    ours = report.cell(targets.COMPILED, operation).cpu
    rows = []
    for target in targets.COMPARED:
        cell = report.cell(target, operation)
        rows.append((target.title, *_costs(cell), _times(cell.cpu / ours), *_waits(cell), f"{cell.per_second:,.0f}"))
    columns = ("", "CPU", "server", "PostgreSQL", "Valkey", "to PENNY", "p50 ms", "p99 ms", "per s")
    return Section(f"{operation.title[0].upper()}{operation.title[1:]}", columns, rows, chart=operation.name)


def _single(report: Report) -> Section:
    rows = []
    for operation in (*COMPARED, WHO):
        for target in targets.COMPARED if operation is not WHO else (targets.COMPILED, targets.REFERENCE):
            cell = report.cell(target, operation, SINGLE, 1)
            rows.append((operation.title, target.title, *_costs(cell)[:3], *_waits(cell)))
    return Section("One at a time", ("read", "", "CPU", "server", "PostgreSQL", "p50 ms", "p99 ms"), rows)


def _deliveries(report: Report) -> Section:
    rows = []
    for delivery in report.deliveries:
        ours = report.delivery(targets.COMPILED, delivery.sockets)
        ratio = _times(delivery.cpu_us / ours.cpu_us) if ours else ""
        title = next(one.title for one in targets.STREAMING if one.name == delivery.target)
        row = (f"{delivery.sockets:,}", title, f"{delivery.cpu_us:.1f}", ratio, _ms(delivery.p50_ms), f"{delivery.tokens:,}")
        rows.append(row)
    columns = ("sockets", "", "CPU µs a delivery", "to PENNY", "p50 ms to the last socket", "tokens")
    return Section("Tokens to many", columns, rows, chart="tokens")


def _linearity(report: Report) -> Iterator[Section]:
    rows = [
        (one.title, *(_per_chat(report.cell(target, one, SIZES), one) for target in (targets.COMPILED, targets.MERCURIUS)))
        for one in WIDTHS
    ]
    yield Section("By size: CPU ms a chat", ("read", targets.COMPILED.title, targets.MERCURIUS.title), rows, chart="sizes")
    clients = [(str(one), *(_ms(report.cell(targets.COMPILED, read, CROWDS, one).cpu) for read in COMPARED)) for one in CROWD]
    titles = tuple(read.title for read in COMPARED)
    yield Section("By clients: CPU ms an operation", ("clients", *titles), clients, chart="clients")
    processes = [(str(one.processes), *(_ms(report.cell(one, read, SPREAD).cpu) for read in COMPARED)) for one in PROCESSES]
    yield Section("By web processes: CPU ms an operation", ("processes", *titles), processes, chart="processes")


def _per_chat(cell: Cell, operation: Operation) -> str:
    return _ms(cell.cpu / operation.first)


def _first_words(report: Report) -> Section:
    rows = [
        (one.model, *map(_ms, (one.answered, one.started, one.spoke, one.p50, one.p99)), f"< {one.goal:g}", str(one.samples))
        for one in report.first_words
    ]
    columns = ("model", "answered", "began", "spoke", "p50 ms", "p99 ms", "goal", "samples")
    return Section("From `messageSend` to the first words at the reader", columns, rows)


def talking(talks: Talks) -> Iterator[Section]:
    """What conversations take: many at once, many a second, many readers, and how soon the first word comes beside them."""
    columns = ("CPU of a core: worker", "web", "Valkey", "PostgreSQL", "worker MB", "web MB", "p50 ms", "p99 ms")
    rows = [(f"{one.runs:,}", f"{one.words:,.0f}", *_held(one)) for one in talks.held]
    yield Section(
        f"Runs at once, each of {PER_SECOND} tokens a second, one worker and one web process", ("runs", "tokens a second", *columns), rows
    )
    rows = [(f"{one.per_second * 60:,}", f"{one.words:,.0f}", *_held(one), str(one.failed)) for one in talks.rates]
    yield Section("Messages a minute, each answered for a second", ("messages", "tokens a second", *columns, "failed"), rows)
    rows = [(f"{one.readers:,}", f"{one.tokens:,.0f}", f"{one.worker_us:.0f}", f"{one.web_us:.0f}") for one in talks.speeds]
    columns = ("readers", "tokens a second", "CPU µs a token: worker", "web")
    yield Section("Tokens of a model that never pauses, from worker to socket", columns, rows)
    p50, p99 = talks.overhead
    rows = [
        (f"first word beside {talks.beside} runs, p50", f"{_ms(p50)} ms", "≤ 15 ms"),
        (f"first word beside {talks.beside} runs, p99", f"{_ms(p99)} ms", "≤ 60 ms"),
        ("memory of a silent subscription with its socket", f"{talks.subscription_kb:.0f} kB", ""),
    ]
    yield Section("Beside others", ("what", "measured", "goal"), rows)


def wired(wires: Sequence[Wire]) -> Section:
    """What a token of a provider costs on each wire."""
    rows = [(one.name, f"{one.read_us:.1f}", f"< {GOAL:g}", f"{one.whole_us:.1f}", f"{one.tokens:,}") for one in wires]
    columns = ("wire", "CPU µs a token", "goal", "with the connection", "tokens")
    return Section("Tokens of providers, from their wires to events", columns, rows)


def passed(spent: Sequence[Spent]) -> Section:
    """What the gateway itself costs, and what each part of it adds."""
    whole = spent[0].us
    rows = [("nothing: the whole of it", f"{whole:.0f}", "", f"≤ {gateway.GOAL:g}")]
    rows += [(one.without, f"{one.us:.0f}", f"{whole - one.us:+.0f}", "") for one in spent[1:]]
    return Section(
        "The gateway's own work: an operation that asks for nothing", ("switched off", "CPU µs a request", "its part", "goal"), rows
    )


def given_again(repeated: Sequence[Repeated]) -> Section:
    """What an answer costs the web process that is kept and given again."""
    rows = [(one.what, f"{one.made:.0f}", f"{one.given:.0f}", _times(one.made / one.given)) for one in repeated]
    return Section("Answers that are kept: queries marked @cached, by GET", ("read", "made, CPU µs", "given again, CPU µs", ""), rows)


def _held(one: Held) -> Sequence[str]:
    shares = (one.worker, one.web, one.valkey, one.postgres)
    return (*(f"{share:.0%}" for share in shares), f"{one.worker_mb:.0f}", f"{one.web_mb:.0f}", _ms(one.p50), _ms(one.p99))


def _processes(report: Report) -> Section:
    rows = [
        (name, f"{one.rss:.0f}", f"{one.pss:.0f}", f"< {MEMORY_GOAL}", f"{report.web_start:.0f}" if name == STARTED_WEB else "")
        for name, one in report.memory.items()
    ]
    return Section("Processes", ("process", "RSS MB", "PSS MB", "goal", "start, ms"), rows)


def _costs(cell: Cell) -> tuple[str, str, str, str]:
    return _ms(cell.cpu), _ms(cell.server), _ms(cell.postgres), _ms(cell.valkey)


def _waits(cell: Cell) -> tuple[str, str]:
    return _ms(cell.p50), _ms(cell.p99)


def _times(value: float) -> str:
    return f"{_ms(value)}\N{MULTIPLICATION SIGN}"


def _ms(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"
