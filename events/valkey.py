"""The one way a client of Valkey is opened: bounded waits, no retries that hide an outage."""

import asyncio
from typing import Any

from valkey.asyncio import Valkey
from valkey.exceptions import ConnectionError as ValkeyConnectionError
from valkey.exceptions import TimeoutError as ValkeyTimeoutError

from errors import Unavailable
from events.metrics import VALKEY_FAILURES
from settings import Settings

OUTAGES = (ValkeyConnectionError, ValkeyTimeoutError, OSError)


class ValkeyIsUnavailable(Unavailable):
    """Valkey does not answer."""


class _Watched:
    """A connection whose failures are counted, and whose writes lose no cancellation.

    The client bounds a write with `asyncio.wait_for`, which before Python 3.12 forgets a cancellation that comes as the write
    ends: the cancelled task would go on for ever.
    """

    _is_connecting = False

    async def connect(self) -> None:
        self._is_connecting = True
        try:
            await super().connect()  # type: ignore[misc] # a connection class follows
        except OUTAGES:
            VALKEY_FAILURES.add(1, "connect")
            raise
        finally:
            self._is_connecting = False

    async def read_response(self, *given: Any, **options: Any) -> Any:
        try:
            return await super().read_response(*given, **options)  # type: ignore[misc] # a connection class follows
        except OUTAGES:
            self._count("answer")
            raise

    def _count(self, step: str) -> None:
        """Count a failure; those of the words that a connection begins with are its own."""
        if not self._is_connecting:
            VALKEY_FAILURES.add(1, step)

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - the client's signature
        task = asyncio.current_task()
        before = task.cancelling() if task else 0
        was_connected: bool = self.is_connected  # type: ignore[attr-defined] # a connection class follows
        try:
            await super().send_packed_command(command, check_health)  # type: ignore[misc] # a connection class follows
        except OUTAGES:
            if was_connected:  # else it has been counted
                self._count("command")
            raise
        if task is not None and task.cancelling() > before:
            await self.disconnect(nowait=True)  # type: ignore[attr-defined] # its answer will not be read
            raise asyncio.CancelledError


def open_valkey(settings: Settings, *, waits_seconds: float = 0.0) -> Valkey:
    """Open a client; `waits_seconds` is added for connections whose commands block on purpose."""
    client: Valkey = Valkey.from_url(
        settings.valkey_url,
        socket_connect_timeout=settings.valkey_timeout_seconds,
        socket_timeout=settings.valkey_timeout_seconds + waits_seconds,
        health_check_interval=30,
    )
    pool = client.connection_pool
    pool.connection_class = type("Connection", (_Watched, pool.connection_class), {})
    return client
