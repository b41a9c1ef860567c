"""Who shows a chat to others by a link, and who may follow one: pure functions over viewers and rows."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from auth.policies.chats import can_manage_chat
from auth.viewers import Viewer


def can_share_chat(viewer: Viewer, chat: Mapping[str, Any], audience: str) -> bool:
    """Its owners share a chat; with people outside of the tenant only those whom the tenant trusts with that."""
    return can_manage_chat(viewer, chat) and (audience != "ANYONE" or viewer.may("chats:share"))


def shows(share: Mapping[str, Any], now: datetime) -> bool:
    """Whether a link shows anything: it was not revoked and has not expired."""
    return share["revoked_at"] is None and (share["expires_at"] is None or share["expires_at"] > now)


def can_follow_share(viewer: Viewer | None, share: Mapping[str, Any]) -> bool:
    """Whoever the link is for: anyone, those who read chats in the tenant, or some of them by name."""
    if share["audience"] == "ANYONE":
        return True
    if viewer is None or viewer.tenant_id != share["tenant_id"] or not viewer.may("chats:read"):
        return False
    return share["audience"] == "TENANT" or viewer.user_id in share["user_ids"]
