"""How many subscriptions a person and a tenant have open in this process, over all their keys, sockets and event streams."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus
from uuid import UUID

from auth.viewers import Viewer
from errors import Code
from settings import Settings
from telemetry.instruments import Seen
from web.metrics import SUBSCRIPTIONS
from web.requests import BadRequest


class Subscribers:
    """Counts, and refuses who has too many."""

    def __init__(self, settings: Settings) -> None:
        self._most = {"principal": settings.principal_max_subscriptions, "tenant": settings.tenant_max_subscriptions}
        self._open: Counter[UUID] = Counter()
        self._all = 0
        SUBSCRIPTIONS.watch(self, Subscribers._seen)

    @contextlib.contextmanager
    def one_more(self, viewer: Viewer | None) -> Iterator[None]:
        """Count a subscription while it is open; raises `BadRequest`."""
        owners = {} if viewer is None else {"principal": viewer.user_id, "tenant": viewer.tenant_id}
        for name, owner in owners.items():
            if self._open[owner] >= self._most[name]:
                message = f"A {name} has at most {self._most[name]:,} subscriptions at once in a process."
                raise BadRequest(HTTPStatus.TOO_MANY_REQUESTS, Code.SUBSCRIPTION_LIMIT, message)
        self._open.update(owners.values())
        self._all += 1
        try:
            yield
        finally:
            self._all -= 1
            for owner in owners.values():
                self._open[owner] -= 1
                if not self._open[owner]:
                    del self._open[owner]

    def _seen(self) -> list[Seen]:
        return [(self._all, ())]
