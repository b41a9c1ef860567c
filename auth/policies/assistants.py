"""Who may do what with an assistant: pure functions over a viewer and the assistant's row, which holds whom it is given to."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from auth.viewers import Viewer

# The columns of an assistant's row that these rules read.
COLUMNS: Final = ("owner_id", "grants")
ROLES: Final = ("VIEWER", "USER", "EDITOR", "OWNER")  # each may do what those before it may


def role_of(viewer: Viewer, assistant: Mapping[str, Any], now: datetime | None = None) -> str | None:
    """Return the highest role that the viewer has with an assistant, None where it is nothing to them."""
    if assistant["owner_id"] == viewer.user_id or viewer.may("assistants:admin"):
        return "OWNER"
    now = now or datetime.now(UTC)
    held = [grant["role"] for grant in assistant["grants"] if _is_for(grant, viewer) and not _is_over(grant, now)]
    return max(held, key=ROLES.index, default=None)


def _is_for(grant: Mapping[str, Any], viewer: Viewer) -> bool:
    return grant["kind"] == "EVERYONE" or grant["id"] in (viewer.user_id.hex, viewer.role_id.hex)


def _is_over(grant: Mapping[str, Any], now: datetime) -> bool:
    return grant["expires_at"] is not None and datetime.fromisoformat(grant["expires_at"]) <= now


def _is_at_least(role: str, viewer: Viewer, assistant: Mapping[str, Any]) -> bool:
    own = role_of(viewer, assistant)
    return own is not None and ROLES.index(own) >= ROLES.index(role)


def can_see_assistant(viewer: Viewer, assistant: Mapping[str, Any]) -> bool:
    """Whoever an assistant is given to sees that it is there."""
    return viewer.may("assistants:read", "assistants:admin") and _is_at_least("VIEWER", viewer, assistant)


def can_use_assistant(viewer: Viewer, assistant: Mapping[str, Any]) -> bool:
    """Users begin chats with it."""
    return viewer.may("assistants:read", "assistants:admin") and _is_at_least("USER", viewer, assistant)


def can_edit_assistant(viewer: Viewer, assistant: Mapping[str, Any]) -> bool:
    """Editors read its instructions and write new versions."""
    return viewer.may("assistants:write", "assistants:admin") and _is_at_least("EDITOR", viewer, assistant)


def can_publish_assistant(viewer: Viewer, assistant: Mapping[str, Any]) -> bool:
    """Only owners decide what others are given, and who is given it."""
    return viewer.may("assistants:write", "assistants:admin") and _is_at_least("OWNER", viewer, assistant)
