"""Metrics shown to Prometheus, at an address of their own."""

import errno
import threading
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlsplit

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics.export import MetricsData
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import Metric

from settings import Settings, SettingsError
from telemetry.readings import with_histograms

LAST_PORT: Final = 65535


class Scrapes:
    """Answers scrapes in threads of its own: a busy event loop delays none, and is delayed by none."""

    def __init__(self) -> None:
        self._registry = _InTurn(auto_describe=False)
        self.reader = Reader(registry=self._registry)
        self._ending: list[Any] = []

    def open(self, host: str, ports: range) -> str:
        """Begin at the first of these ports that is free; returns the address. Raises `OSError` where none is."""
        for port in ports:
            try:
                server, thread = start_http_server(port, host, self._registry)
            except OSError as error:
                if error.errno != errno.EADDRINUSE or port == ports[-1]:
                    raise
            else:
                self._ending = [server.shutdown, server.server_close, thread.join]
                return f"http://{f'[{host}]' if ':' in host else host}:{server.server_port}/metrics"
        raise OSError(errno.EADDRINUSE, "no port")

    def close(self) -> None:
        """Answer no more."""
        for step in self._ending:
            step()
        self._ending = []


class Reader(PrometheusMetricReader):
    """Names metrics as Prometheus does (`http_server_request_duration_seconds`), histograms too."""

    def __init__(self, *, registry: CollectorRegistry) -> None:
        super().__init__(scope_info_enabled=False, registry=registry)

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        super()._receive_metrics(with_histograms(metrics_data), timeout_millis, **kwargs)


class _InTurn(CollectorRegistry):
    """Collects for one scrape after the other: the reader would give one what it collected for another."""

    def __init__(self, *, auto_describe: bool) -> None:
        super().__init__(auto_describe=auto_describe)
        self._turn = threading.Lock()

    def collect(self) -> Iterable[Metric]:
        """Collect."""
        with self._turn:
            return [*super().collect()]


def place_of(settings: Settings) -> tuple[str, range] | None:
    """Return where metrics are to be shown, and at which ports; None for nowhere. Raises `SettingsError`."""
    if not settings.metrics_address:
        return None
    try:
        parts = urlsplit(f"//{settings.metrics_address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port is None or f"//{parts.netloc}" != f"//{settings.metrics_address}":
        raise SettingsError(f"PENNY_METRICS_ADDRESS must be a host and a port, as in 127.0.0.1:9464, not {settings.metrics_address!r}.")
    return host, range(port, min(port + settings.metrics_ports, LAST_PORT + 1)) if port else range(1)
