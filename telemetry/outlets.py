"""The ways out for what a process counted: to a collector, to Prometheus, to both or, as it is unless somebody asks for it, to nobody."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Final

import structlog
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.resources import OTELResourceDetector, Resource

from settings import Settings
from telemetry import pushing, scraping
from telemetry.processes import ThisProcess
from telemetry.readings import NAME, VERSION, observe

log = structlog.get_logger()

_TRUE: Final = "true"


class Outlets:
    """What is asked for by `PENNY_METRICS_ADDRESS` and the standard `OTEL_…` variables; raises `SettingsError` where that is wrong."""

    def __init__(self, settings: Settings, *, service: str, environment: Mapping[str, str] | None = None) -> None:
        given = os.environ if environment is None else environment
        is_on = given.get("OTEL_SDK_DISABLED", "").strip().lower() != _TRUE
        self._place = scraping.place_of(settings) if is_on else None
        self._pushes = is_on and pushing.is_wanted(given)
        self._service = service
        self._settings = settings

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Show and send metrics; at the end send the last ones, and wait for that no longer than the settings say."""
        if self._place is None and not self._pushes:
            yield
            return
        scrapes = scraping.Scrapes()
        readers = [*([scrapes.reader] if self._place is not None else ()), *([pushing.reader()] if self._pushes else ())]
        # Nothing is set up for the whole interpreter: whoever counts has its instruments, and the provider is this process's alone.
        provider = MeterProvider(
            readers, self._resource(), exemplar_filter=AlwaysOffExemplarFilter(), shutdown_on_exit=False
        )  # fmt: skip
        observe(provider.get_meter(NAME, VERSION))
        process = ThisProcess()
        self._show(scrapes)
        try:
            yield
        finally:
            seconds = self._settings.metrics_stop_seconds
            await asyncio.gather(
                asyncio.to_thread(scrapes.close), asyncio.to_thread(provider.shutdown, seconds * 1000), return_exceptions=True
            )  # fmt: skip
            del process

    def _show(self, scrapes: scraping.Scrapes) -> None:
        if self._place is None:
            return
        try:
            log.info("metrics_shown", address=scrapes.open(*self._place))
        except OSError as error:
            # Whoever uses PENNY must not suffer for whoever watches it.
            log.error("metrics_not_shown", address=self._settings.metrics_address, error=str(error))  # noqa: TRY400 - the traceback says nothing more

    def _resource(self) -> Resource:
        """Say which process this is; what `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say counts more."""
        ours = {
            "service.namespace": NAME,
            "service.name": self._service,
            "service.version": VERSION,
            "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
            "deployment.environment.name": self._settings.environment,
        }
        return Resource.create({**ours, **OTELResourceDetector().detect().attributes})
