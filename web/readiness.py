"""Whether everything that a process needs answers: asked once for all who want to know, and believed for a moment."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from errors import PennyError
from inference.models import ProviderFailed
from web.door import Door

CHECK_SECONDS: Final = 3.0
BELIEVED_SECONDS: Final = 1.0
Checks = Callable[[], Mapping[str, Awaitable[Any]]]


class Readiness:
    """Anybody may ask, as often as they like: a check takes connections that others need, so one is under way at a time."""

    def __init__(self, checks: Checks, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._checks = checks
        self._clock = clock
        self._check: asyncio.Task[dict[str, str]] | None = None
        self._until = 0.0

    async def parts(self) -> dict[str, str]:
        """Say of each part "ok" or what is wrong, as of a second ago at most."""
        if self._check is None or (self._check.done() and self._clock() >= self._until):
            self._check = asyncio.create_task(self._checked())
        # Who asked first may leave before the others are answered.
        return await asyncio.shield(self._check)

    async def _checked(self) -> dict[str, str]:
        checks = self._checks()
        words = await asyncio.gather(*(_word(check) for check in checks.values()))
        self._until = self._clock() + BELIEVED_SECONDS
        return dict(zip(checks, words, strict=True))


def parts_of(door: Door) -> Checks:
    """Name what a web process needs, and how each is asked."""

    def checks() -> Mapping[str, Awaitable[Any]]:
        process = door.process
        return {
            "postgresql": process.works.scopes.check(),
            "postgresql_system": process.system.check(),
            "valkey": process.valkey.ping(),
            "s3": process.store.check(),
        }

    return checks


async def _word(check: Awaitable[Any]) -> str:
    """Say how a part is in a word or a sentence that names no address."""
    try:
        await asyncio.wait_for(check, CHECK_SECONDS)
    except (PennyError, ProviderFailed) as error:
        return error.message
    except TimeoutError:
        return f"no answer within {CHECK_SECONDS:.0f} s"
    except Exception as error:  # noqa: BLE001 - whatever is wrong with a part, the answer is that it is down
        return f"down ({type(error).__name__})"
    return "ok"
