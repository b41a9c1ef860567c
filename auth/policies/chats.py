"""Who may do what with a chat: pure functions over a viewer and the chat's row."""

from collections.abc import Mapping
from typing import Any

from auth.viewers import Viewer


def can_read_chat(viewer: Viewer, chat: Mapping[str, Any]) -> bool:
    """Its owner reads a chat, and so does every member who may read chats where it is shown to the tenant."""
    return viewer.may("chats:read") and (chat["owner_id"] == viewer.user_id or chat["visibility"] == "TENANT")


def can_write_chat(viewer: Viewer, chat: Mapping[str, Any]) -> bool:
    """Only its owner writes in a chat."""
    return viewer.may("chats:write") and chat["owner_id"] == viewer.user_id


def can_delete_chat(viewer: Viewer, chat: Mapping[str, Any]) -> bool:
    """Only its owner deletes a chat."""
    return viewer.may("chats:delete") and chat["owner_id"] == viewer.user_id


def actions_on_chat(viewer: Viewer, chat: Mapping[str, Any]) -> list[str]:
    """Name what the viewer may do with this chat, for buttons."""
    rules = {"read": can_read_chat, "write": can_write_chat, "delete": can_delete_chat}
    return [name for name, rule in rules.items() if rule(viewer, chat)]
