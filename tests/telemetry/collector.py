"""A collector that takes metrics by OTLP over HTTP, on loopback; and what Prometheus would read at a process."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client.parser import text_string_to_metric_families

Attributes = frozenset[tuple[str, Any]]


def attributes(**given: Any) -> Attributes:
    """Name a set of attributes; `__` stands for a dot."""
    return frozenset((name.replace("__", "."), value) for name, value in given.items())


@dataclass
class Collector:
    """What was sent last, by the name of the service: a number for each metric and set of attributes; of histograms how many."""

    url: str
    status: int = 200
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    numbers: dict[str, dict[str, dict[Attributes, float]]] = field(default_factory=dict)
    came: asyncio.Event = field(default_factory=asyncio.Event)
    requests: int = 0

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a process that sends here."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url}

    def of(self, service: str, name: str, **given: Any) -> float:
        return self.numbers[service][name].get(attributes(**given), 0)

    async def take(self, request: web.Request) -> web.Response:
        self.requests += 1
        assert request.path == "/v1/metrics"
        if self.status == 200:
            for sent in ExportMetricsServiceRequest.FromString(await request.read()).resource_metrics:
                resource = {one.key: _value(one.value) for one in sent.resource.attributes}
                self.resources[resource["service.name"]] = resource
                metrics = [metric for scope in sent.scope_metrics for metric in scope.metrics]
                self.numbers[resource["service.name"]] = {metric.name: _numbers(metric) for metric in metrics}
        self.came.set()
        return web.Response(status=self.status)


@contextlib.asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """Run a collector."""
    collector = Collector("")
    app = web.Application()
    app.router.add_post("/{path:.*}", collector.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        collector.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield collector
    finally:
        await runner.cleanup()


async def scraped(address: str) -> dict[str, dict[Attributes, float]]:
    """Read what a process shows: by the names that Prometheus gives to samples."""
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}/metrics") as answer:
        assert answer.status == 200
        text = await answer.text()
    found: dict[str, dict[Attributes, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return found


def _numbers(metric: Any) -> dict[Attributes, float]:
    data = getattr(metric, metric.WhichOneof("data"))
    return {frozenset((one.key, _value(one.value)) for one in point.attributes): _number(point) for point in data.data_points}


def _number(point: Any) -> float:
    if hasattr(point, "bucket_counts"):
        assert sum(point.bucket_counts) == point.count
        assert len(point.bucket_counts) == len(point.explicit_bounds) + 1
        return float(point.count)
    return float(getattr(point, point.WhichOneof("value")))


def _value(value: Any) -> Any:
    return getattr(value, value.WhichOneof("value"))


def lines(text: str) -> list[dict[str, Any]]:
    """Read a log."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]
