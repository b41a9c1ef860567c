"""Instruments: counters, gauges and histograms whose every use costs less than a microsecond, and the list of all that were declared.

OpenTelemetry's own take four microseconds for each measurement, more than some of what they would measure. These keep plain numbers, which
`telemetry/outlets.py` hands to OpenTelemetry's SDK when it collects. Names, units and attributes follow its semantic conventions where they
have them. What may stand in an attribute is declared with it: no tenant, no person and no text of theirs ever does.
"""

import weakref
from bisect import bisect_left
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

Value = str | int
Attributes = Mapping[str, Value | bool]

OTHER: Final = "_OTHER"
"""Stands for a value that was not declared, as in OpenTelemetry's own conventions."""
OVERFLOW: Final[Attributes] = {"otel.metric.overflow": True}
"""Where whatever has no room is counted, as OpenTelemetry's SDK has it."""
MOST_SERIES: Final = 1000
"""Sets of attributes that an instrument keeps apart."""
SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Bounds for what should be quick: those of `http.server.request.duration`."""
LONG_SECONDS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""Bounds for what takes its time: those of `gen_ai.client.operation.duration`."""

DECLARED: "Final[dict[str, Counter | Gauge | Histogram]]" = {}
"""All instruments by their names."""


@dataclass(frozen=True)
class Known:
    """What an attribute may be, in a sentence: some of many, or whatever our own code or the operator's files say it is."""

    sentence: str
    among: Container[Value] | None = None

    def __contains__(self, value: Value) -> bool:
        return self.among is None or value in self.among


class Number:
    """A number that is counted up, or put anew."""

    __slots__ = ("attributes", "value")

    def __init__(self, attributes: Attributes, value: float = 0) -> None:
        self.attributes = attributes
        self.value = value


class Spread:
    """How often there was how much: a number for each bucket, and one for what is beyond the last bound."""

    __slots__ = ("attributes", "counts", "sum")

    def __init__(self, attributes: Attributes, bounds: int) -> None:
        self.attributes = attributes
        self.counts = [0] * (bounds + 1)
        self.sum: float = 0


Series = TypeVar("Series", Number, Spread)


class Instrument(Generic[Series]):
    """Something that is counted, for each set of attributes; `None` leaves an attribute out."""

    kind: str

    def __init__(self, name: str, *, unit: str, description: str, attributes: Mapping[str, Container[Value]] | None = None) -> None:
        assert name not in DECLARED, f"{name} is declared twice"
        self.name = name
        self.unit = unit
        self.description = description
        self.attributes = attributes or {}
        self._series: dict[tuple[Value | None, ...], Series] = {}
        self._overflow: Series | None = None

    def of(self, *values: Value | None) -> Series:
        """Return the series with these values, in the order of the declaration; keep it where every nanosecond counts."""
        return self._series.get(values) or self._made(values)

    @property
    def series(self) -> list[Series]:
        """All series there are; safe to ask for in another thread."""
        return [*self._series.values(), *(() if self._overflow is None else (self._overflow,))]

    def _made(self, values: tuple[Value | None, ...]) -> Series:
        known = self._known(values)
        if (series := self._series.get(known)) is not None:
            return series
        if len(self._series) >= MOST_SERIES:
            self._overflow = self._overflow or self._new(OVERFLOW)
            return self._overflow
        series = self._series[known] = self._new(self._named(known))
        return series

    def _known(self, values: tuple[Value | None, ...]) -> tuple[Value | None, ...]:
        declared = zip(self.attributes.values(), values, strict=True)
        return tuple(value if value is None or value in allowed else OTHER for allowed, value in declared)

    def _named(self, known: tuple[Value | None, ...]) -> Attributes:
        return {name: value for name, value in zip(self.attributes, known, strict=True) if value is not None}

    def _new(self, attributes: Attributes) -> Series:
        raise NotImplementedError


Owner = TypeVar("Owner")
Seen = tuple[float, tuple[Value | None, ...]]


class _Numbers(Instrument[Number]):
    """A number for each set of attributes. Whatever is there anyway is asked when it is collected, and costs nothing before."""

    def __init__(self, name: str, **declaration: Any) -> None:
        super().__init__(name, **declaration)
        self._watched: dict[int, tuple[weakref.ref[Any], Callable[[Any], Iterable[Seen]]]] = {}
        self._seen: dict[tuple[Value | None, ...], None] = {}

    def watch(self, owner: Owner, look: Callable[[Owner], Iterable[Seen]]) -> None:
        """Ask `look` for an owner's numbers, each with the values of its attributes, as long as it lives; those of several add up."""
        key = id(owner)
        self._watched[key] = weakref.ref(owner, lambda _: self._watched.pop(key, None)), look

    @property
    def series(self) -> list[Number]:
        """What was counted, and what is found now; what is there no more is told as nothing."""
        found: dict[tuple[Value | None, ...], float] = dict.fromkeys(self._seen, 0)
        for owner, look in [(owner(), look) for owner, look in [*self._watched.values()]]:
            for number, values in () if owner is None else look(owner):
                known = self._known(values)
                found[known] = found.get(known, 0) + number
        self._seen.update(dict.fromkeys(found))
        return [*super().series, *(Number(self._named(known), number) for known, number in found.items())]

    def _new(self, attributes: Attributes) -> Number:
        return Number(attributes)


class Counter(_Numbers):
    """Counts what only becomes more."""

    kind = "counter"

    def __init__(self, name: str, **declaration: Any) -> None:
        super().__init__(name, **declaration)
        DECLARED[name] = self

    def add(self, count: float, *values: Value | None) -> None:
        """Add to the series with these values."""
        (self._series.get(values) or self._made(values)).value += count


class Gauge(_Numbers):
    """Tells how much there is. What `adds` may be added up over processes; of the others no sum makes sense."""

    kind = "gauge"

    def __init__(self, name: str, *, adds: bool = True, **declaration: Any) -> None:
        super().__init__(name, **declaration)
        self.adds = adds
        DECLARED[name] = self

    def put(self, level: float, *values: Value | None) -> None:
        """Say how much there is."""
        self.of(*values).value = level


class Histogram(Instrument[Spread]):
    """Counts how often there was how much, in buckets up to and with each of the `bounds`."""

    kind = "histogram"

    def __init__(self, name: str, *, bounds: tuple[float, ...], **declaration: Any) -> None:
        super().__init__(name, **declaration)
        self.bounds = bounds
        DECLARED[name] = self

    def record(self, amount: float, *values: Value | None) -> None:
        """Count an amount in the series with these values."""
        spread = self._series.get(values) or self._made(values)
        spread.counts[bisect_left(self.bounds, amount)] += 1
        spread.sum += amount

    def _new(self, attributes: Attributes) -> Spread:
        return Spread(attributes, len(self.bounds))


def table() -> str:
    """All instruments as a Markdown table, for `docs/metrics.md`."""
    lines = ["| name | kind | unit | attributes | meaning |", "|---|---|---|---|---|"]
    for one in sorted(DECLARED.values(), key=lambda one: one.name):
        attributes = "<br>".join(f"`{name}`: {_shown(allowed)}" for name, allowed in one.attributes.items())
        lines.append(f"| `{one.name}` | {one.kind} | `{one.unit}` | {attributes} | {one.description} |")
    return "\n".join(lines) + "\n"


def _shown(allowed: Container[Value]) -> str:
    if isinstance(allowed, Known):
        return allowed.sentence
    if isinstance(allowed, range):
        return f"{allowed[0]} to {allowed[-1]}"
    assert isinstance(allowed, Iterable), "what may be is listed, or told in a sentence"
    return ", ".join(f"`{value}`" for value in allowed)
