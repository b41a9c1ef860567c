"""The credential behind an open connection, looked at again whenever something is revoked."""

import time

from auth.policies.documents import sends_documents_only
from auth.viewer_cache import is_about
from auth.viewers import Viewer
from events.revocations import Revoked
from resolvers.operations import Caller
from web.closings import FORBIDDEN, Closing
from web.door import Door


class Credential:
    """A token that was given once, and whom it stands for as long as the connection is open."""

    def __init__(self, door: Door, token: str | None = None, viewer: Viewer | None = None) -> None:
        self._door = door
        self.token = token
        self.viewer = viewer
        self._stale = False

    async def take(self, token: str | None, caller: Caller) -> None:
        """Find out whom a token stands for; raises `Unauthenticated`, `RateLimited` and `Unavailable`."""
        self.token = token
        if token is None:
            return
        self._stale = False
        viewer = await self._door.viewer_of(token, caller)
        # What was revoked while the look-up was under way may have been about it.
        self.viewer = await self._door.viewer_of(token, caller) if self._stale else viewer

    def is_touched_by(self, revoked: Revoked | None) -> bool:
        """Whether a revocation is about this credential, or may be while it is still being looked up."""
        if self.viewer is None:
            self._stale = True
            return False
        return revoked is None or is_about(revoked, self.viewer)

    def renewed(self, viewer: Viewer) -> Closing | None:
        """Take what was found now; say why the connection must end when the credential counts for something else."""
        before = self.viewer
        if viewer.scopes != (before.scopes if before else frozenset()):
            return Closing(FORBIDDEN, "Your permissions have changed")
        if before is not None and sends_documents_only(viewer) and not sends_documents_only(before):
            return Closing(FORBIDDEN, "Only published documents count now")
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
