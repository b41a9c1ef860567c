"""The credential behind an open connection, looked at again whenever something is revoked."""

import asyncio
import contextlib
import time
from typing import Final

from auth.viewer_cache import is_about
from auth.viewers import Viewer
from errors import PennyError, Unauthenticated, Unavailable
from events.revocations import Revoked
from web.callers import viewer_of_token
from web.closings import FORBIDDEN, TRY_LATER, Closing, refused
from web.door import Door

RECHECKS: Final = 3
RECHECK_PAUSE: Final = 0.5


class Credential:
    """A token that was given once, and whom it stands for as long as the connection is open."""

    def __init__(self, door: Door, token: str | None = None, viewer: Viewer | None = None) -> None:
        self._door = door
        self._token = token
        self.viewer = viewer
        self._stale = False

    async def take(self, token: str | None) -> None:
        """Find out whom a token stands for; raises `Unauthenticated` and `Unavailable`."""
        self._token = token
        if token is None:
            return
        self._stale = False
        self.viewer = await viewer_of_token(self._door.process.works, token)
        if self._stale:  # something was revoked while the look-up was under way
            self.viewer = await viewer_of_token(self._door.process.works, token)

    def is_touched_by(self, revoked: Revoked | None) -> bool:
        """Whether a revocation is about this credential, or may be while it is still being looked up."""
        if self.viewer is None:
            self._stale = True
            return False
        return revoked is None or is_about(revoked, self.viewer)

    async def recheck(self) -> Closing | None:
        """Ask again who this is; say why the connection must end when the credential no longer counts or counts for something else."""
        if self._token is None:
            return None
        try:
            viewer = await self._looked_up(self._token)
        except Unauthenticated as error:
            return refused(error)
        except PennyError:
            return Closing(TRY_LATER, "The credential cannot be checked")
        if viewer.scopes != (self.viewer.scopes if self.viewer else frozenset()):
            return Closing(FORBIDDEN, "Your permissions have changed")
        # What the tenant lets its members send may have changed.
        self.viewer = viewer
        return None

    def seconds_left(self, most: float) -> float:
        """How long the credential still counts, or at most so long; raises `Closing` when it has run out."""
        if self.viewer is None or self.viewer.expires_at is None:
            return most
        left = self.viewer.expires_at.timestamp() - time.time()
        if left <= 0:
            raise Closing(FORBIDDEN, "Token expired")
        return min(most, left)

    async def _looked_up(self, token: str) -> Viewer:
        """Look a viewer up, and a few times more while a server that is asked does not answer."""
        for _ in range(RECHECKS):
            with contextlib.suppress(Unavailable):
                return await viewer_of_token(self._door.process.works, token)
            await asyncio.sleep(RECHECK_PAUSE)
        return await viewer_of_token(self._door.process.works, token)
