"""Credentials behind open connections, looked up again when something was revoked: each once, and no tenant at the cost of others."""

import asyncio
from collections.abc import Iterable
from typing import Final, Protocol
from uuid import UUID

import structlog

from auth.viewers import Viewer
from errors import PennyError, Unauthenticated, Unavailable
from events.revocations import Revoked
from web.callers import known_viewer, viewer_of_token
from web.closings import TRY_LATER, Closing, refused
from web.credentials import Credential
from web.door import Door

log = structlog.get_logger()

# A tenant's credentials are looked up one after another, and those of so many tenants at a time: signing in needs the same connections.
TENANTS_AT_ONCE: Final = 3
RECHECKS: Final = 3
RECHECK_PAUSE: Final = 0.5


class Connection(Protocol):
    """A socket or an event stream."""

    @property
    def credential(self) -> Credential: ...

    def end(self, closing: Closing) -> None:
        """Close it."""


class Rechecks:
    """Ends connections whose credential no longer counts, or counts for something else."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._due: dict[UUID, dict[str, set[Connection]]] = {}
        self._places = asyncio.Semaphore(TENANTS_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, revoked: Revoked | None, connections: Iterable[Connection]) -> None:
        """Look again at the credentials that a revocation is about, all of them for None; nobody waits for it."""
        for one in connections:
            credential = one.credential
            if credential.is_touched_by(revoked) and credential.token is not None and credential.viewer is not None:
                self._put(credential.viewer.tenant_id, credential.token, one)

    def join(self, connection: Connection) -> None:
        """Begin to look again at a new connection's credential, unless nothing was revoked since it was looked up."""
        token = connection.credential.token
        if token is not None and known_viewer(self._door.process.works, token) != connection.credential.viewer:
            self.begin(None, (connection,))

    async def idle(self) -> None:
        """Wait until nothing is due."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def close(self) -> None:
        """Look no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _put(self, tenant_id: UUID, token: str, connection: Connection) -> None:
        if (due := self._due.get(tenant_id)) is None:
            due = self._due[tenant_id] = {}
            task = asyncio.create_task(self._work(tenant_id, due), name="rechecks")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        # What was revoked last comes first: it is not to wait for all that a tenant's new settings are about.
        connections = due.pop(token, set())
        connections.add(connection)
        due[token] = connections

    async def _work(self, tenant_id: UUID, due: dict[str, set[Connection]]) -> None:
        while due:
            token, connections = due.popitem()
            await self._recheck(token, connections)
        del self._due[tenant_id]

    async def _recheck(self, token: str, connections: set[Connection]) -> None:
        found = await self._found(token)
        for one in connections:
            closing = found if isinstance(found, Closing) else one.credential.renewed(found)
            if closing is not None:
                one.end(closing)

    async def _found(self, token: str) -> Viewer | Closing:
        try:
            return await self._looked_up(token)
        except Unauthenticated as error:
            return refused(error)
        except PennyError:
            return Closing(TRY_LATER, "The credential cannot be checked")
        except Exception:
            log.exception("recheck_broke")
            return Closing(TRY_LATER, "The credential cannot be checked")

    async def _looked_up(self, token: str) -> Viewer:
        """Look a viewer up, and a few times more while a server that is asked does not answer."""
        for left in reversed(range(RECHECKS + 1)):
            try:
                async with self._places:
                    return await viewer_of_token(self._door.process.works, token)
            except Unavailable:
                if not left:
                    raise
            await asyncio.sleep(RECHECK_PAUSE)
        raise AssertionError("the last look-up answers or raises")
