"""Metrics sent to a collector by OTLP over HTTP, where the standard `OTEL_…` variables name one; without them nothing is dialled."""

import logging
from collections.abc import Mapping
from typing import Any, Final

import structlog
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData, PeriodicExportingMetricReader

from settings import SettingsError
from telemetry.readings import with_histograms

log = structlog.get_logger()

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_NUMBERS: Final = (
    "OTEL_METRIC_EXPORT_INTERVAL",
    "OTEL_METRIC_EXPORT_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
)
SPOKEN: Final = "http/protobuf"
EXPORTER: Final = logging.getLogger("opentelemetry.exporter.otlp.proto.http.metric_exporter")


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Whether a collector is named; raises `SettingsError` for one that is spoken to in another way, or never."""
    if not any(environment.get(name) for name in _ENDPOINTS) or environment.get("OTEL_METRICS_EXPORTER", "otlp") != "otlp":
        return False
    protocol = next((name for name in _PROTOCOLS if environment.get(name)), None)
    if protocol is not None and environment[protocol] != SPOKEN:
        raise SettingsError(f"{protocol} is {environment[protocol]!r}; PENNY speaks {SPOKEN} (port 4318 of a collector).")
    for name in _NUMBERS:
        if (given := environment.get(name)) and not (given.replace(".", "", 1).isdigit() and float(given) > 0):
            raise SettingsError(f"{name} must be a number above zero, not {given!r}.")
    return True


def reader() -> PeriodicExportingMetricReader:
    """Make what collects and sends in a thread of its own, as `OTEL_METRIC_EXPORT_INTERVAL` says; nothing that was not sent is kept."""
    return PeriodicExportingMetricReader(Collector())


class Collector(OTLPMetricExporter):
    """Sends what was collected, histograms too. That nobody takes it is logged once, and once that it is taken again."""

    def __init__(self) -> None:
        super().__init__()
        self._outage = Outage()
        EXPORTER.addFilter(self._outage)

    def export(self, metrics_data: MetricsData, timeout_millis: float | None = 10_000, **kwargs: Any) -> MetricExportResult:
        """Send."""
        result = super().export(with_histograms(metrics_data), timeout_millis, **kwargs)
        if result is MetricExportResult.SUCCESS:
            self._outage.end()
        return result

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        """Send nothing more."""
        super().shutdown(timeout_millis, **kwargs)
        EXPORTER.removeFilter(self._outage)


class Outage(logging.Filter):
    """Lets the first line of an outage into the log, which says why, and no other: the exporter writes several each time that it tries."""

    def __init__(self) -> None:
        super().__init__()
        self._told = False

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a line is the first."""
        if record.levelno < logging.WARNING:
            return True
        told, self._told = self._told, True
        return not told

    def end(self) -> None:
        """Note that it is over."""
        if self._told:
            self._told = False
            log.info("metrics_sent_again")
