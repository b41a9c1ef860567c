"""Who may do what with a chat: pure functions over a viewer and the chat's row, which names its participants.

A role in a chat and the scopes of the viewer's own role must both allow a thing.
"""

from collections.abc import Mapping
from typing import Any, Final

from auth.viewers import Viewer

# The columns of a chat's row that these rules read.
COLUMNS: Final = ("owner_id", "visibility", "participant_ids", "participant_roles")
ROLES: Final = ("VIEWER", "COMMENTER", "EDITOR", "OWNER")  # each may do what those before it may


def role_in_chat(viewer: Viewer, chat: Mapping[str, Any]) -> str | None:
    """Return the viewer's role in a chat, None where it is nothing to them.

    Where a chat is private, its participants are remembered and have no role; where it is shown to the tenant, whoever is none
    of them is a viewer.
    """
    if chat["owner_id"] == viewer.user_id:
        return "OWNER"
    if chat["visibility"] == "PRIVATE":
        return None
    for user_id, role in zip(chat["participant_ids"], chat["participant_roles"], strict=True):
        if user_id == viewer.user_id:
            return str(role)
    return "VIEWER" if chat["visibility"] == "TENANT" else None


def _is_at_least(role: str, viewer: Viewer, chat: Mapping[str, Any]) -> bool:
    own = role_in_chat(viewer, chat)
    return own is not None and ROLES.index(own) >= ROLES.index(role)


def can_read_chat(viewer: Viewer, chat: Mapping[str, Any]) -> bool:
    """Whoever has a role in a chat reads it, and so does every member where it is shown to the tenant."""
    return viewer.may("chats:read") and _is_at_least("VIEWER", viewer, chat)


def can_comment_chat(viewer: Viewer, chat: Mapping[str, Any]) -> bool:
    """Whoever is asked for an opinion says what they think of answers."""
    return viewer.may("chats:write") and _is_at_least("COMMENTER", viewer, chat)


def can_write_chat(viewer: Viewer, chat: Mapping[str, Any]) -> bool:
    """Editors write in a chat and have it answered."""
    return viewer.may("chats:write") and _is_at_least("EDITOR", viewer, chat)


def can_manage_chat(viewer: Viewer, chat: Mapping[str, Any]) -> bool:
    """Only owners decide who sees a chat, and put it away."""
    return viewer.may("chats:write") and _is_at_least("OWNER", viewer, chat)


def can_delete_chat(viewer: Viewer, chat: Mapping[str, Any]) -> bool:
    """Only owners delete a chat."""
    return viewer.may("chats:delete") and _is_at_least("OWNER", viewer, chat)


def actions_on_chat(viewer: Viewer, chat: Mapping[str, Any]) -> list[str]:
    """Name what the viewer may do with this chat, for buttons."""
    rules = {
        "read": can_read_chat, "comment": can_comment_chat, "write": can_write_chat, "manage": can_manage_chat, "delete": can_delete_chat,
    }  # fmt: skip
    return [name for name, rule in rules.items() if rule(viewer, chat)]
