"""Who may do what with API keys: pure functions over a viewer and a key's row."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from auth.viewers import Viewer


def can_create_key(viewer: Viewer, scopes: Iterable[str], expires_at: datetime | None, document_client: str | None = None) -> bool:
    """A key allows no more than its maker may, and one that a key makes does not outlive it, nor sends what that may not send."""
    if not viewer.may("keys:write") or not viewer.scopes.issuperset(scopes):
        return False
    if viewer.document_client not in (None, document_client):
        return False
    if viewer.api_key_id is None or viewer.expires_at is None:
        return True
    return expires_at is not None and expires_at <= viewer.expires_at


def can_rotate_key(viewer: Viewer, key: Mapping[str, Any]) -> bool:
    """Its owner does, or the key itself: whoever rotates a key holds its new secret, so an administrator may only revoke it."""
    own = viewer.may("keys:write") and key["user_id"] == viewer.user_id
    return own and viewer.api_key_id in (None, key["id"])


def can_revoke_key(viewer: Viewer, key: Mapping[str, Any]) -> bool:
    """Its owner revokes a key, and so does whoever keeps the tenant's keys."""
    return viewer.may("keys:admin") or (viewer.may("keys:write") and key["user_id"] == viewer.user_id)


def can_see_all_keys(viewer: Viewer) -> bool:
    """Whoever keeps the tenant's keys sees everybody's; others see their own."""
    return viewer.may("keys:admin")
