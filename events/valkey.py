"""The one way a client of Valkey is opened: bounded waits, no retries that hide an outage."""

from valkey.asyncio import Valkey
from valkey.exceptions import ConnectionError as ValkeyConnectionError
from valkey.exceptions import TimeoutError as ValkeyTimeoutError

from errors import Unavailable
from settings import Settings

OUTAGES = (ValkeyConnectionError, ValkeyTimeoutError, OSError)


class ValkeyIsUnavailable(Unavailable):
    """Valkey does not answer."""


def open_valkey(settings: Settings, *, waits_seconds: float = 0.0) -> Valkey:
    """Open a client; `waits_seconds` is added for connections whose commands block on purpose."""
    client: Valkey = Valkey.from_url(
        settings.valkey_url,
        socket_connect_timeout=settings.valkey_timeout_seconds,
        socket_timeout=settings.valkey_timeout_seconds + waits_seconds,
        health_check_interval=30,
    )
    return client
