"""Charts as SVG, readable on light pages and on dark ones: the picture follows the reader's colours, as GitHub's pages do."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, LABELS, RIGHT, TOP, ROW, BAR = 760, 216, 70, 64, 30, 18
PLOT = WIDTH - LABELS - RIGHT
LINES_HEIGHT, LEFT, BOTTOM = 300, 64, 44
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328; }
  .title { font-size: 15px; font-weight: 600; }
  .note, .tick { fill: #59636e; font-size: 12px; }
  .ours { font-weight: 700; }
  .grid { stroke: #d1d9e0; stroke-width: 1; }
  .s0 { fill: #0969da; stroke: #0969da; } .s1 { fill: #bf8700; stroke: #bf8700; } .s2 { fill: #1a7f37; stroke: #1a7f37; }
  .faded { opacity: 0.55; }
  .line { fill: none; stroke-width: 2.5; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; } .note, .tick { fill: #9198a1; } .grid { stroke: #3d444d; }
    .s0 { fill: #58a6ff; stroke: #58a6ff; } .s1 { fill: #d29922; stroke: #d29922; } .s2 { fill: #3fb950; stroke: #3fb950; }
  }
  .bar { stroke: none; }
"""


@dataclass(frozen=True)
class Bar:
    """One row: the values stand one behind the other; `ours` makes it bold."""

    label: str
    values: Sequence[float]
    ours: bool = False


def bars(title: str, note: str, series: Sequence[str], rows: Sequence[Bar]) -> str:
    """Draw rows of bars, each with its sum at the end."""
    most = max(sum(row.values) for row in rows)
    drawn = [_heading(title, note), _legend(series)]
    for number, row in enumerate(rows):
        y, x = TOP + number * ROW, float(LABELS)
        drawn.append(_text(LABELS - 10, y + BAR - 4, row.label, "end", "ours" if row.ours else ""))
        for index, value in enumerate(row.values):
            width = value / most * PLOT
            faded = "" if row.ours else " faded"
            drawn.append(f'<rect class="bar s{index}{faded}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2"/>')
            x += width
        drawn.append(_text(x + 8, y + BAR - 4, _number(sum(row.values)), "start", "ours" if row.ours else ""))
    return _svg(title, TOP + len(rows) * ROW + 12, drawn)


def lines(title: str, note: str, ticks: Sequence[str], series: Mapping[str, Sequence[float]]) -> str:
    """Draw lines over named steps at even distances, from zero up."""
    most = _round_above(max(max(values) for values in series.values()))
    step = (WIDTH - LEFT - RIGHT) / max(1, len(ticks) - 1)
    floor = LINES_HEIGHT - BOTTOM

    def height(value: float) -> float:
        return floor - value / most * (floor - TOP)

    drawn = [_heading(title, note), _legend(list(series))]
    for part in range(5):
        y = height(most * part / 4)
        drawn.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        drawn.append(_text(LEFT - 8, y + 4, _number(most * part / 4), "end", "tick"))
    drawn += [_text(LEFT + number * step, floor + 22, tick, "middle", "tick") for number, tick in enumerate(ticks)]
    for index, values in enumerate(series.values()):
        points = [(LEFT + number * step, height(value)) for number, value in enumerate(values)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        # A line's own colour comes with its class; `fill` would close it.
        drawn.append(f'<g class="s{index}"><polyline class="line" points="{path}" style="fill: none"/>')
        drawn += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4"/>' for x, y in points]
        drawn.append("</g>")
    return _svg(title, LINES_HEIGHT, drawn)


def _round_above(value: float) -> float:
    """The end of a scale of four steps that people can read."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 6, 8, 10, 20) if step * power > value)


def _heading(title: str, note: str) -> str:
    return _text(16, 24, title, "start", "title") + _text(16, 44, note, "start", "note")


def _legend(series: Sequence[str]) -> str:
    if len(series) < 2:
        return ""
    drawn, x = [], WIDTH - 16
    for index, name in reversed(list(enumerate(series))):
        x -= len(name) * 7 + 26
        drawn.append(
            f'<rect class="bar s{index}" x="{x}" y="14" width="12" height="12" rx="2"/>' + _text(x + 17, 24, name, "start", "note")
        )
    return "".join(drawn)


def _text(x: float, y: float, text: str, anchor: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _svg(title: str, height: int, drawn: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">'
    return "\n".join([head, f"<title>{escape(title)}</title>", f"<style>{STYLE}</style>", *(one for one in drawn if one), "</svg>", ""])
