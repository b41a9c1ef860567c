"""Viewers that a process has just checked, kept for a moment and forgotten when something about them changes."""

from collections import OrderedDict, defaultdict
from datetime import datetime, timedelta
from uuid import UUID

from auth.clock import Clock
from auth.viewers import Viewer
from events.revocations import Revoked
from telemetry.metrics import LOOKUPS


class ViewerCache:
    """Keeps at most `most` viewers by their token's hash, each for `seconds` and never beyond its own end; `name` is for metrics."""

    def __init__(self, *, name: str, seconds: float, now: Clock, most: int = 20_000) -> None:
        self._life = timedelta(seconds=seconds)
        self._now = now
        self._most = most
        self._kept: OrderedDict[bytes, tuple[datetime, Viewer]] = OrderedDict()
        # A revocation is about one tenant: it must not hold the event loop up by looking at everybody else's viewers.
        self._of_tenant: defaultdict[UUID, set[bytes]] = defaultdict(set)
        self._generation = 0
        self._hits, self._misses = LOOKUPS.of(name, "hit"), LOOKUPS.of(name, "miss")

    @property
    def generation(self) -> int:
        """Counts what was forgotten: take it before a look-up, and `keep` refuses what was found before a change."""
        return self._generation

    def miss(self) -> int:
        """Count a look-up, which begins with this `generation`."""
        self._misses.value += 1
        return self._generation

    def find(self, token_hash: bytes) -> Viewer | None:
        """The viewer, if it may be trusted without another look."""
        kept = self._kept.get(token_hash)
        if kept is None:
            return None
        if kept[0] <= self._now():
            self._drop(token_hash)
            return None
        self._hits.value += 1
        return kept[1]

    def keep(self, token_hash: bytes, viewer: Viewer, *, generation: int) -> None:
        """Remember a viewer, unless something was forgotten since the look-up began."""
        if generation != self._generation:
            return
        until = self._now() + self._life
        end = until if viewer.expires_at is None else min(until, viewer.expires_at)
        self._kept[token_hash] = (end, viewer)
        self._kept.move_to_end(token_hash)
        self._of_tenant[viewer.tenant_id].add(token_hash)
        if len(self._kept) > self._most:
            self._drop(next(iter(self._kept)))

    def forget(self, revoked: Revoked | None) -> None:
        """Drop the viewers that this is about; all of them for None."""
        self._generation += 1
        if revoked is None:
            self._kept.clear()
            self._of_tenant.clear()
            return
        for token_hash in [one for one in self._of_tenant.get(revoked.tenant_id, ()) if is_about(revoked, self._kept[one][1])]:
            self._drop(token_hash)

    def _drop(self, token_hash: bytes) -> None:
        _, viewer = self._kept.pop(token_hash)
        of_tenant = self._of_tenant[viewer.tenant_id]
        of_tenant.discard(token_hash)
        if not of_tenant:
            del self._of_tenant[viewer.tenant_id]


def is_about(revoked: Revoked, viewer: Viewer) -> bool:
    """Whether this viewer must be checked again."""
    if revoked.tenant_id != viewer.tenant_id:
        return False
    named = {
        "session": viewer.session_id,
        "api_key": viewer.api_key_id,
        "user": viewer.user_id,
        "role": viewer.role_id,
        "tenant": viewer.tenant_id,
    }
    return named.get(revoked.kind) == revoked.id
