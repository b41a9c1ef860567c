"""How many connections come from one network address to this process."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus

from auth.throttle import place_of
from errors import Code
from web.requests import BadRequest


class Crowds:
    """Counts connections of each address, at most so many: nobody needs an account to hold one, so nothing else bounds them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: Counter[str] = Counter()

    def has_room(self, address: str) -> bool:
        """Whether one more may come from there."""
        return self._open[place_of(address)] < self._most

    def check(self, address: str) -> None:
        """Raise `BadRequest` where no more may come from."""
        if not self.has_room(address):
            message = f"An address has at most {self._most:,} WebSockets and event streams at once in a process."
            raise BadRequest(HTTPStatus.TOO_MANY_REQUESTS, Code.SUBSCRIPTION_LIMIT, message)

    @contextlib.contextmanager
    def one_more(self, address: str) -> Iterator[None]:
        """Count a connection while it is open."""
        self.enter(address)
        try:
            yield
        finally:
            self.leave(address)

    def enter(self, address: str) -> None:
        """Count one more."""
        self._open[place_of(address)] += 1

    def leave(self, address: str) -> None:
        """Count one that was counted no longer."""
        place = place_of(address)
        self._open[place] -= 1
        if not self._open[place]:
            del self._open[place]
