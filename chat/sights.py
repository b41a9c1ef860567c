"""Whether those who follow a run may still see it: asked every few seconds, once for each viewer, however many sockets they have."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Hashable
from typing import Any, Final, Generic, NamedTuple, NoReturn, Protocol, TypeVar

from errors import Unavailable

# One a second would cost a process with a thousand runs on the air more than their words do.
RECHECK_SECONDS: Final = 5.0

Answer = TypeVar("Answer")


class Sight(NamedTuple, Generic[Answer]):
    """Who sees a run, and the question that fails once they do not; the same viewer always gets the same answer."""

    viewer: Hashable
    ask: Callable[[], Awaitable[Answer]]


class Watched(Protocol):
    """Whoever is told a run."""

    @property
    def sight(self) -> Sight[Any]:
        """By which right it is told."""

    def doubt(self) -> None:
        """Be told nothing more before having asked by itself."""


async def look_again(everybody: Collection[Watched]) -> NoReturn:
    """Ask for all viewers, one after the other, and again after a pause; woken are only those who may not see the run any more."""
    while True:
        await asyncio.sleep(RECHECK_SECONDS)
        allowed: dict[Hashable, bool] = {}
        for one in tuple(everybody):
            viewer = one.sight.viewer
            if viewer not in allowed:
                allowed[viewer] = await _may_see(one.sight)
            if not allowed[viewer]:
                one.doubt()


async def _may_see(sight: Sight[Any]) -> bool:
    try:
        await sight.ask()
    except Unavailable:
        return True  # as before; it is asked again
    except Exception:  # noqa: BLE001 - whatever it is, the readers meet it as they ask, and tell it
        return False
    return True
