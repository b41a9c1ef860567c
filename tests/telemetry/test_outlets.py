"""What was counted goes out where it is asked for, and whoever takes it or does not is no burden to the process."""

import asyncio
import dataclasses
import logging
import socket
import threading
from typing import Any

import aiohttp
import pytest
import structlog
from prometheus_client import Metric, generate_latest

from settings import Settings, SettingsError
from telemetry import outlets, pushing, scraping
from telemetry.metrics import LOOKUPS
from telemetry.outlets import Outlets
from tests.telemetry.collector import attributes, collecting, scraped

MISS = {"penny__cache__name": "models", "penny__cache__result": "miss"}
SERVICE = "penny-tests"
HOUR = "3600000"
PATIENCE = 60.0


def given(settings: Settings, **values: Any) -> Settings:
    return dataclasses.replace(settings, **values)


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was dialled."""
    tried: list[Any] = []
    connect = socket.socket.connect

    def noted(self: socket.socket, address: Any) -> None:
        tried.append(address)
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", noted)
    return tried


async def test_without_being_asked_nothing_is_dialled_shown_or_started(
    settings: Settings, dialled: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outlets, "MeterProvider", None)
    async with Outlets(settings, service=SERVICE, environment={}).opened():
        LOOKUPS.add(1, "models", "miss")
    assert dialled == []


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://x:4318/v1/metrics", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x:4318"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318", "OTEL_METRICS_EXPORTER": "none"}, False),
        ({"OTEL_METRICS_EXPORTER": "otlp"}, False),
    ],
)
def test_the_standard_variables_say_whether_metrics_are_sent(variables: dict[str, str], wanted: bool) -> None:  # noqa: FBT001 - a table
    assert pushing.is_wanted(variables) is wanted


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc'; PENNY speaks http/protobuf (port 4318 of a collector).",
        ),
        ({"OTEL_METRIC_EXPORT_INTERVAL": "0"}, "OTEL_METRIC_EXPORT_INTERVAL must be a number above zero, not '0'."),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "soon"}, "OTEL_EXPORTER_OTLP_TIMEOUT must be a number above zero, not 'soon'."),
    ],
)
def test_a_wrong_variable_stops_the_start_with_one_line(settings: Settings, variables: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Outlets(settings, service=SERVICE, environment={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318", **variables})
    assert str(refused.value) == message


@pytest.mark.parametrize(
    "address", ["9464", "localhost", "localhost:", ":9464", "localhost:many", "localhost:70000", "a:1/metrics", "http://a:1"]
)
def test_an_address_that_is_none_stops_the_start(settings: Settings, address: str) -> None:
    with pytest.raises(SettingsError, match="PENNY_METRICS_ADDRESS must be a host and a port"):
        Outlets(given(settings, metrics_address=address), service=SERVICE, environment={})


async def test_opentelemetry_s_own_switch_switches_all_off(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlets, "MeterProvider", None)
    variables = {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318"}
    async with Outlets(given(settings, metrics_address="127.0.0.1:1"), service=SERVICE, environment=variables).opened():
        pass


async def test_processes_of_a_machine_take_one_port_each(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        shown = given(settings, metrics_address=f"127.0.0.1:{port}", metrics_ports=100)
        with structlog.testing.capture_logs() as logs:
            async with Outlets(shown, service="one", environment={}).opened(), Outlets(shown, service="other", environment={}).opened():
                addresses = [entry["address"] for entry in logs if entry["event"] == "metrics_shown"]
                ports = [int(address.removesuffix("/metrics").rsplit(":", 1)[1]) for address in addresses]
                assert port < ports[0] < ports[1]
                seen = [await scraped(f"127.0.0.1:{number}") for number in ports]
        assert [dict(next(iter(one["target_info"])))["service_name"] for one in seen] == ["one", "other"]
    with pytest.raises(aiohttp.ClientError):
        await scraped(f"127.0.0.1:{ports[0]}")


async def test_a_process_serves_on_where_no_port_is_free(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, structlog.testing.capture_logs() as logs:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with Outlets(given(settings, metrics_address=address, metrics_ports=1), service=SERVICE, environment={}).opened():
            pass
    (entry,) = logs
    assert (entry["event"], entry["log_level"], entry["address"]) == ("metrics_not_shown", "error", address)


def test_scrapes_take_turns() -> None:
    """The reader hands on what it has collected: were there two at once, one would be told twice and the other nothing."""
    scrapes = scraping.Scrapes()
    alone: list[bool] = []

    class Looking:
        def collect(self) -> list[Metric]:
            alone.append(scrapes._registry._turn.locked())
            return []

    scrapes._registry.register(Looking())
    generate_latest(scrapes._registry)
    assert (alone, scrapes._registry._turn.locked()) == ([True], False)


async def test_the_last_numbers_are_sent_when_a_process_stops(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async with collecting() as collector:
        for name, value in {**collector.variables, "OTEL_METRIC_EXPORT_INTERVAL": HOUR}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=seven,team=chat")
        before = LOOKUPS.of("models", "miss").value
        async with Outlets(given(settings, metrics_stop_seconds=PATIENCE), service=SERVICE).opened():
            LOOKUPS.add(3, "models", "miss")
            assert collector.requests == 0
        assert collector.of(SERVICE, "penny.cache.lookups", **MISS) == before + 3
        resource = collector.resources[SERVICE]
    assert (resource["service.instance.id"], resource["team"], resource["service.namespace"]) == ("seven", "chat", "penny")
    assert {"service.version", "deployment.environment.name", "telemetry.sdk.name"} <= set(resource)
    assert collector.numbers[SERVICE]["process.uptime"][attributes()] >= 0


async def test_a_collector_that_never_answers_holds_up_neither_the_work_nor_the_end(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await connected.put(writer)

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as silent:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}")
        monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "10")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "100")
        async with asyncio.timeout(50):  # half as long as an answer is waited for
            async with Outlets(given(settings, metrics_stop_seconds=0.1), service=SERVICE).opened():
                writer = await connected.get()
    # What still waits for an answer must be gone before the next test looks at the log.
    writer.close()
    for thread in threading.enumerate():
        if thread.name == "OtelPeriodicExportingMetricReader":
            await asyncio.to_thread(thread.join)


async def test_an_outage_of_the_collector_is_told_once_and_its_end(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with collecting() as collector:
        for name, value in {**collector.variables, "OTEL_METRIC_EXPORT_INTERVAL": "10"}.items():
            monkeypatch.setenv(name, value)
        collector.status = 404
        with structlog.testing.capture_logs() as logs:
            async with Outlets(settings, service=SERVICE).opened():
                while collector.requests < 5:
                    await collector.came.wait()
                    collector.came.clear()
                collector.status = 200
                while SERVICE not in collector.numbers:
                    await collector.came.wait()
                    collector.came.clear()
    told = [record for record in caplog.records if record.name.startswith("opentelemetry") and record.levelno >= logging.WARNING]
    assert [(record.levelname, "404" in record.getMessage()) for record in told] == [("ERROR", True)]
    assert [entry["event"] for entry in logs] == ["metrics_sent_again"]


async def test_what_was_not_sent_is_not_kept(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A collector that comes back is told what there is now, as one number, and not what it missed."""
    async with collecting() as collector:
        for name, value in {**collector.variables, "OTEL_METRIC_EXPORT_INTERVAL": "10"}.items():
            monkeypatch.setenv(name, value)
        collector.status = 404
        before = LOOKUPS.of("models", "miss").value
        async with Outlets(given(settings, metrics_stop_seconds=PATIENCE), service=SERVICE).opened():
            for _ in range(5):
                LOOKUPS.add(1, "models", "miss")
                await collector.came.wait()
                collector.came.clear()
            collector.status = 200
        assert collector.of(SERVICE, "penny.cache.lookups", **MISS) == before + 5


def test_the_filter_of_an_outage_is_taken_away_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    before = list(pushing.EXPORTER.filters)
    collector = pushing.Collector()
    assert len(pushing.EXPORTER.filters) == len(before) + 1
    collector.shutdown()
    assert pushing.EXPORTER.filters == before
