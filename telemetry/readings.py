"""What the instruments counted, in the form that OpenTelemetry's SDK collects and its exporters send."""

import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Any, Final

from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    HistogramDataPoint,
    Metric,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.metrics.export import Histogram as HistogramData

from telemetry.instruments import DECLARED, Counter, Gauge, Histogram, Number, Spread

NAME: Final = "penny"
VERSION: Final = version(NAME)
_BEGAN_NS: Final = time.time_ns()
_NOT_KEPT: Final[Any] = None
"""The least and the most of a histogram: OTLP may leave them out, and its encoder does so for this."""


def observe(meter: Meter) -> None:
    """Let the SDK ask for the counters and gauges when it collects. It has no such way for histograms: `with_histograms` is theirs."""
    for one in DECLARED.values():
        if isinstance(one, Counter):
            meter.create_observable_counter(one.name, [_look(one)], one.unit, one.description)
        elif isinstance(one, Gauge):
            create = meter.create_observable_up_down_counter if one.adds else meter.create_observable_gauge
            create(one.name, [_look(one)], one.unit, one.description)


def with_histograms(collected: MetricsData) -> MetricsData:
    """Return what was collected, with the histograms beside it: since the process began, whatever temporality was asked for."""
    return MetricsData([_with_histograms(one) for one in collected.resource_metrics])


def _with_histograms(collected: ResourceMetrics) -> ResourceMetrics:
    now = time.time_ns()
    histograms = [_metric(one, now) for one in DECLARED.values() if isinstance(one, Histogram) and one.series]
    # In the same scope as the others: the encoder keeps one of two that are called alike.
    scopes = [
        ScopeMetrics(one.scope, [*one.metrics, *histograms], one.schema_url) if one.scope.name == NAME else one
        for one in collected.scope_metrics
    ]
    return ResourceMetrics(collected.resource, scopes, collected.schema_url)


def _metric(one: Histogram, now: int) -> Metric:
    points = [_point(spread, one.bounds, now) for spread in one.series]
    return Metric(one.name, one.description, one.unit, HistogramData(points, AggregationTemporality.CUMULATIVE))


def _point(spread: Spread, bounds: tuple[float, ...], now: int) -> HistogramDataPoint:
    counts = [*spread.counts]
    return HistogramDataPoint(spread.attributes, _BEGAN_NS, now, sum(counts), spread.sum, counts, bounds, _NOT_KEPT, _NOT_KEPT)


def _look(one: Counter | Gauge) -> Callable[[CallbackOptions], Iterable[Observation]]:
    return lambda _: [_observed(number) for number in one.series]


def _observed(number: Number) -> Observation:
    return Observation(number.value, number.attributes)
